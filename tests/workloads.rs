//! The workload generators through the real binary, on the simulator.

use crate::common::{Finished, Sandbox, finish, root};
use std::collections::HashMap;

type Row = HashMap<String, String>;

const IMPORTS: &str = r#"
    import "std/load" as load;
    import "std/sim" as sim;
    import "std/check" as check;
"#;

/// Returns a sandbox with the script `t.rhai`.
fn with_imports(script: &str) -> Sandbox {
    Sandbox::new().file("t.rhai", &format!("{IMPORTS}{script}"))
}

/// Runs `body` as a test; returns the sandbox, what was printed, and the rows.
fn run(body: &str) -> (Sandbox, Finished, Vec<Row>) {
    let sandbox = Sandbox::new().file("t.rhai", &format!("{IMPORTS}fn test_a() {{ {body} }}"));
    let ran = sandbox.run(&["t.rhai"]);
    let rows = sandbox.rows("out/test_a.csv");
    (sandbox, ran, rows)
}

fn number(row: &Row, column: &str) -> f64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column} of {row:?}"))
}

#[test]
fn example_workloads_pass() {
    let sandbox = Sandbox::new();
    let script = root().join("scripts/workloads.rhai").display().to_string();
    let quick = [
        "-P",
        "qps=8",
        "-P",
        "max_tokens=4",
        "-P",
        "at_least=0",
        "-P",
        "speed=20",
    ];
    let ran = sandbox.run(&[&[script.as_str(), "--engine", "sim"][..], &quick].concat());
    ran.assert_code(0);
}

#[test]
fn multi_turn_sends_the_conversation_in_order() {
    let (_, ran, rows) =
        run("run(load::multi_turn(#{ turns: 4, gap_s: 0.2, max_tokens: 10 }), [sim::engine()]);");
    ran.assert_code(0);
    assert_eq!(
        rows.iter()
            .map(|row| row["turn"].as_str())
            .collect::<Vec<_>>(),
        ["0", "1", "2", "3"]
    );
    for (turn, pair) in rows.windows(2).enumerate() {
        let (before, row) = (&pair[0], &pair[1]);
        assert!(
            number(row, "sent_s") >= number(before, "done_s"),
            "sent before the answer was there"
        );
        assert!(
            number(row, "planned_s") >= 0.2 * (turn + 1) as f64 - 1e-6,
            "sent before its moment"
        );
        // The 25 ms a token of the simulator make turns longer than the gap: the answer decides.
        assert!((number(row, "planned_s") - number(before, "done_s")).abs() < 1e-6);
        assert_eq!(row["timestamp"], row["planned_s"]);
        let history = number(before, "context_len")
            + number(before, "query_len")
            + number(before, "output_tokens");
        assert!((number(row, "context_len") - history).abs() < 1e-9);
        let grown = number(row, "prompt_tokens") - number(before, "prompt_tokens");
        assert!(
            grown > 10.0 + 16.0,
            "the answer and the question are in the prompt: {grown} more"
        );
        assert!(number(row, "latency") > number(row, "TTFT") && number(row, "TTFT") > 0.0);
    }
}

