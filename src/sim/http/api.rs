//! From a request of the API to what the engine computes.

use super::{
    super::{
        config::SimConfig,
        scheduler::Job,
        sse::{Api, UsageChunks},
        tokens::{GenerationPrompt, TokenId, prefix_hashes, sequence_hash},
        words::{Answer, Bounds, natural_tokens},
    },
    error::Refusal,
    request::{CompletionRequest, StreamOptions, chat_tokens},
};

/// The answer's length in `/v1/completions` where the request gives none.
const COMPLETION_TOKENS: u32 = 16;

/// What the tiers store of each request.
#[derive(Debug, Clone, Copy)]
pub struct Storing {
    /// Tokens in one chunk.
    pub chunk_tokens: u32,
    /// Whether generated tokens are stored too.
    pub decode: bool,
}

/// How the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// All at once.
    Whole,
    /// As a stream that tells the usage so.
    Stream(UsageChunks),
}

/// A request that is accepted.
#[derive(Debug)]
pub struct Plan {
    /// Its answers: `n` for each prompt.
    pub choices: Vec<Choice>,
    /// The way in which they are sent.
    pub delivery: Delivery,
}

/// One answer of a request.
#[derive(Debug)]
pub struct Choice {
    /// What is to be computed.
    pub job: Job,
    /// The text.
    pub answer: Answer,
    /// True for the first answer of its prompt, whose tokens count once.
    pub is_first: bool,
}

/// The most answers of one request.
const MOST_CHOICES: i64 = 1024;

/// Accepts a request or refuses it.
pub fn plan(
    config: &SimConfig,
    storing: Option<Storing>,
    api: Api,
    mut request: CompletionRequest,
) -> Result<Plan, Refusal> {
    check_model(config, request.model.as_deref())?;
    let n = request.n.unwrap_or(1);
    let delivery = delivery(&request)?;
    let prompts = prompts(api, &mut request)?;
    if !(1..=MOST_CHOICES / prompts.len() as i64).contains(&n) {
        let message =
            format!("n must be at least 1, and at most {MOST_CHOICES} for all prompts, got {n}.");
        return Err(Refusal::invalid("n", message));
    }
    let salt = request
        .cache_salt
        .as_deref()
        .map_or(0, |salt| salt.bytes().fold(1, salted));
    let seed = request.seed.map_or(config.seed, i64::cast_unsigned);
    let mut choices = Vec::new();
    for prompt in prompts {
        for number in 0..n as u64 {
            let answer_seed = sequence_hash(seed.wrapping_add(number), &prompt);
            let bounds = bounds(config, api, &request, prompt.len() as u32, answer_seed)?;
            let answer = Answer::new(answer_seed, &bounds);
            let job = job(config, storing, salt, prompt.clone(), &answer);
            choices.push(Choice {
                job,
                answer,
                is_first: number == 0,
            });
        }
    }
    Ok(Plan { choices, delivery })
}

/// Refuses a model that is not served.
pub fn check_model(config: &SimConfig, model: Option<&str>) -> Result<(), Refusal> {
    match model {
        Some(model) if model != config.model => Err(Refusal::UnknownModel(model.to_owned())),
        _ => Ok(()),
    }
}

fn delivery(request: &CompletionRequest) -> Result<Delivery, Refusal> {
    let Some(true) = request.stream else {
        return match request.stream_options {
            Some(_) => Err(Refusal::invalid(
                "stream_options",
                "Stream options can only be defined when `stream=True`.",
            )),
            None => Ok(Delivery::Whole),
        };
    };
    let StreamOptions {
        include_usage,
        continuous_usage_stats,
    } = request.stream_options.unwrap_or_default();
    Ok(Delivery::Stream(
        match (include_usage, continuous_usage_stats) {
            (Some(true), Some(true)) => UsageChunks::Every,
            (Some(true), _) => UsageChunks::Last,
            _ => UsageChunks::Never,
        },
    ))
}

