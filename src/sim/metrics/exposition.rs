//! The page `/metrics`, in the text format of Prometheus.

use super::Metrics;
use super::histogram::BucketHistogram;
use crate::sim::config::SimConfig;
use std::fmt::Write;

/// The fixed values on the page of an engine.
#[derive(Debug)]
pub(crate) struct EngineInfo {
    /// The labels of vLLM's metrics.
    labels: String,
    gpu: u32,
    gpu_memory_used_mib: f64,
}

impl EngineInfo {
    pub(crate) fn new(config: &SimConfig) -> Self {
        let model = config
            .model
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        Self {
            labels: format!("engine=\"0\",model_name=\"{model}\""),
            gpu: config.gpu,
            gpu_memory_used_mib: config.gpu_memory_used_mib(),
        }
    }
}

impl Metrics {
    /// Returns the page.
    pub(crate) fn render(&self, info: &EngineInfo) -> String {
        let mut page = MetricsPage {
            text: String::with_capacity(12 * 1024),
            labels: &info.labels,
        };
        self.render_load(&mut page);
        self.render_tokens(&mut page);
        self.render_requests(&mut page);
        self.render_lateness(&mut page);
        let name = "lmrun_sim:gpu_memory_used_mib";
        page.family(name, "gauge", "Simulated GPU memory in use, in MiB.");
        let gpu = format!("gpu=\"{}\"", info.gpu);
        page.line(name, &gpu, info.gpu_memory_used_mib);
        page.text
    }

    fn render_load(&self, page: &mut MetricsPage<'_>) {
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

    fn render_tokens(&self, page: &mut MetricsPage<'_>) {
        let not_on_gpu = self.tier_tokens + self.computed_tokens;
        let prompt_tokens = self.gpu_tokens + not_on_gpu;
        page.counter(
            "vllm:prefix_cache_queries_total",
            "Prefix cache queries, in tokens.",
            prompt_tokens,
        );
        page.counter(
            "vllm:prefix_cache_hits_total",
            "Prefix cache hits, in tokens.",
            self.gpu_tokens,
        );
        page.counter(
            "vllm:external_prefix_cache_queries_total",
            "External prefix cache queries from KV connector, in tokens.",
            not_on_gpu,
        );
        page.counter(
            "vllm:external_prefix_cache_hits_total",
            "External prefix cache hits from KV connector, in tokens.",
            self.tier_tokens,
        );
        page.counter(
            "vllm:prompt_tokens_total",
            "Number of prefill tokens processed.",
            prompt_tokens,
        );
        page.labelled_counter(
            "vllm:prompt_tokens_by_source_total",
            "Number of prompt tokens by source.",
            &[
                ("source=\"local_compute\"", self.computed_tokens),
                ("source=\"local_cache_hit\"", self.gpu_tokens),
                ("source=\"external_kv_transfer\"", self.tier_tokens),
            ],
        );
        page.counter(
            "vllm:prompt_tokens_cached_total",
            "Number of cached prompt tokens.",
            self.gpu_tokens + self.tier_tokens,
        );
        page.counter(
            "vllm:generation_tokens_total",
            "Number of generation tokens processed.",
            self.generated_tokens,
        );
    }

    fn render_requests(&self, page: &mut MetricsPage<'_>) {
        page.counter(
            "vllm:num_preemptions_total",
            "Cumulative number of preemption from the engine.",
            0,
        );
        page.labelled_counter(
            "vllm:request_success_total",
            "Count of successfully processed requests.",
            &[
                ("finished_reason=\"stop\"", self.stopped),
                ("finished_reason=\"length\"", self.reached_length),
                ("finished_reason=\"abort\"", self.aborted),
                ("finished_reason=\"error\"", 0),
            ],
        );
        page.histogram(
            "vllm:time_to_first_token_seconds",
            "Histogram of time to first token in seconds.",
            &self.first_token_s,
        );
        page.histogram(
            "vllm:inter_token_latency_seconds",
            "Histogram of inter-token latency in seconds.",
            &self.inter_token_s,
        );
        page.histogram(
            "vllm:e2e_request_latency_seconds",
            "Histogram of e2e request latency in seconds.",
            &self.request_s,
        );
    }

    fn render_lateness(&self, page: &mut MetricsPage<'_>) {
        let name = "lmrun_sim:chunk_lateness_seconds";
        page.family(
            name,
            "summary",
            "Time from the moment a chunk was due until the kernel had it.",
        );
        for quantile in [0.5, 0.9, 0.99, 0.999] {
            let labels = format!("{},quantile=\"{quantile}\"", page.labels);
            let lateness_ns = self.lateness_ns.value_at_quantile(quantile);
            page.line(name, &labels, lateness_ns as f64 / 1e9);
        }
        let count = self.lateness_ns.len() as f64;
        page.line(&format!("{name}_count"), page.labels, count);
        let sum_s = self.lateness_sum_ns as f64 / 1e9;
        page.line(&format!("{name}_sum"), page.labels, sum_s);
        page.gauge(
            "lmrun_sim:chunk_lateness_max_seconds",
            "The longest lateness so far.",
            self.lateness_ns.max() as f64 / 1e9,
        );
        page.counter(
            "lmrun_sim:chunks_blocked_total",
            "Chunks that waited for a slow reader. They are not in the lateness.",
            self.blocked_writes,
        );
    }
}

/// The text so far, and the labels of all of vLLM's metrics.
struct MetricsPage<'a> {
    text: String,
    labels: &'a str,
}

