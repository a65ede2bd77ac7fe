//! What one simulated engine is: its address, its model, its memory, its speed.
//!
//! The defaults are a 7B model with 128 KiB of KV a token on one H100, at 0.3 of the GPU.

use std::path::PathBuf;

use super::{
    error::SimError,
    fault::Faults,
    lmcache::LmcacheSource,
    timing::{TierSpeeds, Timing},
};

/// Everything one simulated engine is started with.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Name the model is served under; a request for another name is a 404.
    pub model: String,
    /// Index of the GPU the engine claims to use: the `gpu` label of its memory gauge.
    pub gpu: u32,
    /// Seconds between the start and the moment the port answers.
    pub startup_s: f64,
    /// Seed of the generated words, their number, and the jitter.
    pub seed: u64,
    /// Longest prompt and answer together, in tokens.
    pub max_model_len: u32,
    /// Requests that run at once; the others wait.
    pub max_num_seqs: usize,
    /// Tokens an answer has in the mean where nothing else ends it (uniform between a half and one and a half of it).
    pub mean_output_tokens: u32,
    /// Memory of the simulated GPU.
    pub gpu_total_mib: f64,
    /// Part of the GPU this engine may use, above 0 and at most 1.
    pub gpu_memory_utilization: f64,
    /// Memory taken by weights and activations: what is left of the engine's part is its KV pool.
    pub model_mib: f64,
    /// Memory used beyond the engine's part (the CUDA context).
    pub gpu_overhead_mib: f64,
    /// Size of one token's KV.
    pub kv_kib_per_token: f64,
    /// Size of the KV pool in tokens; `None` derives it from the memory.
    pub gpu_kv_tokens: Option<u32>,
    /// Tokens in one block of the KV pool.
    pub block_size: u32,
    /// Whether the KV pool keeps the blocks of finished requests for the next ones.
    pub prefix_caching: bool,
    /// `LMCache` inside the engine (`LMCacheConnectorV1`): where its configuration is.
    pub lmcache: Option<LmcacheSource>,
    /// `LMCache` as a server of its own (`LMCacheMPConnector`): the size of its first level, in GB.
    pub lmcache_mp_l1_gb: Option<f64>,
    /// Size of the store behind `remote_url`, in GB.
    pub remote_gb: f64,
    /// How fast the model computes.
    pub timing: Timing,
    /// How fast each cache tier loads and stores.
    pub tiers: TierSpeeds,
    /// Seconds that streams in flight may go on after the shutdown was asked for.
    pub shutdown_grace_s: f64,
    /// Where the engine's log lines go.
    pub log: LogLines,
    /// Where the moments of all answers are written at the end.
    pub stamps: Option<PathBuf>,
    /// What goes wrong, on purpose.
    pub faults: Faults,
}

/// Where the engine's log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLines {
    /// To stdout, as vLLM's do.
    Stdout,
    /// Nowhere.
    Off,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            model: "sim-7b".to_owned(),
            gpu: 0,
            startup_s: 0.1,
            seed: 0,
            max_model_len: 32_768,
            max_num_seqs: 256,
            mean_output_tokens: 256,
            gpu_total_mib: 81_559.0,
            gpu_memory_utilization: 0.3,
            model_mib: 14_847.0,
            gpu_overhead_mib: 1_247.0,
            kv_kib_per_token: 128.0,
            gpu_kv_tokens: None,
            block_size: 16,
            prefix_caching: true,
            lmcache: None,
            lmcache_mp_l1_gb: None,
            remote_gb: 100.0,
            timing: Timing::default(),
            tiers: TierSpeeds::default(),
            shutdown_grace_s: 0.5,
            log: LogLines::Stdout,
            stamps: None,
            faults: Faults::default(),
        }
    }
}

impl SimConfig {
    /// Size of the KV pool in whole blocks.
    pub fn gpu_blocks(&self) -> u32 {
        self.gpu_kv_tokens
            .unwrap_or_else(|| self.derived_kv_tokens())
            / self.block_size
    }

    /// Size of the KV pool in tokens, whole blocks only.
    pub fn kv_pool_tokens(&self) -> u32 {
        self.gpu_blocks() * self.block_size
    }

    /// Memory the engine occupies on its GPU while it runs.
    pub fn gpu_memory_used_mib(&self) -> f64 {
        self.gpu_total_mib * self.gpu_memory_utilization + self.gpu_overhead_mib
    }

