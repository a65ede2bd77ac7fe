//! A client that cannot send in time: every place that shows the numbers says that they are invalid.

use crate::common::{
    Finished, Sandbox, Simulator, eventually, finish, lmrun, unrecognized_simulator, wait,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

/// Two experiments, of 30 requests in 1.5 seconds each.
const SCRIPT: &str = r#"
    import "std/load" as load;
    import "std/sim" as sim;
    fn test_late() {
        let engine = start(sim::engine());
        engine.wait_until_ready(30);
        for i in 0..2 {
            let work = load::dummy(#{ requests: 30, gap_s: 0.05, context_len: 60, max_tokens: 2 });
            run(work, [engine], #{ max_send_lag_s: 0.1 });
        }
    }
"#;

/// Stops a process for long enough that most of its requests are late.
fn stall(child: &Child) {
    let pid = Pid::from_raw(child.id() as i32);
    kill(pid, Signal::SIGSTOP).expect("stopped");
    std::thread::sleep(Duration::from_secs(1));
    kill(pid, Signal::SIGCONT).expect("continued");
}

/// The number of rows of an experiment on disk.
fn rows_of(csv: &Path, experiment: usize) -> usize {
    let text = std::fs::read_to_string(csv).unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with(&format!("{experiment},")))
        .count()
}

fn late_run() -> (Sandbox, Finished) {
    let sandbox = Sandbox::new().file("t.rhai", SCRIPT);
    let child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    for experiment in 0..2 {
        eventually("rows", || {
            rows_of(&sandbox.path("out/test_late.csv"), experiment) > 2
        });
        stall(&child);
    }
    let run = wait(child);
    (sandbox, run)
}

#[test]
fn invalid_experiment_is_marked_in_all_outputs() {
    let (sandbox, run) = late_run();
    run.assert_code(5);
    let tables: Vec<&str> = run.stdout.split("TTFT p50 s").collect();
    assert_eq!(tables.len(), 3, "two tables: {}", run.stdout);
    assert!(
        tables[..2]
            .iter()
            .all(|above| above.contains("INVALID: lmrun sent")),
        "{}",
        run.stdout
    );
    let csv = sandbox.path("out/test_late.csv");
    let manifest =
        std::fs::read_to_string(csv.with_extension("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    for experiment in manifest["experiments"].as_array().expect("experiments") {
        assert_eq!(experiment["valid"], false, "{experiment}");
        assert_eq!(experiment["invalid"][0]["code"], "send_lag");
    }
    let rows = sandbox.rows("out/test_late.csv");
    assert!(
        rows.len() == 60 && rows.iter().all(|row| row["valid"] == "false"),
        "{rows:?}"
    );
    let summary = manifest["outcome"]["summary"].as_str().expect("a summary");
    assert!(
        summary.starts_with("invalid: experiment 0: lmrun sent"),
        "{summary}"
    );
    assert!(summary.contains("; experiment 1: lmrun sent"), "{summary}");

    let csv = csv.display().to_string();
    assert_eq!(finish(lmrun().args(["report", &csv])).code, 0);
    let page = sandbox.read("out/report.html");
    let titles = || {
        page.split("<svg")
            .skip(1)
            .map(|svg| svg.split("</g>").next().unwrap_or_default())
    };
    assert!(
        titles().count() > 5 && titles().all(|title| title.contains(">INVALID: ")),
        "every figure"
    );
    for table in [
        "<h3>Summary</h3>",
        "<h3>INVALID: Experiment 0",
        r#"<table class="sum""#,
    ] {
        assert!(page.contains(table), "{table}");
    }
    let exported =
        finish(lmrun().args(["export", &csv, "--to", "vllm", "--experiment", "1"])).stdout;
    let exported: Value = serde_json::from_str(&exported).expect("JSON");
    let remark = exported["lmrun"]["remarks"]["validity"]
        .as_str()
        .expect("a remark");
    assert!(remark.starts_with("INVALID: lmrun sent"), "{remark}");
}

#[test]
fn valid_column_is_set_at_the_end_of_a_test() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        fn test_a() { run(load::dummy(#{ requests: 3, gap_s: 0.05, context_len: 60, max_tokens: 2 }), [sim::engine()]); }
        fn test_b() {
            run(load::dummy(#{ requests: 3, gap_s: 0.05, context_len: 60, max_tokens: 2 }), [sim::engine()]);
            loop { }
        }
        "#,
    );
    let mut child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    eventually("rows", || rows_of(&sandbox.path("out/test_b.csv"), 0) == 3);
    let valid = |csv: &str| {
        let rows = sandbox.rows(csv);
        rows.iter()
            .map(|row| row["valid"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(valid("out/test_a.csv"), ["true", "true", "true"]);
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    assert_eq!(valid("out/test_b.csv"), ["", "", ""]);
    eventually("nothing is left", || sandbox.left_running().is_empty());
}

#[test]
fn load_table_marks_invalid_results() {
    let sim = Simulator::start(&[]);
    let mut command = lmrun();
    command.args([
        "load",
        "--url",
        &sim.url(),
        "--rate",
        "20",
        "--requests",
        "40",
        "--max-tokens",
        "2",
    ]);
    let child = command.spawn().expect("lmrun");
    eventually("requests are answered", || sim.requests() > 2);
    stall(&child);
    let run = wait(child);
    run.assert_code(5);
    let above = run.stdout.split("TTFT p50 s").next().unwrap_or_default();
    assert!(above.contains("INVALID: lmrun sent"), "{}", run.stdout);
}

/// Two programs that answer a workload for 16 tokens; the second with `second` tokens.
fn compared(second: u32, options: &str) -> (Sandbox, Finished) {
    let engine = |name, tokens: u32| {
        unrecognized_simulator(name, &format!("extra_body: #{{ max_tokens: {tokens} }}"))
    };
    let sandbox = Sandbox::new().file(
        "t.rhai",
        &r#"
            import "std/command" as command;
            import "std/load" as load;
            fn test_a() {
                let work = load::dummy(#{ requests: 2, gap_s: 0, context_len: 60, ignore_eos: true });
                run(work, [LONG, SECOND], OPTIONS);
            }
            "#
            .replace("LONG", &engine("long", 50))
            .replace("SECOND", &engine("short", second))
            .replace("OPTIONS", options),
    );
    let run = sandbox.run(&["t.rhai"]);
    (sandbox, run)
}

#[test]
fn unequal_output_tokens_are_invalid() {
    let said = "`short` generated 10.0 % fewer output tokens than `long` (90 vs 100, of 2 requests";
    let (sandbox, run) = compared(45, "#{}");
    run.assert_code(5);
    run.assert_stdout(&format!("INVALID: {said}"));
    let manifest = sandbox.read("out/test_a.manifest.json");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(
        manifest["experiments"][0]["invalid"][0]["code"],
        "unequal_work"
    );

    let (_, allowed) = compared(45, "#{ max_output_difference: 0.2 }");
    allowed.assert_code(0);
    assert!(
        allowed.stderr.contains(said) && !allowed.stdout.contains("INVALID"),
        "{}",
        allowed.stderr
    );

    let (_, slight) = compared(49, "#{}");
    slight.assert_code(0);
    slight.assert_stderr("2.0 % fewer output tokens");
}

#[test]
fn max_output_difference_above_one_is_refused() {
    let (_, run) = compared(50, "#{ max_output_difference: 5 }");
    run.assert_code(1);
    run.assert_stderr("expected a share, from 0 to 1, found 5");
}