#[test]
fn turn_after_a_failed_turn_is_a_failed_row() {
    let (_, ran, rows) = run(
        "run(load::multi_turn(#{ turns: 3, gap_s: 0, context_len: 3000, max_tokens: 4 }), [sim::engine(#{ max_model_len: 500 })], #{ may_fail: true });",
    );
    assert_eq!(
        (ran.code, rows.len()),
        (0, 3),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert!(rows[0]["error"].starts_with("HTTP 400"), "{:?}", rows[0]);
    for (turn, before) in [(1, 0), (2, 1)] {
        assert_eq!(
            rows[turn]["error"],
            format!("not sent: request {before}, which it answers to, has no answer")
        );
        assert_eq!(rows[turn]["sent_s"], "");
    }
}

#[test]
fn closed_loop_keeps_concurrency() {
    let (_, ran, rows) = run(
        "run(load::random(#{ input_len: 50, output_len: #{ uniform: [2, 8] }, requests: 20, concurrency: 3 }), [sim::engine()]);",
    );
    assert_eq!(
        (ran.code, rows.len()),
        (0, 20),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let under_way = |at: f64| {
        rows.iter()
            .filter(|row| number(row, "sent_s") <= at && number(row, "done_s") > at)
            .count()
    };
    let most = rows
        .iter()
        .map(|row| under_way(number(row, "sent_s")))
        .max();
    assert_eq!(most, Some(3));
    let starts = rows
        .iter()
        .filter(|row| number(row, "planned_s") == 0.0)
        .count();
    assert_eq!(starts, 3, "three at once, then one for one");
}

#[test]
fn long_doc_qa_waits_for_the_first_round() {
    let (_, ran, rows) = run(
        "run(load::long_doc_qa(#{ documents: 3, context_len: 500, repeats: 1, gap_s: 0.1, max_tokens: 4 }), [sim::engine()]);",
    );
    assert_eq!(
        (ran.code, rows.len()),
        (0, 6),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let (first, second): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row["turn"] == "0");
    let ended = first
        .iter()
        .map(|row| number(row, "done_s"))
        .fold(0.0, f64::max);
    assert!(
        second.iter().all(|row| number(row, "sent_s") >= ended),
        "{rows:?}"
    );
}

#[test]
fn lengths_are_exact_if_the_engine_counts_tokens() {
    let (_, ran, rows) = run(r#"
        run(load::random(#{ input_len: #{ uniform: [20, 400] }, requests: 6, gap_s: 0, max_tokens: 2 }), [sim::engine()]);
        run(load::random(#{ input_len: 100, requests: 1, gap_s: 0, max_tokens: 2, tokenizer: "rule" }), [sim::engine()]);
        "#);
    ran.assert_code(0);
    let extra: Vec<f64> = rows[..6]
        .iter()
        .map(|row| number(row, "prompt_tokens") - number(row, "query_len"))
        .collect();
    assert!(
        extra.iter().all(|tokens| (tokens - extra[0]).abs() < 1e-9),
        "the chat template alone is added: {extra:?}"
    );
    assert!(
        rows[..6]
            .iter()
            .all(|row| row["context_len_from"] == "engine")
    );
    assert_eq!(rows[6]["context_len_from"], "rule");
}

#[test]
fn options_set_request_fields() {
    let (_, ran, rows) = run(r#"
        let engine = sim::engine();
        run(load::custom([#{ prompt: "one two three", output_len: 5 }], #{ endpoint: "completions", headers: #{ "x-tag": "a" } }), [engine]);
        run(load::custom([#{ messages: [#{ role: "system", content: "be brief" }, #{ role: "user", content: "hi" }] }],
                         #{ max_tokens: 3, min_tokens: 3, stop: ["zzz"], cache_salt: "s" }), [engine]);
        "#);
    assert_eq!(
        (ran.code, rows.len()),
        (0, 2),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(
        (
            rows[0]["output_tokens"].as_str(),
            rows[0]["query_len"].as_str()
        ),
        ("5", "3")
    );
    // A completion has no chat template around its prompt: three words and the mark of the beginning.
    assert_eq!(rows[0]["prompt_tokens"], "4");
    assert_eq!(
        (
            rows[1]["output_tokens"].as_str(),
            rows[1]["context_len"].as_str()
        ),
        ("3", "2")
    );
}

#[test]
fn cache_salt_separates_prompts() {
    let (_, ran, rows) = run(r#"
        let engine = start(sim::engine(#{ prefix_caching: true }));
        engine.wait_until_ready(30);
        for salt in ["a", "a", "b"] { run(load::dummy(#{ requests: 1, context_len: 600, max_tokens: 2, cache_salt: salt }), [engine]); }
        "#);
    assert_eq!(
        (ran.code, rows.len()),
        (0, 3),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(
        rows.iter()
            .map(|row| number(row, "cached_tokens") > 0.0)
            .collect::<Vec<_>>(),
        [false, true, false]
    );
}

#[test]
fn api_key_is_not_written() {
    const KEY: &str = "sk-very-secret-0815";
    let sandbox = with_imports(
        r#"
        fn test_a() { run(load::dummy(#{ requests: 1, context_len: 20, max_tokens: 2, api_key_env: "MY_KEY" }), [sim::engine()]); }
        "#,
    );
    let ran = finish(sandbox.command(&["t.rhai"]).env("MY_KEY", KEY));
    ran.assert_code(0);
    assert!(
        ![&ran.stdout, &ran.stderr]
            .iter()
            .any(|printed| printed.contains(KEY))
    );
    let manifest = sandbox.read("out/test_a.manifest.json");
    assert!(
        manifest.contains(r#""MY_KEY""#),
        "its name is kept: {manifest}"
    );
    for entry in std::fs::read_dir(sandbox.path("out")).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let text = std::fs::read(&path).expect("a file");
            assert!(
                !String::from_utf8_lossy(&text).contains(KEY),
                "{} has the key",
                path.display()
            );
        }
    }
}
