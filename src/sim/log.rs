//! Log lines on stdout in the words of vLLM and `LMCache`, for whatever reads an engine's log.

use std::{
    fmt::Display,
    io::{self, Write},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{config::LogLines, scheduler::Note};

/// Writes the log of one engine.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    lines: LogLines,
    kv_gib_per_token: f64,
}

impl Log {
    /// A log that goes there, of an engine with tokens of this size.
    pub fn new(lines: LogLines, kv_gib_per_token: f64) -> Self {
        Self {
            lines,
            kv_gib_per_token,
        }
    }

    /// What the KV pool came to.
    pub fn pool(&self, pool_tokens: u32, max_model_len: u32) {
        let gib = f64::from(pool_tokens) * self.kv_gib_per_token;
        let concurrency = f64::from(pool_tokens) / f64::from(max_model_len);
        let (pool, longest) = (grouped(pool_tokens), grouped(max_model_len));
        self.engine(
            "gpu_worker.py:508",
            format_args!("Available KV cache memory: {gib:.2} GiB"),
        );
        self.engine(
            "kv_cache_utils.py:2146",
            format_args!("GPU KV cache size: {pool} tokens"),
        );
        self.engine(
            "kv_cache_utils.py:2147",
            format_args!("Maximum concurrency for {longest} tokens per request: {concurrency:.2}x"),
        );
    }

    /// A step in the life of the API server.
    pub fn server(&self, text: impl Display) {
        self.put(format_args!(
            "(APIServer pid={}) INFO:     {text}",
            process::id()
        ));
    }

    /// A tier the engine has.
    pub fn tier(&self, name: &str, capacity_tokens: u64) {
        self.lmcache(format_args!(
            "Tier {name}: room for {capacity_tokens} tokens"
        ));
    }

    /// What the tiers did for a request.
    pub fn note(&self, request: &str, note: &Note) {
        match *note {
            Note::Looked { sources, hit_tokens, .. } => self.lmcache(format_args!(
                "Reqid: {request}, Total tokens {}, Inference Engine computed tokens: {}, LMCache hit tokens: \
                 {hit_tokens}, need to load: {}",
                sources.prompt_tokens(),
                sources.gpu_tokens,
                sources.tier_tokens
            )),
            Note::Retrieved { tokens, took_s, .. } => {
                let gib = f64::from(tokens) * self.kv_gib_per_token;
                self.lmcache(format_args!(
                    "[req_id={request}] Retrieved {tokens} out of {tokens} required tokens (from {tokens} total \
                     tokens). size: {gib:.4} gb, cost {:.4} ms, throughput: {:.4} GB/s;",
                    took_s * 1e3,
                    per_second(gib, took_s)
                ));
            }
            Note::Stored { tokens, took_s, .. } => {
                let gib = f64::from(tokens) * self.kv_gib_per_token;
                self.lmcache(format_args!(
                    "[req_id={request}] Stored {tokens} out of total {tokens} tokens. size: {gib:.4} GB, cost {:.4} \
                     ms, throughput: {:.4} GB/s; offload_time: {:.4} ms, put_time: 0.0000 ms",
                    took_s * 1e3,
                    per_second(gib, took_s),
                    took_s * 1e3
                ));
            }
        }
    }

    fn engine(&self, place: &str, text: impl Display) {
        let now = stamp();
        let (day, time) = (&now[5..10], &now[11..19]);
        self.put(format_args!(
            "(EngineCore pid={}) INFO {day} {time} [{place}] {text}",
            process::id()
        ));
    }

    fn lmcache(&self, text: impl Display) {
        let (colour, plain, italic) = ("\x1b[32;20m", "\x1b[0m", "\x1b[3m");
        self.put(format_args!(
            "(EngineCore pid={}) {colour}[{}] LMCache INFO:{plain} {text} {italic}(lmrun_sim){plain}",
            process::id(),
            stamp()
        ));
    }

    /// A log that cannot be written is no reason to stop serving.
    fn put(&self, line: impl Display) {
        if self.lines == LogLines::Stdout {
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
    }
}

fn per_second(gib: f64, took_s: f64) -> f64 {
    if took_s > 0.0 { gib / took_s } else { 0.0 }
}

/// 76960 as `76,960`.
fn grouped(number: u32) -> String {
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

/// Now, in UTC, as `2026-11-24 02:20:45,433`.
fn stamp() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    date_time(now.as_secs(), now.subsec_millis())
}

/// Days to a civil date after Howard Hinnant's `civil_from_days`.
fn date_time(seconds: u64, millis: u32) -> String {
    let (day, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02},{millis:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        assert_eq!(date_time(0, 0), "1970-01-01 00:00:00,000");
        assert_eq!(date_time(951_782_400, 7), "2000-02-29 00:00:00,007");
        assert_eq!(date_time(1_795_486_845, 433), "2026-11-24 02:20:45,433");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(
            [grouped(76_960), grouped(999), grouped(1_000_000)],
            ["76,960", "999", "1,000,000"]
        );
    }
}
