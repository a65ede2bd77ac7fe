//! The conversion of API requests to work for the engine.

use super::error::ApiError;
use super::handlers::AppState;
use super::request::{CompletionRequest, chat_tokens};
use crate::sim::config::{BLOCK_TOKENS, SimConfig};
use crate::sim::scheduler::SimJob;
use crate::sim::sse::{Api, PromptUsage, UsageChunks};
use crate::sim::text::{AnswerBounds, AnswerText, natural_tokens};
use crate::sim::tokens::{GenerationPrompt, TokenId, prefix_hashes, sequence_hash};

/// The default length of an answer in `/v1/completions`.
const COMPLETION_TOKENS: u32 = 16;

/// The maximum number of answers of one request.
const MAX_ANSWERS: i64 = 1024;

/// The KV that the tiers store of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoragePolicy {
    /// Tokens per chunk.
    pub(crate) chunk_tokens: u32,
    /// True if generated tokens are stored too.
    pub(crate) stores_output: bool,
}

/// The delivery of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All at once.
    Whole,
    /// A stream, of which these chunks have the usage.
    Stream(UsageChunks),
}

/// A request that was accepted.
#[derive(Debug)]
pub(crate) struct AcceptedRequest {
    /// `n` answers for each prompt.
    pub(crate) answers: Vec<PlannedAnswer>,
    pub(crate) delivery: Delivery,
}

/// One answer of a request.
#[derive(Debug)]
pub(crate) struct PlannedAnswer {
    pub(crate) job: SimJob,
    pub(crate) text: AnswerText,
    pub(crate) prompt_usage: PromptUsage,
}

/// Accepts a request, or returns the error that vLLM would.
pub(crate) fn accept(
    app: &AppState,
    api: Api,
    mut request: CompletionRequest,
) -> Result<AcceptedRequest, ApiError> {
    check_model(&app.config, request.model.as_deref())?;
    let n = request.n.unwrap_or(1);
    let delivery = delivery(&request)?;
    let prompts = prompts(api, &mut request)?;
    if !(1..=MAX_ANSWERS / prompts.len() as i64).contains(&n) {
        let message =
            format!("n must be at least 1, and at most {MAX_ANSWERS} for all prompts, got {n}.");
        return Err(ApiError::invalid("n", message));
    }
    let planner = AnswerPlanner {
        app,
        api,
        request: &request,
        salt: salt(request.cache_salt.as_deref()),
    };
    let seed = request.seed.map_or(app.config.seed, i64::cast_unsigned);
    let mut answers = Vec::new();
    for prompt in prompts {
        for number in 0..n as u64 {
            let seed = sequence_hash(seed.wrapping_add(number), &prompt);
            let prompt_usage = if number == 0 {
                PromptUsage::Included
            } else {
                PromptUsage::Omitted
            };
            answers.push(planner.plan(&prompt, seed, prompt_usage)?);
        }
    }
    Ok(AcceptedRequest { answers, delivery })
}

/// Refuses a model that is not served.
pub(crate) fn check_model(config: &SimConfig, model: Option<&str>) -> Result<(), ApiError> {
    match model {
        Some(model) if model != config.model => Err(ApiError::UnknownModel(model.to_owned())),
        _ => Ok(()),
    }
}

fn delivery(request: &CompletionRequest) -> Result<Delivery, ApiError> {
    if request.stream != Some(true) {
        if request.stream_options.is_some() {
            return Err(ApiError::invalid(
                "stream_options",
                "Stream options can only be defined when `stream=True`.",
            ));
        }
        return Ok(Delivery::Whole);
    }
    let options = request.stream_options.unwrap_or_default();
    let usage = match (options.include_usage, options.continuous_usage_stats) {
        (Some(true), Some(true)) => UsageChunks::Every,
        (Some(true), _) => UsageChunks::Last,
        _ => UsageChunks::Never,
    };
    Ok(Delivery::Stream(usage))
}

fn prompts(api: Api, request: &mut CompletionRequest) -> Result<Vec<Vec<TokenId>>, ApiError> {
    match api {
        Api::Chat => match request.messages.take() {
            Some(messages) if !messages.is_empty() => {
                Ok(vec![chat_tokens(&messages, GenerationPrompt::Add)])
            }
            _ => Err(ApiError::missing("messages")),
        },
        Api::Completion => match request.prompt.take() {
            Some(prompt) => prompt.tokens(),
            None => Err(ApiError::missing("prompt")),
        },
    }
}

