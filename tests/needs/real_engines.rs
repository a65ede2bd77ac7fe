//! Real engines and a real tokenizer, as `scripts/engines/install.sh` installs them.

use crate::common::{Finished, Sandbox, root};
use crate::need::{LLAMACPP, LMCACHE, MODEL, REDIS, TRANSFORMERS, VLLM, engines, trial};
use libtest_mimic::Trial;
use std::collections::HashMap;

/// Runs engines one after another: each needs all the cores, and their ports are fixed.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(lengths_match_a_real_tokenizer, &[MODEL]),
        trial(llamacpp_reuses_the_prefix_of_a_slot, &[MODEL, LLAMACPP]),
        trial(transformers_serves_and_closes, &[MODEL, TRANSFORMERS]),
        trial(
            lmcache_server_and_redis_sentinels_run_with_an_engine,
            &[MODEL, LLAMACPP, LMCACHE, REDIS],
        ),
        trial(vllm_reuses_a_cached_prefix, &[MODEL, VLLM]),
        trial(lmcache_serves_vllm_from_cpu_memory, &[MODEL, VLLM, LMCACHE]),
        trial(
            lmcache_serves_vllm_from_a_folder_after_a_restart,
            &[MODEL, VLLM, LMCACHE],
        ),
        trial(
            lmcache_serves_vllm_from_redis_after_a_restart,
            &[MODEL, VLLM, LMCACHE, REDIS],
        ),
    ]
}

/// Runs one test of `scripts/cpu.rhai`, which must pass and leave nothing running.
fn run(test: &str, parameters: &[&str]) -> (Sandbox, Finished) {
    let sandbox = Sandbox::new();
    let script = root().join("scripts/cpu.rhai").display().to_string();
    let mut args = vec![script, "-f".to_owned(), format!("^{test}$")];
    args.extend(
        parameters
            .iter()
            .flat_map(|parameter| ["-P".to_owned(), (*parameter).to_owned()]),
    );
    let run = sandbox.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    run.assert_code(0);
    sandbox.assert_nothing_runs();
    (sandbox, run)
}

fn number(row: &HashMap<String, String>, column: &str) -> f64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column} of {row:?}"))
}

