//! The command `lmrun sim`.

use super::args::seed;
use super::exit;
use crate::driver::limits;
use crate::sim::{Fault, Faults, SimConfig, fault_help, serve};
use clap::Args;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// The simulator's parameters.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)] // so that a negative number gets the simulator's error
pub struct SimArgs {
    /// Address to listen on; only loopback addresses are private.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 means a free port.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Name of the served model.
    #[arg(long, default_value = "sim-7b")]
    model: String,
    /// Index of the simulated GPU.
    #[arg(long, default_value_t = 0)]
    gpu: u32,
    /// Seconds until the port answers.
    #[arg(long, default_value_t = 0.1)]
    startup_s: f64,
    /// Seed of the generated words, of their number and of the jitter.
    #[arg(long, default_value_t = 0, value_parser = seed)]
    seed: u64,
    /// Maximum number of tokens of prompt and answer together.
    #[arg(long, default_value_t = 32_768)]
    max_model_len: u32,
    /// Maximum number of running requests.
    #[arg(long, default_value_t = 256)]
    max_num_seqs: usize,
    /// Share of the GPU's memory that the engine uses.
    #[arg(long, default_value_t = 0.3)]
    gpu_memory_utilization: f64,
    /// Size of the GPU's KV pool in tokens [default: computed from the memory].
    #[arg(long)]
    gpu_kv_tokens: Option<u32>,
    /// Keep the KV of finished requests on the GPU for later ones.
    #[arg(long)]
    prefix_caching: bool,
    /// An `LMCache` configuration: a second tier with its capacity and bandwidth.
    #[arg(long, value_name = "YAML")]
    lmcache: Option<PathBuf>,
    /// Simulate an `lmcache server` with this many GB of memory.
    #[arg(long, value_name = "GB")]
    lmcache_mp_l1_gb: Option<f64>,
    /// Fixed seconds of each prefill.
    #[arg(long, value_name = "S")]
    prefill_overhead_s: Option<f64>,
    /// Seconds of prefill per computed token.
    #[arg(long, value_name = "S")]
    prefill_per_token_s: Option<f64>,
    /// Seconds of attention per computed token and token of its context.
    #[arg(long, value_name = "S")]
    prefill_per_token_squared_s: Option<f64>,
    /// Additional seconds of the first request of a fresh engine.
    #[arg(long, value_name = "S")]
    warmup_s: Option<f64>,
    /// Seconds between two tokens of a request.
    #[arg(long, value_name = "S")]
    itl_s: Option<f64>,
    /// Maximum relative deviation of all times; 0 for none.
    #[arg(long)]
    jitter: Option<f64>,
    /// Mean number of tokens of an answer without a limit.
    #[arg(long)]
    mean_output_tokens: Option<u32>,
    /// Fixed seconds to each first token, at any load; `--itl-s` is fixed too. Simulates a server
    /// without limits, to measure clients with.
    #[arg(long, value_name = "S")]
    ttft_s: Option<f64>,
    /// At the end, write the arrival of each request, and the due and write times of each chunk:
    /// one JSON object per answer, in nanoseconds of the monotonic clock.
    #[arg(long, value_name = "FILE")]
    stamps: Option<PathBuf>,
    /// Fail deliberately; see `--help` for the faults.
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
            lmcache: self.lmcache,
            lmcache_mp_l1_gb: self.lmcache_mp_l1_gb,
            stamps: self.stamps,
            faults: Faults(self.faults),
            ..SimConfig::default()
        };
        let timing = &mut config.timing;
        for (value, given) in [
            (&mut timing.prefill_overhead_s, self.prefill_overhead_s),
            (&mut timing.prefill_per_token_s, self.prefill_per_token_s),
            (
                &mut timing.prefill_per_token_squared_s,
                self.prefill_per_token_squared_s,
            ),
            (&mut timing.warmup_s, self.warmup_s),
            (&mut timing.itl_s, self.itl_s),
            (&mut timing.jitter, self.jitter),
        ] {
            *value = given.unwrap_or(*value);
        }
        if let Some(ttft_s) = self.ttft_s {
            config.timing = config.timing.without_limits(ttft_s);
        }
        if let Some(tokens) = self.mean_output_tokens {
            config.mean_output_tokens = tokens;
        }
        config
    }
}

/// Runs the simulator until SIGINT or SIGTERM.
pub fn run(args: SimArgs) -> u8 {
    limits::prepare_descriptors();
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(problem) => return super::complain(problem),
    };
    match runtime.block_on(serve(args.config(), wait_for_signal())) {
        Ok(()) => exit::OK,
        Err(e) => super::complain(&e.to_string()),
    }
}

async fn wait_for_signal() {
    tokio::select! {
        () = receive(SignalKind::interrupt()) => {}
        () = receive(SignalKind::terminate()) => {}
    }
}

async fn receive(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(_) => std::future::pending().await,
    }
}
