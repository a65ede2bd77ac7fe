//! Builds the caches and the scheduler of a configuration.

use super::cache::{KvPool, Tier, TierKind, Tiers};
use super::config::{BLOCK_TOKENS, KV_GIB_PER_TOKEN, REMOTE_GB, SimConfig};
use super::error::SimError;
use super::http::StoragePolicy;
use super::lmcache::{LmcacheConfig, RemoteSerde};
use super::scheduler::SchedulerSetup;
use super::timing::{self, TierSpeed};

/// Tokens per chunk of the `lmcache server`.
const MP_CHUNK_TOKENS: u32 = 256;

/// The parts of an engine that its configuration describes.
pub(crate) struct EngineParts {
    pub(crate) setup: SchedulerSetup,
    /// The KV that the tiers store; `None` without tiers.
    pub(crate) storage: Option<StoragePolicy>,
    pub(crate) warnings: Vec<String>,
}

/// The tiers of a configuration, and the connector to them.
struct Connector {
    tiers: Tiers,
    /// Seconds that each request waits for the connector.
    overhead_s: f64,
    storage: StoragePolicy,
    warnings: Vec<String>,
}

/// The size and the speed of a tier.
struct TierSpec {
    kind: TierKind,
    gb: f64,
    speed: TierSpeed,
}

/// Builds the caches and the scheduler's setup.
pub(crate) fn build(config: &SimConfig) -> Result<EngineParts, SimError> {
    let mut parts = EngineParts {
        setup: SchedulerSetup {
            timing: config.timing.clone(),
            pool: KvPool::new(config.gpu_blocks() as usize, config.prefix_caching),
            tiers: None,
            connector_s: 0.0,
            max_num_seqs: config.max_num_seqs,
            seed: config.seed,
        },
        storage: None,
        warnings: Vec::new(),
    };
    if let Some(connector) = connector(config)? {
        check_chunks(connector.storage.chunk_tokens)?;
        parts.setup.tiers = Some(connector.tiers);
        parts.setup.connector_s = connector.overhead_s;
        parts.storage = Some(connector.storage);
        parts.warnings = connector.warnings;
    }
    Ok(parts)
}

/// Refuses chunks that do not consist of whole blocks, as the real connector does.
fn check_chunks(chunk_tokens: u32) -> Result<(), SimError> {
    if chunk_tokens.is_multiple_of(BLOCK_TOKENS) {
        return Ok(());
    }
    Err(SimError::ChunkSize {
        chunk_tokens,
        block_tokens: BLOCK_TOKENS,
    })
}

fn connector(config: &SimConfig) -> Result<Option<Connector>, SimError> {
    if let Some(gb) = config.lmcache_mp_l1_gb {
        return Ok(Some(server_connector(gb)));
    }
    let Some(path) = &config.lmcache else {
        return Ok(None);
    };
    let lmcache = LmcacheConfig::load(path)?;
    Ok(Some(in_process_connector(lmcache)))
}

/// The connector to `LMCache` inside the engine.
fn in_process_connector(lmcache: LmcacheConfig) -> Connector {
    Connector {
        tiers: Tiers::new(lmcache.chunk_tokens, in_process_tiers(&lmcache)),
        overhead_s: timing::CONNECTOR_OVERHEAD_S,
        storage: StoragePolicy {
            chunk_tokens: lmcache.chunk_tokens,
            stores_output: lmcache.save_decode_cache,
        },
        warnings: lmcache.warnings,
    }
}

/// The connector to an `lmcache server` with `gb` of memory.
fn server_connector(gb: f64) -> Connector {
    let spec = TierSpec {
        kind: TierKind::MpServer,
        gb,
        speed: timing::MP_SERVER,
    };
    Connector {
        tiers: Tiers::new(MP_CHUNK_TOKENS, vec![tier(MP_CHUNK_TOKENS, &spec)]),
        overhead_s: timing::MP_OVERHEAD_S,
        storage: StoragePolicy {
            chunk_tokens: MP_CHUNK_TOKENS,
            stores_output: false,
        },
        warnings: Vec::new(),
    }
}

/// The tiers of `LMCache` inside the engine, the nearest first.
fn in_process_tiers(lmcache: &LmcacheConfig) -> Vec<Tier> {
    let mut specs = Vec::new();
    if let Some(gb) = lmcache.cpu_gb {
        specs.push(TierSpec {
            kind: TierKind::Cpu,
            gb,
            speed: timing::CPU,
        });
    }
    if let Some(gb) = lmcache.disk_gb {
        specs.push(TierSpec {
            kind: TierKind::Disk,
            gb,
            speed: timing::DISK,
        });
    }
    if let Some(serde) = lmcache.remote {
        specs.push(TierSpec {
            kind: TierKind::Remote,
            gb: REMOTE_GB,
            speed: match serde {
                RemoteSerde::Naive => timing::REMOTE_NAIVE,
                RemoteSerde::Cachegen => timing::REMOTE_CACHEGEN,
            },
        });
    }
    specs
        .iter()
        .map(|spec| tier(lmcache.chunk_tokens, spec))
        .collect()
}

/// An empty tier. The GB of `LMCache` are GiB.
fn tier(chunk_tokens: u32, spec: &TierSpec) -> Tier {
    let chunk_gib = f64::from(chunk_tokens) * KV_GIB_PER_TOKEN;
    Tier::new(spec.kind, (spec.gb / chunk_gib) as usize, spec.speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacities(yaml: &str) -> Vec<(&'static str, u64)> {
        let lmcache = LmcacheConfig::parse("lmcache.yaml", yaml).unwrap();
        let connector = in_process_connector(lmcache);
        connector.tiers.capacities()
    }

    #[test]
    fn lmcache_tiers_are_ordered_from_the_nearest() {
        assert_eq!(capacities("max_local_cpu_size: 1"), [("cpu", 8_192)]);
        assert_eq!(
            capacities(
                "local_disk: file:///kv\nmax_local_disk_size: 2\nremote_url: lm://localhost:1"
            ),
            [("cpu", 40_960), ("disk", 16_384), ("remote", 819_200)]
        );
    }

    #[test]
    fn chunk_size_must_be_a_multiple_of_the_block_size() {
        let error = check_chunks(100).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`chunk_size` of the LMCache configuration is 100, \
             expected a multiple of `block_size` (16)"
        );
    }
}