/// Texts of drawn words have exactly their length, recorded ones the length that the tokenizer counts, and
/// the fixed sentences are within the stated three per cent.
fn lengths_match_a_real_tokenizer() {
    let model = engines().join("models/smollm2-hf");
    let tokenizer = lmrun::driver::tokenizer::Tokenizer::load(&model).expect("a tokenizer");
    let sandbox = Sandbox::new().file(
        "t.rhai",
        &r#"
            import "std/load" as load;
            fn test_a() {
                for r in load::rag(#{ requests: 3, separator: "", tokenizer: "MODEL" }).generate() { print(`${r.context_len + r.query_len}|${r.prompt}`); }
                for r in load::random(#{ requests: 3, input_len: #{ lognormal: [900, 300] } }).generate() { print(`${r.query_len}|${r.prompt}`); }
                for r in load::trace("TRACE", #{ tokenizer: "MODEL" }).generate() { print(`${r.query_len}|${r.prompt}`); }
                for r in load::dummy(#{ requests: 1, query_len: 0 }).generate() { print(`${r.context_len}|${r.prompt.split(" Index")[0]}`); }
            }
            "#
            .replace("MODEL", &model.display().to_string())
            .replace("TRACE", &root().join("scripts/data/mooncake_sessions.jsonl").display().to_string()),
    );
    let ran = sandbox.run(&["t.rhai"]);
    ran.assert_code(0);
    let printed = ran
        .stdout
        .lines()
        .filter_map(|line| line.trim().split_once('|'));
    let lengths: Vec<(u64, u64)> = printed
        .filter_map(|(asked, text)| {
            Some((asked.parse().ok()?, tokenizer.count(&format!(" {text}"))?))
        })
        .collect();
    assert_eq!(lengths.len(), 3 + 3 + 9 + 1, "{}", ran.stdout);
    for (asked, counted) in &lengths[..15] {
        assert!(asked.abs_diff(*counted) <= 1, "{counted} for {asked}");
    }
    let (asked, counted) = lengths[15];
    assert!(
        (counted as f64 / asked as f64 - 1.0).abs() < 0.03,
        "{counted} for {asked}"
    );
}

fn llamacpp_reuses_the_prefix_of_a_slot() {
    let (sandbox, _) = run(
        "test_llamacpp_prefix_cache",
        &["context_len=600", "gap_s=2", "requests=3"],
    );
    PrefixTest {
        name: "test_llamacpp_prefix_cache",
        cached: "cached",
        prompt_tokens: 600.0,
    }
    .assert_reuse(&sandbox);
}

/// A test that sends three requests with a common prefix to each of two engines, of which one serves
/// the later requests from a cache.
struct PrefixTest {
    name: &'static str,
    /// The engine that has the cache.
    cached: &'static str,
    /// The lower bound of each prompt. More than half of it is cached.
    prompt_tokens: f64,
}

impl PrefixTest {
    fn assert_reuse(&self, sandbox: &Sandbox) {
        let rows = sandbox.rows(&format!("out/{}.csv", self.name));
        assert_eq!(rows.len(), 6);
        for row in &rows {
            assert_eq!(
                (row["status"].as_str(), row["simulated"].as_str()),
                ("ok", "false")
            );
            assert_eq!(
                (row["output_tokens"].as_str(), row["chunks"].as_str()),
                ("8", "8")
            );
            assert!(number(row, "prompt_tokens") > self.prompt_tokens);
            let reuses = row["engine"] == self.cached && row["request_id"] != "0";
            let is_cached = number(row, "cached_tokens") > self.prompt_tokens / 2.0;
            assert_eq!(is_cached, reuses, "{row:?}");
        }
    }
}

fn transformers_serves_and_closes() {
    let short = ["gap_s=1", "requests=1", "context_len=20", "max_tokens=3"];
    let (sandbox, _) = run("test_transformers_answers", &short);
    for row in sandbox.rows("out/test_transformers_answers.csv") {
        let told = [
            "status",
            "output_tokens",
            "output_tokens_from",
            "chunks",
            "finish_reason",
        ];
        assert_eq!(
            told.map(|column| row[column].as_str()),
            ["ok", "3", "usage", "3", "length"],
            "{row:?}"
        );
    }
}

fn lmcache_server_and_redis_sentinels_run_with_an_engine() {
    let (_bench, run) = run(
        "test_helpers_stand_beside_an_engine",
        &["gap_s=1", "requests=2"],
    );
    let told = |what: &str| {
        run.stdout
            .lines()
            .chain(run.stderr.lines())
            .any(|line| line.contains(what))
    };
    for helper in [
        "lmcache_server :65433",
        "redis :6401",
        "sentinel :26401",
        "sentinel :26402",
        "sentinel :26403",
    ] {
        assert!(
            told(&format!("{helper}: ready after")),
            "{helper}: {}",
            run.stderr
        );
        assert!(
            told(&format!("{helper}: closed in")),
            "{helper}: {}",
            run.stderr
        );
    }
}

fn vllm_reuses_a_cached_prefix() {
    let (sandbox, _) = run("test_vllm_prefix_cache", &["requests=3", "gap_s=12"]);
    PrefixTest {
        name: "test_vllm_prefix_cache",
        cached: "cached",
        prompt_tokens: 1200.0,
    }
    .assert_reuse(&sandbox);
}

fn lmcache_serves_vllm_from_cpu_memory() {
    let (sandbox, _) = run("test_lmcache_local_cpu", &["requests=3", "gap_s=12"]);
    PrefixTest {
        name: "test_lmcache_local_cpu",
        cached: "lmcache",
        prompt_tokens: 1200.0,
    }
    .assert_reuse(&sandbox);
}

fn lmcache_serves_vllm_from_a_folder_after_a_restart() {
    run("test_lmcache_folder_survives_a_restart", &["requests=2"]);
}

fn lmcache_serves_vllm_from_redis_after_a_restart() {
    run("test_lmcache_redis_survives_a_restart", &["requests=2"]);
}
