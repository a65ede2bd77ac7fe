//! The keys of an `LMCache` configuration, each with its place in the text.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_saphyr::Spanned;

use super::LmcacheError;

/// The keys of one YAML text, with their places.
pub struct Entries<'a> {
    name: &'a str,
    values: BTreeMap<String, Spanned<Value>>,
}

impl<'a> Entries<'a> {
    /// Reads a text.
    pub fn parse(name: &'a str, text: &str) -> Result<Self, LmcacheError> {
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

    /// The value of a key, or its default where it is absent or null.
    pub fn get<T>(
        &self,
        key: &str,
        default: T,
        expected: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, LmcacheError> {
        let Some(entry) = self.values.get(key).filter(|entry| !entry.value.is_null()) else {
            return Ok(default);
        };
        read(&entry.value).ok_or_else(|| LmcacheError::Value {
            place: place(self.name, entry.referenced),
            key: key.to_owned(),
            found: entry.value.to_string(),
            expected,
        })
    }

    /// A line for each key `LMCache` does not know.
    pub fn warnings(&self) -> Vec<String> {
        let unknown = self.values.iter().filter(|(key, _)| !known(key));
        unknown
            .map(|(key, entry)| {
                let near = KEYS
                    .iter()
                    .map(|known| (strsim::jaro_winkler(key, known), known));
                let near = near
                    .filter(|(likeness, _)| *likeness > 0.9)
                    .max_by(|a, b| a.0.total_cmp(&b.0));
                let hint =
                    near.map_or_else(String::new, |(_, near)| format!("; did you mean `{near}`?"));
                format!(
                    "{}: LMCache knows no key `{key}`{hint}",
                    place(self.name, entry.referenced)
                )
            })
            .collect()
    }
}

fn place(name: &str, at: serde_saphyr::Location) -> String {
    format!("{name}:{}:{}", at.line(), at.column())
}

/// The place stands before it.
fn without_place(message: &str) -> String {
    message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message)
        .to_owned()
}

/// Keys `LMCache` 0.5 knows, modelled or not.
fn known(key: &str) -> bool {
    const FAMILIES: [&str; 5] = ["blend_", "pd_", "nixl_", "internal_api_server_", "p2p_"];
    KEYS.contains(&key) || FAMILIES.iter().any(|family| key.starts_with(family))
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
