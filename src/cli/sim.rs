//! `lmrun sim`.

use super::args::seed;
use super::exit;
use crate::driver::limits;
use crate::sim::{Fault, Faults, LmcacheSource, SimConfig, fault_help, serve};
use clap::Args;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// The simulator's parameters.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)] // so that a number out of its range is told as such
pub struct SimArgs {
    /// Address to listen on; anything but loopback lets others in.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Name under which the model is served.
    #[arg(long, default_value = "sim-7b")]
    model: String,
    /// The GPU that it claims to use.
    #[arg(long, default_value_t = 0)]
    gpu: u32,
    /// Seconds until the port answers.
    #[arg(long, default_value_t = 0.1)]
    startup_s: f64,
    /// Seed of the words, their number and the jitter.
    #[arg(long, default_value_t = 0, value_parser = seed)]
    seed: u64,
    /// Longest prompt and answer together, tokens.
    #[arg(long, default_value_t = 32_768)]
    max_model_len: u32,
    /// Requests that run at once.
    #[arg(long, default_value_t = 256)]
    max_num_seqs: usize,
    /// Part of the GPU's memory that it takes.
    #[arg(long, default_value_t = 0.3)]
    gpu_memory_utilization: f64,
    /// Size of the GPU's KV pool in tokens [default: what the memory gives].
    #[arg(long)]
    gpu_kv_tokens: Option<u32>,
    /// Keep the KV of finished requests on the GPU for the next ones.
    #[arg(long)]
    prefix_caching: bool,
    /// An `LMCache` configuration: a second tier with its capacity and bandwidth.
    #[arg(long, value_name = "YAML")]
    lmcache: Option<PathBuf>,
    /// Behave as with an `lmcache server` that has so many GB of memory.
    #[arg(long, value_name = "GB")]
    lmcache_mp_l1_gb: Option<f64>,
    /// Seconds of every prefill, however short.
    #[arg(long, value_name = "S")]
    prefill_overhead_s: Option<f64>,
    /// Seconds of prefill a computed token.
    #[arg(long, value_name = "S")]
    prefill_per_token_s: Option<f64>,
    /// Seconds of prefill a computed token and token before it: attention.
    #[arg(long, value_name = "S")]
    prefill_per_token_squared_s: Option<f64>,
    /// What the first request of a fresh engine pays, seconds.
    #[arg(long, value_name = "S")]
    warmup_s: Option<f64>,
    /// Seconds between the tokens of a request.
    #[arg(long, value_name = "S")]
    itl_s: Option<f64>,
    /// Relative spread of every time, 0 for none.
    #[arg(long)]
    jitter: Option<f64>,
    /// Tokens of an answer that nothing else ends, in the mean.
    #[arg(long)]
    mean_output_tokens: Option<u32>,
    /// Seconds to every first token, whatever load and prompt; `--itl-s` is kept as well: a server
    /// without limits, to measure clients by.
    #[arg(long, value_name = "S")]
    ttft_s: Option<f64>,
    /// At the end, write when each request arrived and when each chunk was due and was written: one
    /// JSON object an answer, in nanoseconds of the monotonic clock.
    #[arg(long, value_name = "FILE")]
    stamps: Option<PathBuf>,
    /// Fail on purpose; `--help` says how.
    #[arg(long = "fault", value_name = "FAULT", long_help = fault_help())]
    faults: Vec<Fault>,
}

impl SimArgs {
    fn config(self) -> SimConfig {
        let mut config = SimConfig {
            host: self.host,
            port: self.port,
            model: self.model,
            gpu: self.gpu,
            startup_s: self.startup_s,
            seed: self.seed,
            max_model_len: self.max_model_len,
            max_num_seqs: self.max_num_seqs,
            gpu_memory_utilization: self.gpu_memory_utilization,
            gpu_kv_tokens: self.gpu_kv_tokens,
            prefix_caching: self.prefix_caching,
            lmcache: self.lmcache.map(LmcacheSource::File),
            lmcache_mp_l1_gb: self.lmcache_mp_l1_gb,
            stamps: self.stamps,
            faults: Faults(self.faults),
            ..SimConfig::default()
        };
        let timing = &mut config.timing;
        put(&mut timing.prefill_overhead_s, self.prefill_overhead_s);
        put(&mut timing.prefill_per_token_s, self.prefill_per_token_s);
        put(
            &mut timing.prefill_per_token_squared_s,
            self.prefill_per_token_squared_s,
        );
        put(&mut timing.warmup_s, self.warmup_s);
        put(&mut timing.itl_s, self.itl_s);
        put(&mut timing.jitter, self.jitter);
        if let Some(ttft_s) = self.ttft_s {
            config.timing = config.timing.without_limits(ttft_s);
        }
        put(&mut config.mean_output_tokens, self.mean_output_tokens);
        config
    }
}

fn put<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}

/// Serves until it is interrupted or terminated.
pub fn run(args: SimArgs) -> u8 {
    limits::prepare_descriptors();
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(problem) => return super::complain(problem),
    };
    match runtime.block_on(serve(args.config(), asked_to_stop())) {
        Ok(()) => exit::OK,
        Err(e) => super::complain(&e.to_string()),
    }
}

async fn asked_to_stop() {
    let next = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = next(SignalKind::interrupt()) => {}
        () = next(SignalKind::terminate()) => {}
    }
}
