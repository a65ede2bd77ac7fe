//! Options that engines and helpers of the library have in common.
//!
//! In the map of an `options::fill`, an entry that is only a default declares the option of that
//! name here or, if it is missing here, in `EngineSpec`.

use super::option_key::{OptionKey, OptionType};
use super::schema::Schema;
use crate::core::{EngineSpec, Seconds};
use crate::driver::container::ContainerSpec;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct CommonOptions {
    /// Model to serve.
    model: String,
    /// Name of the model in requests. By default, `model`.
    served_model_name: String,
    /// Index of the first GPU to use, as `nvidia-smi` numbers them.
    gpu: u32,
    /// Number of GPUs to use.
    tensor_parallel_size: u32,
    /// LMCache configuration inside the engine: a path or a map.
    lmcache: Value,
    /// Enable the engine's own prefix cache, so that it may serve a repeated prompt from GPU
    /// memory.
    prefix_caching: bool,
    /// Maximum number of tokens of a prompt and its answer.
    max_model_len: u64,
    /// Run code that comes with the model.
    trust_remote_code: bool,
    /// Additional command-line flags, as a map; `true` for a flag without a value.
    flags: Map<String, Value>,
    /// Program to start.
    program: Value,
    /// Time to exit after each signal, in seconds.
    grace_s: Seconds,
}

/// The common option of this name.
pub(crate) fn common_option(name: &str) -> Option<OptionKey> {
    let mut option = common_field(name)?;
    if name == "container" {
        // It may also be a string: the image.
        option.types = vec![OptionType::Options(
            Schema::new::<ContainerSpec>().options(),
        )];
    }
    Some(option)
}

fn common_field(name: &str) -> Option<OptionKey> {
    let schemas = [Schema::new::<CommonOptions>(), Schema::new::<EngineSpec>()];
    let mut options = schemas.into_iter().flat_map(Schema::options);
    options.find(|option| option.name == name)
}
