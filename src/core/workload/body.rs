//! The HTTP request that a request becomes.

use super::{ConfigError, Request};
use crate::core::engine::server::check_headers;
use crate::driver::secrets;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The options that every request of a workload has in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestOptions {
    /// Maximum number of tokens to generate.
    pub max_tokens: u64,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Generate `max_tokens` tokens regardless of the end of text.
    pub ignore_eos: bool,
    /// Minimum number of tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<u64>,
    /// Texts that end the generation, as an array.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Endpoint of the API: "chat", or "completions" with the messages as one plain prompt.
    pub endpoint: Endpoint,
    /// Request the token count with every chunk. It gives the gaps between tokens if a chunk has
    /// several, and costs the client a few µs per chunk.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continuous_usage_stats: bool,
    /// Salt of the prefix cache of vLLM: requests with different salts share no cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_salt: Option<String>,
    /// Environment variable with the API key. The key itself is written nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Additional HTTP headers, as a map.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Additional fields of the request body, as a map; `()` removes a field.
    pub extra_body: Map<String, Value>,
}

/// The endpoint of the OpenAI API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/v1/chat/completions`.
    #[default]
    Chat,
    /// `/v1/completions`.
    Completions,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            max_tokens: 200,
            temperature: 0.0,
            ignore_eos: false,
            min_tokens: None,
            stop: Vec::new(),
            endpoint: Endpoint::Chat,
            continuous_usage_stats: false,
            cache_salt: None,
            api_key_env: None,
            headers: BTreeMap::new(),
            extra_body: Map::new(),
        }
    }
}

/// A message: its role and its text.
pub type Said = (std::sync::Arc<str>, String);