fn prompts(api: Api, request: &mut CompletionRequest) -> Result<Vec<Vec<TokenId>>, Refusal> {
    let missing = |param| Refusal::invalid(param, format!("Field required: `{param}`"));
    match api {
        Api::Chat => {
            let messages = request
                .messages
                .take()
                .filter(|messages| !messages.is_empty());
            Ok(vec![chat_tokens(
                &messages.ok_or_else(|| missing("messages"))?,
                GenerationPrompt::Add,
            )])
        }
        Api::Completion => request
            .prompt
            .take()
            .ok_or_else(|| missing("prompt"))?
            .tokens(),
    }
}

fn bounds(
    config: &SimConfig,
    api: Api,
    request: &CompletionRequest,
    prompt_tokens: u32,
    seed: u64,
) -> Result<Bounds, Refusal> {
    let asked = match request.max_completion_tokens.or(request.max_tokens) {
        Some(tokens) => Some(token_count("max_tokens", tokens, 1)?),
        None => (api == Api::Completion).then_some(COMPLETION_TOKENS),
    };
    let max_tokens = check_length(config, prompt_tokens, asked)?;
    let min_tokens = token_count("min_tokens", request.min_tokens.unwrap_or(0), 0)?;
    if min_tokens > max_tokens {
        let message = format!(
            "min_tokens must be less than or equal to max_tokens={max_tokens}, got {min_tokens}."
        );
        return Err(Refusal::invalid("min_tokens", message));
    }
    let goes_on = request.ignore_eos == Some(true);
    let natural_tokens = (!goes_on).then(|| natural_tokens(seed, config.mean_output_tokens));
    Ok(Bounds {
        max_tokens,
        min_tokens,
        natural_tokens,
        stop: request.stop.clone().map(Into::into).unwrap_or_default(),
    })
}

fn token_count(param: &'static str, tokens: i64, least: i64) -> Result<u32, Refusal> {
    let message = || format!("{param} must be at least {least}, got {tokens}.");
    let valid = u32::try_from(tokens).ok().filter(|_| tokens >= least);
    valid.ok_or_else(|| Refusal::invalid(param, message()))
}

/// The most tokens the answer may have.
fn check_length(
    config: &SimConfig,
    prompt_tokens: u32,
    asked: Option<u32>,
) -> Result<u32, Refusal> {
    let longest = config.max_model_len;
    let output = asked.unwrap_or(1);
    if u64::from(prompt_tokens) + u64::from(output) <= u64::from(longest) {
        return Ok(asked.unwrap_or(longest - prompt_tokens));
    }
    let total = u64::from(prompt_tokens) + u64::from(output);
    Err(Refusal::invalid(
        "input_tokens",
        format!(
            "This model's maximum context length is {longest} tokens. However, you requested {output} output tokens \
             and your prompt contains at least {prompt_tokens} input tokens, for a total of at least {total} tokens. \
             Please reduce the length of the input prompt or the number of requested output tokens."
        ),
    ))
}

fn job(
    config: &SimConfig,
    storing: Option<Storing>,
    salt: u64,
    prompt: Vec<TokenId>,
    answer: &Answer,
) -> Job {
    let prompt_tokens = prompt.len() as u32;
    let mut tokens = prompt;
    tokens.extend(answer.ids());
    let chunks = storing.map(|storing| {
        let stored = if storing.decode {
            &tokens[..]
        } else {
            &tokens[..prompt_tokens as usize]
        };
        prefix_hashes(salt, stored, storing.chunk_tokens as usize)
    });
    Job {
        prompt_tokens,
        answer_tokens: answer.tokens(),
        finish: answer.finish(),
        blocks: prefix_hashes(salt, &tokens, config.block_size as usize),
        chunks: chunks.unwrap_or_default(),
    }
}

fn salted(salt: u64, byte: u8) -> u64 {
    sequence_hash(salt, &[TokenId::from(byte)])
}
