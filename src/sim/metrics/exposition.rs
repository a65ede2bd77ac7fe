//! The text of `/metrics`.

use std::fmt::{Display, Write};

use super::{super::config::SimConfig, Metrics, histogram::Histogram, lateness::Lateness};

/// What does not change while an engine runs.
#[derive(Debug)]
pub struct Identity {
    labels: String,
    cache_config: String,
    gpu: u32,
    gpu_memory_used_mib: f64,
}

impl Identity {
    /// The identity of an engine with this configuration.
    pub fn new(config: &SimConfig) -> Self {
        let model = config
            .model
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        Self {
            labels: format!("engine=\"0\",model_name=\"{model}\""),
            cache_config: cache_config(config),
            gpu: config.gpu,
            gpu_memory_used_mib: config.gpu_memory_used_mib(),
        }
    }
}

fn cache_config(config: &SimConfig) -> String {
    let concurrency = f64::from(config.kv_pool_tokens()) / f64::from(config.max_model_len);
    format!(
        "block_size=\"{}\",cache_dtype=\"auto\",enable_prefix_caching=\"{}\",engine=\"0\",gpu_memory_utilization=\
         \"{}\",kv_cache_max_concurrency=\"{concurrency}\",kv_cache_size_tokens=\"{}\",num_gpu_blocks=\"{}\"",
        config.block_size,
        if config.prefix_caching {
            "True"
        } else {
            "False"
        },
        config.gpu_memory_utilization,
        config.kv_pool_tokens(),
        config.gpu_blocks(),
    )
}

impl Metrics {
    /// All metrics in the Prometheus text format.
    pub fn render(&self, identity: &Identity) -> String {
        let mut page = Page {
            text: String::with_capacity(12 * 1024),
            labels: &identity.labels,
        };
        self.render_load(&mut page);
        self.render_tokens(&mut page);
        self.render_requests(&mut page);
        page.family(
            "vllm:cache_config_info",
            "gauge",
            "Information of the LLMEngine CacheConfig.",
        );
        page.line("vllm:cache_config_info", &identity.cache_config, 1.0);
        self.render_simulator(&mut page, identity);
        page.text
    }

    fn render_load(&self, page: &mut Page<'_>) {
        page.gauge(
            "vllm:num_requests_running",
            "Number of requests in model execution batches.",
            self.load.running as f64,
        );
        page.gauge(
            "vllm:num_requests_waiting",
            "Number of requests waiting to be processed.",
            self.load.waiting as f64,
        );
        page.gauge(
            "vllm:kv_cache_usage_perc",
            "KV-cache usage. 1 means 100 percent usage.",
            self.load.kv_usage,
        );
    }

    fn render_tokens(&self, page: &mut Page<'_>) {
        page.counter(
            "vllm:prefix_cache_queries",
            "Prefix cache queries, in tokens.",
            self.pool_queries,
        );
        page.counter(
            "vllm:prefix_cache_hits",
            "Prefix cache hits, in tokens.",
            self.gpu_tokens,
        );
        page.counter(
            "vllm:external_prefix_cache_queries",
            "External prefix cache queries from KV connector, in tokens.",
            self.tier_queries,
        );
        page.counter(
            "vllm:external_prefix_cache_hits",
            "External prefix cache hits from KV connector, in tokens.",
            self.tier_tokens,
        );
        page.counter(
            "vllm:prompt_tokens",
            "Number of prefill tokens processed.",
            self.pool_queries,
        );
        let sources = [
            ("local_compute", self.computed_tokens),
            ("local_cache_hit", self.gpu_tokens),
            ("external_kv_transfer", self.tier_tokens),
        ];
        page.counters(
            "vllm:prompt_tokens_by_source",
            "Number of prompt tokens by source.",
            "source",
            &sources,
        );
        let cached = self.gpu_tokens + self.tier_tokens;
        page.counter(
            "vllm:prompt_tokens_cached",
            "Number of cached prompt tokens.",
            cached,
        );
        page.counter(
            "vllm:generation_tokens",
            "Number of generation tokens processed.",
            self.generated_tokens,
        );
    }

    fn render_requests(&self, page: &mut Page<'_>) {
        page.counter(
            "vllm:num_preemptions",
            "Cumulative number of preemption from the engine.",
            0,
        );
        let reasons = [
            ("stop", self.stopped),
            ("length", self.reached_length),
            ("abort", self.aborted),
            ("error", 0),
        ];
        let help = "Count of successfully processed requests.";
        page.counters("vllm:request_success", help, "finished_reason", &reasons);
        let help = "Histogram of time to first token in seconds.";
        page.histogram(
            "vllm:time_to_first_token_seconds",
            help,
            &self.first_token_s,
        );
        let help = "Histogram of inter-token latency in seconds.";
        page.histogram(
            "vllm:inter_token_latency_seconds",
            help,
            &self.inter_token_s,
        );
        let help = "Histogram of e2e request latency in seconds.";
        page.histogram("vllm:e2e_request_latency_seconds", help, &self.request_s);
    }

