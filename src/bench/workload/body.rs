//! The JSON body of a request.

use super::Prompt;
use super::text::push_json_string;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How every request of a workload is to be answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestOptions {
    /// Tokens to generate at the most.
    pub max_tokens: u64,
    /// Sampling temperature; 0 takes the likeliest token.
    pub temperature: f64,
    /// Whether to go on to `max_tokens` whatever the model says.
    pub ignore_eos: bool,
    /// Further fields of the request body, as the engine names them.
    pub extra_body: Map<String, Value>,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self { max_tokens: 200, temperature: 0.0, ignore_eos: false, extra_body: Map::new() }
    }
}

impl RequestOptions {
    /// The options that a config may carry beside the generator's own.
    pub const KEYS: [&'static str; 4] = ["max_tokens", "temperature", "ignore_eos", "extra_body"];

    /// The body of a streamed chat completion. `engine_body` is what the engine always wants.
    pub fn chat(&self, model: &str, prompt: &Prompt, engine_body: &Map<String, Value>) -> Bytes {
        let mut rest = json!({
            "model": model,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        if let Value::Object(fields) = &mut rest {
            if self.ignore_eos {
                fields.insert("ignore_eos".into(), true.into());
            }
            fields.extend(engine_body.clone());
            fields.extend(self.extra_body.clone());
        }
        // The prompt may be long: it is written once, not cloned into a JSON tree.
        let mut body = String::from(r#"{"messages":[{"role":"user","content":"#);
        push_json_string(&mut body, &prompt.text());
        body.push_str("}],");
        body.push_str(&rest.to_string()[1..]);
        Bytes::from(body)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;

    #[test]
    fn the_body_is_json_and_the_workloads_fields_win() {
        let prompt = Prompt(vec![Part::Literal("say \"hi\"\n".into())]);
        let options = RequestOptions {
            ignore_eos: true,
            extra_body: Map::from_iter([("cache_salt".to_owned(), json!("b"))]),
            ..RequestOptions::default()
        };
        let engine = Map::from_iter([
            ("cache_salt".to_owned(), json!("a")),
            ("cache_prompt".to_owned(), json!(false)),
        ]);
        let body: Value = serde_json::from_slice(&options.chat("m", &prompt, &engine)).expect("JSON");
        assert_eq!(
            body,
            json!({
                "messages": [{"role": "user", "content": "say \"hi\"\n"}],
                "model": "m", "max_tokens": 200, "temperature": 0.0, "stream": true,
                "stream_options": {"include_usage": true}, "ignore_eos": true,
                "cache_prompt": false, "cache_salt": "b",
            })
        );
    }

    #[test]
    fn the_list_of_keys_is_the_struct() {
        let fields = serde_json::to_value(RequestOptions::default()).expect("JSON");
        let names: Vec<&String> = fields.as_object().expect("an object").keys().collect();
        assert_eq!(names, RequestOptions::KEYS.each_ref());
    }
}
