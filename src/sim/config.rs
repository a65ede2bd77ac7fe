//! The configuration of a simulated engine: its address, its model, its memory and its speed.
//!
//! The constants are those of a 7B model on one H100.

use super::error::SimError;
use super::fault::Faults;
use super::timing::Timing;
use std::path::PathBuf;

/// Tokens per block of the KV pool.
pub(crate) const BLOCK_TOKENS: u32 = 16;
/// Size of the KV of one token, in GiB.
pub(crate) const KV_GIB_PER_TOKEN: f64 = 128.0 / (1024.0 * 1024.0);
/// Size of the store behind `remote_url`, in GB.
pub(crate) const REMOTE_GB: f64 = 100.0;
/// Memory of the simulated GPU.
const GPU_TOTAL_MIB: f64 = 81_559.0;
/// Memory of weights and activations. The rest of the engine's share is its KV pool.
const MODEL_MIB: f64 = 14_847.0;
/// Memory used beyond the engine's share (the CUDA context).
const GPU_OVERHEAD_MIB: f64 = 1_247.0;

/// The configuration of a simulated engine.
#[derive(Clone, Debug)]
pub(crate) struct SimConfig {
    /// Address to listen on.
    pub(crate) host: String,
    /// Port to listen on; 0 means a free one.
    pub(crate) port: u16,
    /// Name of the served model. A request for another name gets status 404.
    pub(crate) model: String,
    /// Index of the simulated GPU: the `gpu` label of the memory gauge.
    pub(crate) gpu: u32,
    /// Seconds from the start until the port answers.
    pub(crate) startup_s: f64,
    /// Seed of the generated words, of their number, and of the jitter.
    pub(crate) seed: u64,
    /// Maximum number of tokens of prompt and answer together.
    pub(crate) max_model_len: u32,
    /// Maximum number of running requests; the others wait.
    pub(crate) max_num_seqs: usize,
    /// Mean number of tokens of an answer without a limit: uniform from 0.5 to 1.5 times this.
    pub(crate) mean_output_tokens: u32,
    /// Share of the GPU's memory that the engine may use, above 0 and at most 1.
    pub(crate) gpu_memory_utilization: f64,
    /// Size of the KV pool in tokens; `None` computes it from the memory.
    pub(crate) gpu_kv_tokens: Option<u32>,
    /// True if the KV pool keeps the blocks of finished requests for later ones.
    pub(crate) prefix_caching: bool,
    /// Configuration file of `LMCache` inside the engine (`LMCacheConnectorV1`).
    pub(crate) lmcache: Option<PathBuf>,
    /// First-level size, in GB, of `LMCache` as a separate server (`LMCacheMPConnector`).
    pub(crate) lmcache_mp_l1_gb: Option<f64>,
    /// Speed of the model.
    pub(crate) timing: Timing,
    /// Seconds that streams in flight may continue after a shutdown was requested.
    pub(crate) shutdown_grace_s: f64,
    /// File for the timestamps of all answers, written at the end.
    pub(crate) stamps: Option<PathBuf>,
    /// Deliberate faults.
    pub(crate) faults: Faults,
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
            gpu_memory_utilization: 0.3,
            gpu_kv_tokens: None,
            prefix_caching: true,
            lmcache: None,
            lmcache_mp_l1_gb: None,
            timing: Timing::default(),
            shutdown_grace_s: 0.5,
            stamps: None,
            faults: Faults::default(),
        }
    }
}

impl SimConfig {
    /// Size of the KV pool in whole blocks.
    pub(crate) fn gpu_blocks(&self) -> u32 {
        self.gpu_kv_tokens
            .unwrap_or_else(|| self.derived_kv_tokens())
            / BLOCK_TOKENS
    }

    /// Size of the KV pool in tokens, whole blocks only.
    pub(crate) fn kv_pool_tokens(&self) -> u32 {
        self.gpu_blocks() * BLOCK_TOKENS
    }

    /// GPU memory that the engine uses while it runs.
    pub(crate) fn gpu_memory_used_mib(&self) -> f64 {
        GPU_TOTAL_MIB * self.gpu_memory_utilization + GPU_OVERHEAD_MIB
    }

    /// Checks that each value is in its range and that the values are consistent.
    ///
    /// # Errors
    /// Fails if a value is out of range, or if the KV pool is too small for one request of
    /// `max_model_len`.
    pub(crate) fn validate(&self) -> Result<(), SimError> {
        positive("max_model_len", f64::from(self.max_model_len))?;
        positive("max_num_seqs", self.max_num_seqs as f64)?;
        positive("mean_output_tokens", f64::from(self.mean_output_tokens))?;
        positive("gpu_memory_utilization", self.gpu_memory_utilization)?;
        if self.gpu_memory_utilization > 1.0 {
            return Err(SimError::parameter(
                "gpu_memory_utilization",
                self.gpu_memory_utilization,
                "at most 1",
            ));
        }
        not_negative("lmcache_mp_l1_gb", self.lmcache_mp_l1_gb.unwrap_or(0.0))?;
        not_negative("startup_s", self.startup_s)?;
        for (name, value) in self.timing.parameters() {
            not_negative(name, value)?;
        }
        if self.lmcache.is_some() && self.lmcache_mp_l1_gb.is_some() {
            return Err(SimError::TwoConnectors);
        }
        self.validate_pool()
    }

    fn validate_pool(&self) -> Result<(), SimError> {
        let needed = self.max_model_len.div_ceil(BLOCK_TOKENS);
        if self.gpu_blocks() >= needed {
            return Ok(());
        }
        let block_gib = f64::from(BLOCK_TOKENS) * KV_GIB_PER_TOKEN;
        Err(SimError::PoolTooSmall {
            max_model_len: self.max_model_len,
            needed_gib: f64::from(needed) * block_gib,
            available_gib: f64::from(self.gpu_blocks()) * block_gib,
        })
    }

    fn derived_kv_tokens(&self) -> u32 {
        let free_mib = GPU_TOTAL_MIB * self.gpu_memory_utilization - MODEL_MIB;
        (free_mib.max(0.0) / 1024.0 / KV_GIB_PER_TOKEN) as u32
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
    fn default_pool_size_is_that_logged_on_an_h100() {
        let config = SimConfig::default();
        assert_eq!(config.kv_pool_tokens(), 76_960);
        assert_eq!(format!("{:.0}", config.gpu_memory_used_mib()), "25715");
        config.validate().unwrap();
    }

    #[test]
    fn pool_too_small_is_refused_with_the_text_of_vllm() {
        let config = SimConfig {
            gpu_kv_tokens: Some(16_384),
            ..SimConfig::default()
        };
        assert_eq!(
            message(&config),
            "to serve at least one request with the model's max seq len (32768), 4.00 GiB KV cache \
             is needed, which is larger than the available KV cache memory (2.00 GiB); raise \
             `gpu_memory_utilization` or lower `max_model_len`"
        );
    }

    #[test]
    fn parameter_out_of_range_is_named() {
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