/// Returns the start value of prefix hashes, so that other salts share no cached prefix.
fn salt(cache_salt: Option<&str>) -> u64 {
    let Some(cache_salt) = cache_salt else {
        return 0;
    };
    cache_salt
        .bytes()
        .fold(1, |salt, byte| sequence_hash(salt, &[TokenId::from(byte)]))
}

/// Plans the answers of one request.
struct AnswerPlanner<'a> {
    app: &'a AppState,
    api: Api,
    request: &'a CompletionRequest,
    salt: u64,
}

impl AnswerPlanner<'_> {
    fn plan(
        &self,
        prompt: &[TokenId],
        seed: u64,
        prompt_usage: PromptUsage,
    ) -> Result<PlannedAnswer, ApiError> {
        let text = AnswerText::new(seed, &self.bounds(prompt.len() as u32, seed)?);
        Ok(PlannedAnswer {
            job: self.job(prompt, &text),
            text,
            prompt_usage,
        })
    }

    fn bounds(&self, prompt_tokens: u32, seed: u64) -> Result<AnswerBounds, ApiError> {
        let request = self.request;
        let requested = match request.max_completion_tokens.or(request.max_tokens) {
            Some(tokens) => Some(token_count("max_tokens", tokens, 1)?),
            None if self.api == Api::Completion => Some(COMPLETION_TOKENS),
            None => None,
        };
        let max_tokens = max_tokens(&self.app.config, prompt_tokens, requested)?;
        let min_tokens = token_count("min_tokens", request.min_tokens.unwrap_or(0), 0)?;
        if min_tokens > max_tokens {
            let message = format!(
                "min_tokens must be less than or equal to max_tokens={max_tokens}, \
                 got {min_tokens}."
            );
            return Err(ApiError::invalid("min_tokens", message));
        }
        let natural_tokens = match request.ignore_eos {
            Some(true) => None,
            _ => Some(natural_tokens(seed, self.app.config.mean_output_tokens)),
        };
        Ok(AnswerBounds {
            max_tokens,
            min_tokens,
            natural_tokens,
            stop: request.stop.clone().map(Into::into).unwrap_or_default(),
        })
    }

    fn job(&self, prompt: &[TokenId], text: &AnswerText) -> SimJob {
        let mut tokens = prompt.to_vec();
        tokens.extend(text.ids());
        let chunks = match self.app.storage {
            None => Vec::new(),
            Some(storage) => {
                let stored = if storage.stores_output {
                    &tokens[..]
                } else {
                    prompt
                };
                prefix_hashes(self.salt, stored, storage.chunk_tokens as usize)
            }
        };
        SimJob {
            prompt_tokens: prompt.len() as u32,
            answer_tokens: text.tokens(),
            finish: text.finish(),
            blocks: prefix_hashes(self.salt, &tokens, BLOCK_TOKENS as usize),
            chunks,
        }
    }
}

fn token_count(param: &'static str, tokens: i64, minimum: i64) -> Result<u32, ApiError> {
    match u32::try_from(tokens) {
        Ok(count) if tokens >= minimum => Ok(count),
        _ => Err(ApiError::invalid(
            param,
            format!("{param} must be at least {minimum}, got {tokens}."),
        )),
    }
}

/// Returns the maximum number of tokens of the answer.
fn max_tokens(
    config: &SimConfig,
    prompt_tokens: u32,
    requested: Option<u32>,
) -> Result<u32, ApiError> {
    let longest = config.max_model_len;
    let output = requested.unwrap_or(1);
    let total = u64::from(prompt_tokens) + u64::from(output);
    if total <= u64::from(longest) {
        return Ok(requested.unwrap_or(longest - prompt_tokens));
    }
    Err(ApiError::invalid(
        "input_tokens",
        format!(
            "This model's maximum context length is {longest} tokens. However, you requested \
             {output} output tokens and your prompt contains at least {prompt_tokens} input \
             tokens, for a total of at least {total} tokens. Please reduce the length of the \
             input prompt or the number of requested output tokens."
        ),
    ))
}
