//! The tiers of an `LMCache` configuration, and their sizes.
//!
//! An invalid value is an error with file, position and key. An unknown key is only a warning.

use super::entries::YamlEntries;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The part of an `LMCache` configuration that the engine models.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LmcacheConfig {
    /// Tokens per chunk, the unit that is stored and found.
    pub(crate) chunk_tokens: u32,
    /// Size of the CPU tier in GB; `None` if `local_cpu` is false.
    pub(crate) cpu_gb: Option<f64>,
    /// Size of the disk tier in GB; `None` without `local_disk`.
    pub(crate) disk_gb: Option<f64>,
    /// The format of KV in the remote tier; `None` without `remote_url`.
    pub(crate) remote: Option<RemoteSerde>,
    /// True if the KV of generated tokens is stored too.
    pub(crate) save_decode_cache: bool,
    /// A warning per unknown key.
    pub(crate) warnings: Vec<String>,
}

/// The format of KV in the remote tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteSerde {
    /// Uncompressed.
    Naive,
    /// Compressed.
    Cachegen,
}

/// The reason why an `LMCache` configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LmcacheError {
    #[error("cannot read the LMCache configuration `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{place}: the LMCache configuration is not a YAML mapping: {message}")]
    Syntax {
        /// File, line and column.
        place: String,
        message: String,
    },
    #[error("{place}: `{key}` is {found}, expected {expected}")]
    Value {
        /// File, line and column.
        place: String,
        key: String,
        /// The value as JSON.
        found: String,
        expected: &'static str,
    },
}

impl LmcacheConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not a YAML mapping, or has an invalid value.
    pub(crate) fn load(path: &Path) -> Result<Self, LmcacheError> {
        let text = fs::read_to_string(path).map_err(|source| LmcacheError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses the text of the file `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, LmcacheError> {
        let entries = YamlEntries::parse(name, text)?;
        let cpu = entries.get("local_cpu", as_bool)?.unwrap_or(true);
        let cpu_gb = entries.get("max_local_cpu_size", as_gb)?.unwrap_or(5.0);
        let disk = entries.get("local_disk", as_path)?.unwrap_or(false);
        let disk_gb = entries.get("max_local_disk_size", as_gb)?.unwrap_or(0.0);
        let remote = entries.get("remote_url", as_url)?.unwrap_or(false);
        let serde = entries.get("remote_serde", as_serde)?;
        Ok(Self {
            chunk_tokens: entries.get("chunk_size", as_tokens)?.unwrap_or(256),
            cpu_gb: cpu.then_some(cpu_gb),
            disk_gb: disk.then_some(disk_gb),
            remote: remote.then_some(serde.unwrap_or(RemoteSerde::Naive)),
            save_decode_cache: entries.get("save_decode_cache", as_bool)?.unwrap_or(false),
            warnings: entries.warnings(),
        })
    }
}

fn as_bool(value: &Value) -> Result<bool, &'static str> {
    value.as_bool().ok_or("true or false")
}

fn as_gb(value: &Value) -> Result<f64, &'static str> {
    match value.as_f64() {
        Some(gb) if gb >= 0.0 => Ok(gb),
        _ => Err("a number of GB, 0 or more"),
    }
}

fn as_tokens(value: &Value) -> Result<u32, &'static str> {
    match value.as_u64().map(u32::try_from) {
        Some(Ok(tokens)) if tokens > 0 => Ok(tokens),
        _ => Err("a number of tokens above 0"),
    }
}

/// Returns true if the path is not empty.
fn as_path(value: &Value) -> Result<bool, &'static str> {
    let path = value.as_str().ok_or("a `file:///` URL or a path")?;
    Ok(!path.is_empty())
}

/// Returns true if the URL is not empty.
fn as_url(value: &Value) -> Result<bool, &'static str> {
    let url = value.as_str().ok_or("a URL")?;
    Ok(!url.is_empty())
}

fn as_serde(value: &Value) -> Result<RemoteSerde, &'static str> {
    match value.as_str() {
        Some("naive") => Ok(RemoteSerde::Naive),
        Some("cachegen") => Ok(RemoteSerde::Cachegen),
        _ => Err("`naive` or `cachegen`"),
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
    fn empty_file_is_a_cpu_tier_of_5_gb() {
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
    fn disk_and_remote_tiers_are_read() {
        let disk = parse("local_cpu: false\nlocal_disk: \"file:///kv\"\nmax_local_disk_size: 20\n");
        assert_eq!((disk.cpu_gb, disk.disk_gb), (None, Some(20.0)));
        let remote = parse(
            "remote_url: lm://localhost:65432\nremote_serde: cachegen\nsave_decode_cache: true\n",
        );
        assert_eq!(
            (remote.remote, remote.save_decode_cache),
            (Some(RemoteSerde::Cachegen), true)
        );
    }

    #[test]
    fn invalid_value_names_file_position_and_key() {
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
    fn text_without_a_mapping_names_the_position() {
        assert!(
            message("- a\n- b\n")
                .starts_with("lmcache.yaml:1:1: the LMCache configuration is not a YAML mapping")
        );
        assert!(message("a: [1\nb: 2\n").starts_with("lmcache.yaml:"));
    }

    #[test]
    fn missing_file_is_named() {
        let error = LmcacheConfig::load(Path::new("no/such.yaml")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the LMCache configuration `no/such.yaml`: \
             No such file or directory (os error 2)"
        );
    }

    #[test]
    fn only_unknown_keys_have_a_warning() {
        let config = parse("use_layerwise: true\nblend_min_tokens: 4\nlocal_device: cuda\n");
        assert_eq!(
            config.warnings,
            ["lmcache.yaml:3:15: unknown LMCache key `local_device`"]
        );
    }
}