    fn render_simulator(&self, page: &mut Page<'_>, identity: &Identity) {
        let name = "lmrun_sim:gpu_memory_used_mib";
        page.family(name, "gauge", "Simulated GPU memory in use, in MiB.");
        page.line(
            name,
            &format!("gpu=\"{}\"", identity.gpu),
            identity.gpu_memory_used_mib,
        );
        page.lateness(&self.lateness);
        let help = "Chunks that waited for a slow reader; they have no lateness.";
        page.counter("lmrun_sim:chunks_blocked", help, self.blocked_writes);
    }
}

/// The text so far, and the labels that every vLLM metric carries.
struct Page<'a> {
    text: String,
    labels: &'a str,
}

impl Page<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        self.put(format_args!("{name}{{{labels}}} {value:?}\n"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.line(name, self.labels, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let name = format!("{name}_total");
        self.family(&name, "counter", help);
        self.line(&name, self.labels, value as f64);
    }

    fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        let name = format!("{name}_total");
        self.family(&name, "counter", help);
        for (kind, value) in values {
            let labels = format!("{},{label}=\"{kind}\"", self.labels);
            self.line(&name, &labels, *value as f64);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        for (bound, count) in histogram.cumulative() {
            let labels = format!("{},le=\"{bound}\"", self.labels);
            self.line(&format!("{name}_bucket"), &labels, count as f64);
        }
        self.line(
            &format!("{name}_count"),
            self.labels,
            histogram.count() as f64,
        );
        self.line(&format!("{name}_sum"), self.labels, histogram.sum());
    }

    fn lateness(&mut self, lateness: &Lateness) {
        let name = "lmrun_sim:chunk_lateness_seconds";
        self.family(
            name,
            "summary",
            "How late chunks were with the kernel, against the moment they were due.",
        );
        for part in [0.5, 0.9, 0.99, 0.999] {
            let labels = format!("{},quantile=\"{part}\"", self.labels);
            self.line(name, &labels, lateness.quantile_s(part));
        }
        self.line(
            &format!("{name}_count"),
            self.labels,
            lateness.count() as f64,
        );
        self.line(&format!("{name}_sum"), self.labels, lateness.sum_s());
        self.gauge(
            "lmrun_sim:chunk_lateness_max_seconds",
            "The latest chunk so far.",
            lateness.max_s(),
        );
    }

    fn put(&mut self, text: impl Display) {
        write!(self.text, "{text}").expect("a string takes any text");
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::scheduler::Sources, *};

    #[test]
    fn the_names_and_labels_are_those_of_vllm() {
        let mut metrics = Metrics::default();
        metrics.first_token(
            Sources {
                gpu_tokens: 16,
                tier_tokens: 256,
                computed_tokens: 28,
            },
            0.07,
        );
        metrics.next_token(0.02);
        metrics.aborted();
        metrics.written(250_000);
        let config = SimConfig {
            model: "m".to_owned(),
            gpu: 3,
            ..SimConfig::default()
        };
        let page = metrics.render(&Identity::new(&config));
        for line in [
            "vllm:prompt_tokens_by_source_total{engine=\"0\",model_name=\"m\",source=\"external_kv_transfer\"} 256.0",
            "vllm:prefix_cache_queries_total{engine=\"0\",model_name=\"m\"} 300.0",
            "vllm:external_prefix_cache_queries_total{engine=\"0\",model_name=\"m\"} 284.0",
            "vllm:generation_tokens_total{engine=\"0\",model_name=\"m\"} 2.0",
            "vllm:request_success_total{engine=\"0\",model_name=\"m\",finished_reason=\"abort\"} 1.0",
            "vllm:time_to_first_token_seconds_bucket{engine=\"0\",model_name=\"m\",le=\"0.08\"} 1.0",
            "vllm:inter_token_latency_seconds_count{engine=\"0\",model_name=\"m\"} 1.0",
            "lmrun_sim:gpu_memory_used_mib{gpu=\"3\"} 25714.7",
            "lmrun_sim:chunk_lateness_seconds{engine=\"0\",model_name=\"m\",quantile=\"0.99\"} 0.00025",
        ] {
            assert!(page.lines().any(|seen| seen == line), "{line}\n{page}");
        }
    }
}
