//! The keys of an `LMCache` configuration, with their positions in the text.

use super::LmcacheError;
use serde_json::Value;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// The keys and values of a YAML text, with their positions.
pub(crate) struct YamlEntries<'a> {
    name: &'a str,
    values: BTreeMap<String, Spanned<Value>>,
}

impl<'a> YamlEntries<'a> {
    pub(crate) fn parse(name: &'a str, text: &str) -> Result<Self, LmcacheError> {
        let read: Result<Option<BTreeMap<String, Spanned<Value>>>, _> =
            serde_saphyr::from_str(text);
        let values = read.map_err(|error| LmcacheError::Syntax {
            place: error
                .location()
                .map_or_else(|| name.to_owned(), |at| place(name, at)),
            message: without_place(&error.without_snippet().to_string()),
        })?;
        Ok(Self {
            name,
            values: values.unwrap_or_default(),
        })
    }

    /// Returns the value of a key, or `None` if it is absent or null. `read` returns the expected
    /// value as its error.
    pub(crate) fn get<T>(
        &self,
        key: &str,
        read: fn(&Value) -> Result<T, &'static str>,
    ) -> Result<Option<T>, LmcacheError> {
        let Some(entry) = self.values.get(key).filter(|entry| !entry.value.is_null()) else {
            return Ok(None);
        };
        match read(&entry.value) {
            Ok(value) => Ok(Some(value)),
            Err(expected) => Err(LmcacheError::Value {
                place: place(self.name, entry.referenced),
                key: key.to_owned(),
                found: entry.value.to_string(),
                expected,
            }),
        }
    }

    /// Returns a warning for each unknown key.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (key, entry) in &self.values {
            if is_known(key) {
                continue;
            }
            let place = place(self.name, entry.referenced);
            warnings.push(match most_similar(key) {
                Some(near) => {
                    format!("{place}: unknown LMCache key `{key}`; did you mean `{near}`?")
                }
                None => format!("{place}: unknown LMCache key `{key}`"),
            });
        }
        warnings
    }
}

fn place(name: &str, at: serde_saphyr::Location) -> String {
    format!("{name}:{}:{}", at.line(), at.column())
}

/// Removes the position from a message.
fn without_place(message: &str) -> String {
    message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message)
        .to_owned()
}

/// Returns true if `LMCache` 0.5 has the key.
fn is_known(key: &str) -> bool {
    const PREFIXES: [&str; 5] = ["blend_", "pd_", "nixl_", "internal_api_server_", "p2p_"];
    KEYS.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

fn most_similar(key: &str) -> Option<&'static str> {
    let likeness = |known: &str| strsim::jaro_winkler(key, known);
    KEYS.into_iter()
        .filter(|known| likeness(known) > 0.9)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

const KEYS: [&str; 32] = [
    "chunk_size",
    "local_cpu",
    "max_local_cpu_size",
    "local_disk",
    "max_local_disk_size",
    "remote_url",
    "remote_serde",
    "save_decode_cache",
    "use_layerwise",
    "save_unfull_chunk",
    "blocking_timeout_secs",
    "cache_policy",
    "min_retrieve_tokens",
    "numa_mode",
    "external_lookup_client",
    "enable_blending",
    "enable_p2p",
    "enable_controller",
    "controller_url",
    "controller_pull_url",
    "controller_reply_url",
    "lmcache_instance_id",
    "lmcache_worker_ports",
    "enable_pd",
    "enable_nixl",
    "gds_path",
    "gds_buffer_size",
    "weka_path",
    "error_handling",
    "pre_caching_hash_algorithm",
    "lookup_timeout_ms",
    "extra_config",
];
