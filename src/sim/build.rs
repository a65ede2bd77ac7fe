//! From a configuration to the caches and the scheduler it describes.

use super::{
    cache::{Pool, Tier, TierKind, Tiers},
    config::SimConfig,
    error::SimError,
    http::Storing,
    lmcache::{LmcacheConfig, Serde},
    scheduler::Setup,
    timing::TierSpeed,
};

/// Tokens in one chunk of the `lmcache server`.
const MP_CHUNK_TOKENS: u32 = 256;

/// What a configuration comes to.
pub struct Built {
    /// What the scheduler is made with.
    pub setup: Setup,
    /// What the tiers store of each request.
    pub storing: Option<Storing>,
    /// What is to be said about the configuration.
    pub warnings: Vec<String>,
}

/// The tiers of a configuration.
struct Connector {
    tiers: Tiers,
    overhead_s: f64,
    storing: Storing,
    warnings: Vec<String>,
}

/// Builds what the configuration describes.
pub fn build(config: &SimConfig) -> Result<Built, SimError> {
    let connector = connector(config)?;
    check_chunks(config, connector.as_ref())?;
    let (tiers, overhead_s, storing, warnings) = match connector {
        None => (None, 0.0, None, Vec::new()),
        Some(Connector {
            tiers,
            overhead_s,
            storing,
            warnings,
        }) => (Some(tiers), overhead_s, Some(storing), warnings),
    };
    let setup = Setup {
        timing: config.timing.clone(),
        pool: Pool::new(config.gpu_blocks() as usize, config.prefix_caching),
        tiers,
        connector_s: overhead_s,
        block_tokens: config.block_size,
        kv_gib_per_token: config.kv_gib_per_token(),
        max_num_seqs: config.max_num_seqs,
        seed: config.seed,
    };
    Ok(Built {
        setup,
        storing,
        warnings,
    })
}

/// The real connector refuses to start otherwise.
fn check_chunks(config: &SimConfig, connector: Option<&Connector>) -> Result<(), SimError> {
    let chunk_tokens = connector.map(|connector| connector.storing.chunk_tokens);
    match chunk_tokens {
        Some(chunk_tokens) if !chunk_tokens.is_multiple_of(config.block_size) => {
            Err(SimError::ChunkSize {
                chunk_tokens,
                block_tokens: config.block_size,
            })
        }
        _ => Ok(()),
    }
}

fn connector(config: &SimConfig) -> Result<Option<Connector>, SimError> {
    if let Some(l1_gb) = config.lmcache_mp_l1_gb {
        let tier = tier(
            config,
            TierKind::MpServer,
            l1_gb,
            MP_CHUNK_TOKENS,
            config.tiers.mp,
        );
        return Ok(Some(Connector {
            tiers: Tiers::new(MP_CHUNK_TOKENS, vec![tier]),
            overhead_s: config.tiers.mp_overhead_s,
            storing: Storing {
                chunk_tokens: MP_CHUNK_TOKENS,
                decode: false,
            },
            warnings: Vec::new(),
        }));
    }
    let Some(source) = &config.lmcache else {
        return Ok(None);
    };
    let lmcache = LmcacheConfig::load(source)?;
    Ok(Some(Connector {
        tiers: Tiers::new(lmcache.chunk_tokens, in_process_tiers(config, &lmcache)),
        overhead_s: config.tiers.connector_overhead_s,
        storing: Storing {
            chunk_tokens: lmcache.chunk_tokens,
            decode: lmcache.save_decode_cache,
        },
        warnings: lmcache.warnings,
    }))
}

fn in_process_tiers(config: &SimConfig, lmcache: &LmcacheConfig) -> Vec<Tier> {
    let speeds = &config.tiers;
    let remote_speed = |serde| match serde {
        Serde::Naive => speeds.remote_naive,
        Serde::Cachegen => speeds.remote_cachegen,
    };
    let cpu = lmcache.cpu_gb.map(|gb| (TierKind::Cpu, gb, speeds.cpu));
    let disk = lmcache.disk_gb.map(|gb| (TierKind::Disk, gb, speeds.disk));
    let remote = lmcache
        .remote
        .map(|serde| (TierKind::Remote, config.remote_gb, remote_speed(serde)));
    let all = [cpu, disk, remote].into_iter().flatten();
    all.map(|(kind, gb, speed)| tier(config, kind, gb, lmcache.chunk_tokens, speed))
        .collect()
}

/// A tier of this size; `LMCache`'s GB are GiB.
fn tier(config: &SimConfig, kind: TierKind, gb: f64, chunk_tokens: u32, speed: TierSpeed) -> Tier {
    let chunk_gib = f64::from(chunk_tokens) * config.kv_gib_per_token();
    Tier::new(kind, (gb / chunk_gib) as usize, speed)
}

#[cfg(test)]
mod tests {
    use super::{super::lmcache::LmcacheSource, *};

    fn tiers(yaml: &str) -> Vec<(&'static str, u64)> {
        let lmcache = Some(LmcacheSource::Yaml(yaml.to_owned()));
        let config = SimConfig {
            lmcache,
            ..SimConfig::default()
        };
        build(&config).unwrap().setup.tiers.unwrap().capacities()
    }

    #[test]
    fn a_yaml_gives_its_tiers_the_nearest_first() {
        assert_eq!(tiers("max_local_cpu_size: 1"), [("cpu", 8_192)]);
        assert_eq!(
            tiers("local_disk: file:///kv\nmax_local_disk_size: 2\nremote_url: lm://localhost:1"),
            [("cpu", 40_960), ("disk", 16_384), ("remote", 819_200)]
        );
    }

    #[test]
    fn a_chunk_is_made_of_whole_blocks() {
        let lmcache = Some(LmcacheSource::Yaml("chunk_size: 100".to_owned()));
        let error = build(&SimConfig {
            lmcache,
            ..SimConfig::default()
        })
        .err()
        .unwrap();
        assert_eq!(
            error.to_string(),
            "`chunk_size` of the LMCache configuration is 100, expected a multiple of `block_size` (16)"
        );
    }

    #[test]
    fn two_connectors_are_one_too_many() {
        let lmcache = Some(LmcacheSource::Yaml(String::new()));
        let config = SimConfig {
            lmcache,
            lmcache_mp_l1_gb: Some(1.0),
            ..SimConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "`lmcache` and `lmcache_mp_l1_gb` are two ways to run LMCache: give one of them"
        );
    }
}
