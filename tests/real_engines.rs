//! Real engines, where `scripts/engines/install.sh` has put them.
//!
//! Without them these tests say so and pass, except where `LMRUN_REQUIRE_ENGINES` is set.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::{Bench, root};
use std::path::PathBuf;

/// Where the engines' programs are.
fn engines() -> PathBuf {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let folder = std::env::var_os("LMRUN_ENGINES").map_or(home.join(".cache/lmrun-engines"), PathBuf::from);
    folder.join("bin")
}

/// Whether an engine is installed; a run that requires it must have it.
fn installed(program: &str) -> bool {
    let there = engines().join(program).exists();
    let required = std::env::var_os("LMRUN_REQUIRE_ENGINES").is_some();
    assert!(there || !required, "{program} is not installed: scripts/engines/install.sh model llamacpp");
    if !there {
        eprintln!("skipped: {program} is not installed (scripts/engines/install.sh)");
    }
    there
}

#[test]
fn llamacpp_reuses_the_prefix_that_a_slot_has_seen() {
    if !installed("llama-server") {
        return;
    }
    let bench = Bench::new();
    let script = root().join("scripts/cpu.rhai").display().to_string();
    let run =
        bench.run(&[&script, "-f", "llamacpp", "-P", "context_len=600", "-P", "gap_s=2", "-P", "requests=3"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let rows = bench.rows("out/test_llamacpp_prefix_cache.csv");
    assert_eq!(rows.len(), 6);
    for row in &rows {
        let number =
            |column: &str| row[column].parse::<f64>().unwrap_or_else(|_| panic!("{column} of {row:?}"));
        assert_eq!((row["status"].as_str(), row["simulated"].as_str()), ("ok", "false"));
        assert_eq!((row["output_tokens"].as_str(), row["chunks"].as_str()), ("8", "8"));
        assert!(number("prompt_tokens") > 600.0);
        let reuses = row["engine"] == "cached" && row["request_id"] != "0";
        assert_eq!(number("cached_tokens") > 300.0, reuses, "{row:?}");
    }
    assert_eq!(bench.left_running(), Vec::<String>::new());
}

#[test]
fn transformers_serves_and_ends() {
    if !engines().join("transformers").exists() {
        return eprintln!("skipped: transformers is not installed (scripts/engines/install.sh transformers)");
    }
    let bench = Bench::new();
    let script = root().join("scripts/cpu.rhai").display().to_string();
    let short = ["-P", "gap_s=1", "-P", "requests=1", "-P", "context_len=20", "-P", "max_tokens=3"];
    let run = bench.run(&[&[&*script, "-f", "transformers"][..], &short].concat());
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    for row in bench.rows("out/test_transformers_answers.csv") {
        let told = ["status", "output_tokens", "output_tokens_from", "chunks", "finish_reason"];
        assert_eq!(told.map(|column| row[column].as_str()), ["ok", "3", "usage", "3", "length"], "{row:?}");
    }
    assert_eq!(bench.left_running(), Vec::<String>::new());
}

#[test]
fn caches_of_lmcache_and_redis_stand_beside_an_engine() {
    let on_path = |program: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|dir| dir.join(program).is_file())
    };
    if !installed("llama-server") || !engines().join("lmcache_server").exists() || !on_path("redis-server") {
        eprintln!("skipped: lmcache_server or redis-server is not installed (scripts/engines/install.sh)");
        return;
    }
    let bench = Bench::new();
    let script = root().join("scripts/cpu.rhai").display().to_string();
    let run = bench.run(&[&script, "-f", "helpers", "-P", "gap_s=1", "-P", "requests=2"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let told = |what: &str| run.stdout.lines().chain(run.stderr.lines()).any(|line| line.contains(what));
    for helper in
        ["lmcache_server :65433", "redis :6401", "sentinel :26401", "sentinel :26402", "sentinel :26403"]
    {
        assert!(told(&format!("{helper}: ready after")), "{helper}: {}", run.stderr);
        assert!(told(&format!("{helper}: closed in")), "{helper}: {}", run.stderr);
    }
}