impl MetricsPage<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.text, "{name}{{{labels}}} {value:?}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.line(name, self.labels, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.line(name, self.labels, value as f64);
    }

    fn labelled_counter(&mut self, name: &str, help: &str, values: &[(&str, u64)]) {
        self.family(name, "counter", help);
        for (label, value) in values {
            let labels = format!("{},{label}", self.labels);
            self.line(name, &labels, *value as f64);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &BucketHistogram) {
        self.family(name, "histogram", help);
        for (bound, count) in histogram.cumulative() {
            let labels = format!("{},le=\"{bound}\"", self.labels);
            self.line(&format!("{name}_bucket"), &labels, count as f64);
        }
        let count = histogram.count() as f64;
        self.line(&format!("{name}_count"), self.labels, count);
        self.line(&format!("{name}_sum"), self.labels, histogram.sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::scheduler::PromptSources;

    /// Returns the value of the only line that starts with `metric`, of which `labels` are the
    /// last.
    fn value(page: &str, metric: &str, labels: &str) -> f64 {
        let all = format!("{metric}{{engine=\"0\",model_name=\"m\"{labels}}} ");
        let mut values = page.lines().filter_map(|line| line.strip_prefix(&all));
        let value = values.next().unwrap_or_else(|| panic!("{all}\n{page}"));
        assert_eq!(values.next(), None, "{all}");
        value.parse().unwrap()
    }

    #[test]
    fn metrics_have_the_names_and_labels_of_vllm() {
        let mut metrics = Metrics::default();
        let sources = PromptSources {
            gpu_tokens: 16,
            tier_tokens: 256,
            computed_tokens: 28,
        };
        metrics.count_first_token(sources, 0.07);
        metrics.count_next_token(0.02);
        metrics.aborted += 1;
        metrics.count_written(250_000);
        let config = SimConfig {
            model: "m".to_owned(),
            gpu: 3,
            ..SimConfig::default()
        };
        let page = metrics.render(&EngineInfo::new(&config));
        for (metric, labels, expected) in [
            (
                "vllm:prompt_tokens_by_source_total",
                ",source=\"external_kv_transfer\"",
                256.0,
            ),
            ("vllm:prefix_cache_queries_total", "", 300.0),
            ("vllm:external_prefix_cache_queries_total", "", 284.0),
            ("vllm:generation_tokens_total", "", 2.0),
            (
                "vllm:request_success_total",
                ",finished_reason=\"abort\"",
                1.0,
            ),
            (
                "vllm:time_to_first_token_seconds_bucket",
                ",le=\"0.08\"",
                1.0,
            ),
            ("vllm:inter_token_latency_seconds_count", "", 1.0),
            (
                "lmrun_sim:chunk_lateness_seconds",
                ",quantile=\"0.99\"",
                0.000_25,
            ),
            ("lmrun_sim:chunk_lateness_max_seconds", "", 0.000_25),
        ] {
            let found = value(&page, metric, labels);
            assert!((found / expected - 1.0).abs() < 0.01, "{metric}: {found}");
        }
        assert!(page.contains("\nlmrun_sim:gpu_memory_used_mib{gpu=\"3\"} 25714.7\n"));
    }
}
