//! The log on standard output, in the format of vLLM and `LMCache`, for tools that read engine
//! logs.

use super::config::KV_GIB_PER_TOKEN;
use super::scheduler::CacheEvent;
use jiff::Timestamp;
use std::fmt::Display;
use std::io::{self, Write};
use std::process;

/// Logs the size of the KV pool.
pub(crate) fn pool_size(pool_tokens: u32, max_model_len: u32) {
    let gib = f64::from(pool_tokens) * KV_GIB_PER_TOKEN;
    let concurrency = f64::from(pool_tokens) / f64::from(max_model_len);
    let pool = group_thousands(pool_tokens);
    let longest = group_thousands(max_model_len);
    engine_line(
        "gpu_worker.py:508",
        format_args!("Available KV cache memory: {gib:.2} GiB"),
    );
    engine_line(
        "kv_cache_utils.py:2146",
        format_args!("GPU KV cache size: {pool} tokens"),
    );
    engine_line(
        "kv_cache_utils.py:2147",
        format_args!("Maximum concurrency for {longest} tokens per request: {concurrency:.2}x"),
    );
}

/// Logs what the tiers did for a request.
pub(crate) fn cache_event(request: &str, event: &CacheEvent) {
    match *event {
        CacheEvent::LookedUp {
            sources,
            hit_tokens,
            ..
        } => lmcache_line(format_args!(
            "Reqid: {request}, Total tokens {}, Inference Engine computed tokens: {}, \
             LMCache hit tokens: {hit_tokens}, need to load: {}",
            sources.prompt_tokens(),
            sources.gpu_tokens,
            sources.tier_tokens
        )),
        CacheEvent::Retrieved { tokens, took_s, .. } => {
            let gib = f64::from(tokens) * KV_GIB_PER_TOKEN;
            lmcache_line(format_args!(
                "[req_id={request}] Retrieved {tokens} out of {tokens} required tokens \
                 (from {tokens} total tokens). size: {gib:.4} gb, cost {:.4} ms, \
                 throughput: {:.4} GB/s;",
                took_s * 1e3,
                per_second(gib, took_s)
            ));
        }
        CacheEvent::Stored { tokens, took_s, .. } => {
            let gib = f64::from(tokens) * KV_GIB_PER_TOKEN;
            lmcache_line(format_args!(
                "[req_id={request}] Stored {tokens} out of total {tokens} tokens. \
                 size: {gib:.4} GB, cost {:.4} ms, throughput: {:.4} GB/s; \
                 offload_time: {:.4} ms, put_time: 0.0000 ms",
                took_s * 1e3,
                per_second(gib, took_s),
                took_s * 1e3
            ));
        }
    }
}

/// Logs a line of the API server.
pub(crate) fn server_line(text: impl Display) {
    let pid = process::id();
    write(format_args!("(APIServer pid={pid}) INFO:     {text}"));
}

/// Logs the capacity of a tier.
pub(crate) fn tier_line(name: &str, capacity_tokens: u64) {
    lmcache_line(format_args!(
        "Tier {name}: room for {capacity_tokens} tokens"
    ));
}

fn engine_line(place: &str, text: impl Display) {
    let now = now();
    let pid = process::id();
    let date = &now[5..10];
    let time = &now[11..19];
    write(format_args!(
        "(EngineCore pid={pid}) INFO {date} {time} [{place}] {text}"
    ));
}

fn lmcache_line(text: impl Display) {
    let pid = process::id();
    let now = now();
    write(format_args!(
        "(EngineCore pid={pid}) \x1b[32;20m[{now}] LMCache INFO:\x1b[0m {text} \
         \x1b[3m(lmrun_sim)\x1b[0m"
    ));
}

fn write(line: impl Display) {
    // The standard output of unit tests is not a log.
    if !cfg!(test) {
        // The engine must serve even if its log cannot be written.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

fn per_second(gib: f64, took_s: f64) -> f64 {
    if took_s > 0.0 { gib / took_s } else { 0.0 }
}

/// Formats 76960 as `76,960`.
fn group_thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The current time in UTC.
fn now() -> String {
    timestamp(Timestamp::now())
}

/// Formats a time as `2026-11-24 02:20:45,433`.
fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S,%3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_milliseconds_after_a_comma() {
        for (millis, text) in [
            (0, "1970-01-01 00:00:00,000"),
            (951_782_400_007, "2000-02-29 00:00:00,007"),
            (1_795_486_845_433, "2026-11-24 02:20:45,433"),
        ] {
            assert_eq!(
                timestamp(Timestamp::from_millisecond(millis).unwrap()),
                text
            );
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [76_960, 999, 1_000_000].map(group_thousands),
            ["76,960", "999", "1,000,000"]
        );
    }
}
