//! `LMCache`'s YAML: which tiers there are and how large they are.
//!
//! A wrong value is an error that names file, place and key. A key that `LMCache` does not know is only warned about.

use std::{fs, io, path::PathBuf};

use serde_json::Value;

use super::entries::Entries;

/// Where an `LMCache` configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LmcacheSource {
    /// In a file.
    File(PathBuf),
    /// In this YAML text.
    Yaml(String),
}

/// What the engine models of an `LMCache` configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct LmcacheConfig {
    /// Tokens in one chunk, the unit that is stored and found.
    pub chunk_tokens: u32,
    /// Size of the CPU tier in GB; `None` where `local_cpu` is false.
    pub cpu_gb: Option<f64>,
    /// Size of the disk tier in GB; `None` where there is no `local_disk`.
    pub disk_gb: Option<f64>,
    /// How KV travels to the remote tier; `None` where there is no `remote_url`.
    pub remote: Option<Serde>,
    /// Whether the KV of generated tokens is stored too.
    pub save_decode_cache: bool,
    /// Keys `LMCache` does not know, each as a line that warns of it.
    pub warnings: Vec<String>,
}

/// How KV is packed for the remote tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serde {
    /// As it is.
    Naive,
    /// Compressed.
    Cachegen,
}

/// Why an `LMCache` configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LmcacheError {
    /// The file cannot be read.
    #[error("cannot read the LMCache configuration `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The text is not YAML, or not a mapping.
    #[error("{place}: the LMCache configuration is not a YAML mapping: {message}")]
    Syntax {
        /// File, line and column.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// A key has a value it cannot have.
    #[error("{place}: `{key}` is {found}, expected {expected}")]
    Value {
        /// File, line and column.
        place: String,
        /// The key.
        key: String,
        /// The value as JSON.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl LmcacheConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The file cannot be read, is no YAML mapping, or has a value of the wrong kind.
    pub fn load(source: &LmcacheSource) -> Result<Self, LmcacheError> {
        match source {
            LmcacheSource::Yaml(text) => Self::parse("<inline>", text),
            LmcacheSource::File(path) => {
                let text = fs::read_to_string(path);
                let text = text.map_err(|source| LmcacheError::Read {
                    path: path.clone(),
                    source,
                })?;
                Self::parse(&path.display().to_string(), &text)
            }
        }
    }

    fn parse(name: &str, text: &str) -> Result<Self, LmcacheError> {
        let entries = Entries::parse(name, text)?;
        let size = |key, default| entries.get(key, default, "a number of GB, 0 or more", as_size);
        let cpu = entries.get("local_cpu", true, "true or false", Value::as_bool)?;
        let cpu_gb = size("max_local_cpu_size", 5.0)?;
        let disk = entries.get("local_disk", false, "a `file:///` URL or a path", as_text)?;
        let disk_gb = size("max_local_disk_size", 0.0)?;
        let remote = entries.get("remote_url", false, "a URL", as_text)?;
        let serde = entries.get(
            "remote_serde",
            Serde::Naive,
            "`naive` or `cachegen`",
            as_serde,
        )?;
        Ok(Self {
            chunk_tokens: entries.get(
                "chunk_size",
                256,
                "a number of tokens above 0",
                as_tokens,
            )?,
            cpu_gb: cpu.then_some(cpu_gb),
            disk_gb: disk.then_some(disk_gb),
            remote: remote.then_some(serde),
            save_decode_cache: entries.get(
                "save_decode_cache",
                false,
                "true or false",
                Value::as_bool,
            )?,
            warnings: entries.warnings(),
        })
    }
}

fn as_size(value: &Value) -> Option<f64> {
    value.as_f64().filter(|size| *size >= 0.0)
}

fn as_tokens(value: &Value) -> Option<u32> {
    value
        .as_u64()
        .filter(|tokens| *tokens > 0)
        .and_then(|tokens| u32::try_from(tokens).ok())
}

fn as_text(value: &Value) -> Option<bool> {
    value.as_str().map(|text| !text.is_empty())
}

fn as_serde(value: &Value) -> Option<Serde> {
    match value.as_str()? {
        "naive" => Some(Serde::Naive),
        "cachegen" => Some(Serde::Cachegen),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> LmcacheConfig {
        LmcacheConfig::parse("lmcache.yaml", text).unwrap()
    }

    fn message(text: &str) -> String {
        LmcacheConfig::parse("lmcache.yaml", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_empty_file_is_a_cpu_tier_of_5_gb() {
        for text in ["", "# nothing\n", "chunk_size: 256\n"] {
            let config = parse(text);
            assert_eq!(
                (config.chunk_tokens, config.cpu_gb),
                (256, Some(5.0)),
                "{text:?}"
            );
            assert_eq!((config.disk_gb, config.remote), (None, None));
        }
    }

    #[test]
    fn each_store_is_read() {
        let disk = parse("local_cpu: false\nlocal_disk: \"file:///kv\"\nmax_local_disk_size: 20\n");
        assert_eq!((disk.cpu_gb, disk.disk_gb), (None, Some(20.0)));
        let remote = parse(
            "remote_url: lm://localhost:65432\nremote_serde: cachegen\nsave_decode_cache: true\n",
        );
        assert_eq!(
            (remote.remote, remote.save_decode_cache),
            (Some(Serde::Cachegen), true)
        );
    }

    #[test]
    fn a_wrong_value_names_file_place_and_key() {
        assert_eq!(
            message("local_cpu: true\nchunk_size: many\n"),
            "lmcache.yaml:2:13: `chunk_size` is \"many\", expected a number of tokens above 0"
        );
        assert_eq!(
            message("remote_serde: zip\n"),
            "lmcache.yaml:1:15: `remote_serde` is \"zip\", expected `naive` or `cachegen`"
        );
    }

    #[test]
    fn text_that_is_no_mapping_names_the_place() {
        assert!(
            message("- a\n- b\n")
                .starts_with("lmcache.yaml:1:1: the LMCache configuration is not a YAML mapping")
        );
        assert!(message("a: [1\nb: 2\n").starts_with("lmcache.yaml:"));
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = LmcacheConfig::load(&LmcacheSource::File("no/such.yaml".into())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the LMCache configuration `no/such.yaml`: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn only_keys_lmcache_does_not_know_are_warned_about() {
        let config = parse("use_layerwise: true\nblend_min_tokens: 4\nlocal_device: cuda\n");
        assert_eq!(
            config.warnings,
            ["lmcache.yaml:3:15: LMCache knows no key `local_device`"]
        );
    }
}