    /// Size of one token's KV in GiB.
    pub fn kv_gib_per_token(&self) -> f64 {
        self.kv_kib_per_token / (1024.0 * 1024.0)
    }

    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// A parameter out of its range, or a KV pool too small for one request of `max_model_len`.
    pub fn validate(&self) -> Result<(), SimError> {
        self.validate_counts()?;
        self.validate_sizes()?;
        self.validate_times()?;
        if self.lmcache.is_some() && self.lmcache_mp_l1_gb.is_some() {
            return Err(SimError::TwoConnectors);
        }
        self.validate_pool()
    }

    fn validate_counts(&self) -> Result<(), SimError> {
        positive("block_size", f64::from(self.block_size))?;
        positive("max_model_len", f64::from(self.max_model_len))?;
        positive("max_num_seqs", self.max_num_seqs as f64)?;
        positive("mean_output_tokens", f64::from(self.mean_output_tokens))
    }

    fn validate_sizes(&self) -> Result<(), SimError> {
        positive("gpu_total_mib", self.gpu_total_mib)?;
        positive("gpu_memory_utilization", self.gpu_memory_utilization)?;
        if self.gpu_memory_utilization > 1.0 {
            return Err(SimError::parameter(
                "gpu_memory_utilization",
                self.gpu_memory_utilization,
                "at most 1",
            ));
        }
        positive("kv_kib_per_token", self.kv_kib_per_token)?;
        not_negative("model_mib", self.model_mib)?;
        not_negative("gpu_overhead_mib", self.gpu_overhead_mib)?;
        not_negative("remote_gb", self.remote_gb)?;
        not_negative("lmcache_mp_l1_gb", self.lmcache_mp_l1_gb.unwrap_or(0.0))
    }

    fn validate_times(&self) -> Result<(), SimError> {
        not_negative("startup_s", self.startup_s)?;
        not_negative("shutdown_grace_s", self.shutdown_grace_s)?;
        self.timing
            .parameters()
            .into_iter()
            .try_for_each(|(name, value)| not_negative(name, value))?;
        self.tiers
            .parameters()
            .into_iter()
            .try_for_each(|(name, value)| not_negative(name, value))?;
        self.tiers
            .bandwidths()
            .into_iter()
            .try_for_each(|(name, value)| positive(name, value))
    }

    fn validate_pool(&self) -> Result<(), SimError> {
        let needed = self.max_model_len.div_ceil(self.block_size);
        if self.gpu_blocks() >= needed {
            return Ok(());
        }
        let gib = |tokens: u32| f64::from(tokens) * self.kv_gib_per_token();
        Err(SimError::PoolTooSmall {
            max_model_len: self.max_model_len,
            needed_gib: gib(needed * self.block_size),
            available_gib: gib(self.kv_pool_tokens()),
        })
    }

    fn derived_kv_tokens(&self) -> u32 {
        let free_mib = self.gpu_total_mib * self.gpu_memory_utilization - self.model_mib;
        (free_mib.max(0.0) * 1024.0 / self.kv_kib_per_token) as u32
    }
}

fn positive(name: &'static str, value: f64) -> Result<(), SimError> {
    if value > 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(SimError::parameter(name, value, "above 0"))
    }
}

fn not_negative(name: &'static str, value: f64) -> Result<(), SimError> {
    if value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(SimError::parameter(name, value, "0 or more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(config: &SimConfig) -> String {
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn the_default_pool_is_the_one_the_h100_logged() {
        let config = SimConfig::default();
        assert_eq!(config.kv_pool_tokens(), 76_960);
        assert_eq!(format!("{:.0}", config.gpu_memory_used_mib()), "25715");
        config.validate().unwrap();
    }

    #[test]
    fn a_pool_too_small_is_refused_in_the_words_of_vllm() {
        let config = SimConfig {
            gpu_kv_tokens: Some(16_384),
            ..SimConfig::default()
        };
        assert_eq!(
            message(&config),
            "to serve at least one request with the model's max seq len (32768), 4.00 GiB KV cache is needed, which \
             is larger than the available KV cache memory (2.00 GiB); raise `gpu_memory_utilization` or lower \
             `max_model_len`"
        );
    }

    #[test]
    fn a_parameter_out_of_range_is_named() {
        let config = SimConfig {
            gpu_memory_utilization: 1.5,
            ..SimConfig::default()
        };
        assert_eq!(
            message(&config),
            "`gpu_memory_utilization` is 1.5, expected at most 1"
        );
        let config = SimConfig {
            startup_s: f64::NAN,
            ..SimConfig::default()
        };
        assert_eq!(message(&config), "`startup_s` is NaN, expected 0 or more");
        let timing = Timing {
            itl_s: -1.0,
            ..Timing::default()
        };
        let config = SimConfig {
            timing,
            ..SimConfig::default()
        };
        assert_eq!(message(&config), "`itl_s` is -1, expected 0 or more");
    }
}