impl RequestOptions {
    /// The options, if they can be sent.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.max_tokens == 0 {
            return Err(ConfigError::new("max_tokens", "must be at least one"));
        }
        check_headers(&self.headers).map_err(|problem| ConfigError::new("headers", problem))?;
        match &self.api_key_env {
            Some(name) if std::env::var_os(name).is_none_or(|key| key.is_empty()) => {
                Err(ConfigError::new(
                    "api_key_env",
                    format!("names `{name}`, which the environment does not have"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// The headers of every request, the API key among them.
    pub fn all_headers(&self) -> BTreeMap<String, String> {
        let key = self
            .api_key_env
            .as_ref()
            .and_then(|name| std::env::var(name).ok());
        // The variable may have any name; what it holds is a key.
        secrets::register(key.iter().map(|key| ("key", key.as_str())));
        secrets::register(
            self.headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let bearer = key.map(|key| ("authorization".to_owned(), format!("Bearer {key}")));
        self.headers.clone().into_iter().chain(bearer).collect()
    }

    /// The body of a streamed request. `said` is the whole conversation, `engine_body` what the
    /// engine always wants.
    pub fn body(
        &self,
        model: &str,
        request: &Request,
        said: &[Said],
        engine_body: &Map<String, Value>,
    ) -> Bytes {
        let mut body = Vec::from(b"{");
        // The prompt may be long: it is written once, not cloned into a JSON tree. Writing JSON
        // into memory cannot fail.
        match self.endpoint {
            Endpoint::Chat => {
                body.extend(br#""messages":["#);
                for (i, (role, content)) in said.iter().enumerate() {
                    body.extend(if i == 0 {
                        br#"{"role":"#.as_slice()
                    } else {
                        br#",{"role":"#
                    });
                    let _ = serde_json::to_writer(&mut body, role);
                    body.extend(br#","content":"#);
                    let _ = serde_json::to_writer(&mut body, content);
                    body.push(b'}');
                }
                body.push(b']');
            }
            Endpoint::Completions => {
                let texts: Vec<&str> = said.iter().map(|(_, content)| content.as_str()).collect();
                body.extend(br#""prompt":"#);
                let _ = serde_json::to_writer(&mut body, &texts.join("\n"));
            }
        }
        body.push(b',');
        body.extend(
            &self
                .fields(model, request.output_len, engine_body)
                .to_string()
                .as_bytes()[1..],
        );
        Bytes::from(body)
    }

    /// The tokens that `request` may generate; `None` if a further field of its body decides it.
    pub fn max_tokens(&self, request: &Request, engine_body: &Map<String, Value>) -> Option<u64> {
        const DECIDE: [&str; 3] = ["max_tokens", "max_completion_tokens", "n"];
        let is_given = DECIDE
            .iter()
            .any(|name| self.extra_body.contains_key(*name) || engine_body.contains_key(*name));
        (!is_given).then(|| request.output_len.unwrap_or(self.max_tokens))
    }

    fn fields(
        &self,
        model: &str,
        output_len: Option<u64>,
        engine_body: &Map<String, Value>,
    ) -> Value {
        let mut fields = json!({
            "model": model,
            "max_tokens": output_len.unwrap_or(self.max_tokens),
            "temperature": self.temperature,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let (Value::Object(fields), Some(value)) = (&mut fields, value) {
                fields.insert(name.into(), value);
            }
        };
        set(
            "ignore_eos",
            (self.ignore_eos || output_len.is_some()).then(|| true.into()),
        );
        let continuous = json!({"include_usage": true, "continuous_usage_stats": true});
        set(
            "stream_options",
            self.continuous_usage_stats.then_some(continuous),
        );
        set("min_tokens", self.min_tokens.map(Value::from));
        set(
            "stop",
            (!self.stop.is_empty()).then(|| self.stop.clone().into()),
        );
        set("cache_salt", self.cache_salt.clone().map(Value::from));
        for (name, value) in engine_body.iter().chain(&self.extra_body) {
            set(name, Some(value.clone()));
        }
        if let Value::Object(fields) = &mut fields {
            fields.retain(|_, value| !value.is_null());
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(options: &RequestOptions, request: &Request, said: &[(&str, &str)]) -> Value {
        let said: Vec<Said> = said
            .iter()
            .map(|(role, text)| ((*role).into(), (*text).to_owned()))
            .collect();
        let engine = Map::from_iter([
            ("seed".to_owned(), json!(1)),
            ("cache_prompt".to_owned(), json!(false)),
        ]);
        serde_json::from_slice(&options.body("m", request, &said, &engine)).expect("JSON")
    }

    #[test]
    fn the_body_is_json_and_the_workloads_fields_win() {
        let options = RequestOptions {
            ignore_eos: true,
            min_tokens: Some(2),
            stop: vec!["\n".into()],
            cache_salt: Some("b".into()),
            extra_body: Map::from_iter([("seed".to_owned(), json!(7))]),
            ..RequestOptions::default()
        };
        assert_eq!(
            body(
                &options,
                &Request::default(),
                &[("system", "be \"kind\""), ("user", "hi\n")]
            ),
            json!({
                "messages": [
                    {"role": "system", "content": "be \"kind\""}, {"role": "user", "content": "hi\n"},
                ],
                "model": "m", "max_tokens": 200, "temperature": 0.0, "stream": true,
                "stream_options": {"include_usage": true}, "ignore_eos": true, "min_tokens": 2,
                "stop": ["\n"], "cache_salt": "b", "cache_prompt": false, "seed": 7,
            })
        );
    }

    #[test]
    fn a_completion_has_a_prompt_and_a_length_of_its_own() {
        let options = RequestOptions {
            endpoint: Endpoint::Completions,
            ..RequestOptions::default()
        };
        let request = Request {
            output_len: Some(3),
            ..Request::default()
        };
        let body = body(&options, &request, &[("user", "a"), ("assistant", "b")]);
        assert_eq!(
            (&body["prompt"], &body["max_tokens"]),
            (&json!("a\nb"), &json!(3))
        );
        assert_eq!(
            (&body["ignore_eos"], &body["messages"]),
            (&json!(true), &json!(null))
        );
    }

    #[test]
    fn a_field_that_is_null_is_left_out() {
        let options = RequestOptions {
            ignore_eos: true,
            extra_body: Map::from_iter([
                ("max_completion_tokens".to_owned(), json!(9)),
                ("max_tokens".to_owned(), Value::Null),
            ]),
            ..RequestOptions::default()
        };
        let engine_body = Map::from_iter([("ignore_eos".to_owned(), Value::Null)]);
        let said = [("user".into(), "hi".to_owned())];
        let body: Value =
            serde_json::from_slice(&options.body("m", &Request::default(), &said, &engine_body))
                .expect("JSON");
        assert_eq!(
            body,
            json!({
                "messages": [{"role": "user", "content": "hi"}], "model": "m", "temperature": 0.0,
                "stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 9,
            })
        );
    }

    #[test]
    fn a_key_is_named_and_never_written() {
        let named = |name: &str| RequestOptions {
            api_key_env: Some(name.into()),
            ..RequestOptions::default()
        };
        let error = named("LMRUN_NO_SUCH_KEY")
            .check()
            .expect_err("no such variable");
        assert_eq!(
            error.to_string(),
            "`api_key_env` names `LMRUN_NO_SUCH_KEY`, which the environment does not have"
        );
        let path = std::env::var("PATH").expect("a PATH");
        assert_eq!(
            named("PATH").all_headers()["authorization"],
            format!("Bearer {path}")
        );
        assert!(
            !serde_json::to_string(&named("PATH"))
                .expect("JSON")
                .contains(&path)
        );
        let headers = BTreeMap::from([("Authorization".to_owned(), "Bearer x".to_owned())]);
        assert!(
            RequestOptions {
                headers,
                ..RequestOptions::default()
            }
            .check()
            .is_err()
        );
    }

    #[test]
    fn the_options_are_read_by_the_names_that_are_written() {
        let json = r#"{"max_tokens": 3, "min_tokens": 1, "stop": ["x"], "endpoint": "completions",
                       "headers": {"x-a": "b"}, "temperature": 1, "cache_salt": "s"}"#;
        let options: RequestOptions = serde_json::from_str(json).expect("options");
        let again: RequestOptions =
            serde_json::from_value(serde_json::to_value(&options).expect("JSON")).expect("options");
        assert_eq!(options, again);
    }
}
