//! `lmrun SCRIPT`, from the command line to the files, on the simulator.

use crate::common::{
    Finished, Sandbox, all_processes, eventually, finish, lmrun, root, unrecognized_simulator, wait,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::time::{Duration, Instant};

/// What stands beside a test's rows.
fn manifest(sandbox: &Sandbox, name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(sandbox.path(&format!("out/{name}.manifest.json")));
    serde_json::from_str(&text.expect("a manifest")).expect("JSON")
}

fn tests_rhai() -> String {
    root().join("scripts/tests.rhai").display().to_string()
}

#[test]
fn list_prints_tests_and_starts_nothing() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        throw "the top level must not run";
        /// Second sentence is left out. Really.
        fn test_b() {}
        fn test_a() {}
        private fn test_hidden() {}
        fn other() {}
        "#,
    );
    let listed = sandbox.run(&["t.rhai", "-l"]);
    assert_eq!(
        (listed.code, listed.stdout.as_str()),
        (0, "test_b  Second sentence is left out.\ntest_a\n")
    );
    assert_eq!(
        sandbox.run(&["t.rhai", "-l", "-f", "oth"]).stdout,
        "other\n"
    );
    assert!(!sandbox.path("out").exists());
}

#[test]
fn lmcache_local_cpu_on_the_simulator() {
    let sandbox = Sandbox::new();
    let script = tests_rhai();
    // What is fast on a machine that does other things too is not a test's business.
    let quick = [
        "-P",
        "gap_s=0.6",
        "-P",
        "requests=3",
        "-P",
        "max_tokens=4",
        "-P",
        "at_least=0",
    ];
    let args = [
        &[
            script.as_str(),
            "-f",
            "lmcache_local_cpu",
            "--engine",
            "sim",
        ][..],
        &quick[..],
    ]
    .concat();
    let run = sandbox.run(&args);
    run.assert_code(0);
    run.assert_stdout("lmcache (simulated)");

    let rows = sandbox.rows("out/test_lmcache_local_cpu.csv");
    assert_eq!(rows.len(), 3 * 2 * 3);
    let header = sandbox.read("out/test_lmcache_local_cpu.csv");
    assert!(header.starts_with(
        "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory,engine,"
    ));
    for row in &rows {
        let number = |column: &str| {
            row[column]
                .parse::<f64>()
                .unwrap_or_else(|_| panic!("{column} of {row:?}"))
        };
        assert_eq!(
            (row["status"].as_str(), row["simulated"].as_str()),
            ("ok", "true")
        );
        assert!(number("TTFT") > 0.0 && number("TTFT") <= number("latency"));
        assert!((number("TTFT") - (number("first_token_s") - number("sent_s"))).abs() < 1e-9);
        assert!(number("send_lag_s") >= 0.0, "sent before it was due");
        assert_eq!(row["output_tokens"], "4");
        let memory: serde_json::Value = serde_json::from_str(&row["gpu_memory"]).expect("JSON");
        let gpus = memory.as_object().expect("GPUs");
        let own = if row["engine"] == "lmcache" {
            "gpu-0"
        } else {
            "gpu-1"
        };
        assert!(
            gpus.len() == 1 && gpus[own].as_f64() > Some(0.0),
            "{memory}"
        );
        // Only the second and later requests to the cached engine find anything.
        let cached = row["engine"] == "lmcache" && row["request_id"] != "0";
        assert_eq!(number("cached_tokens") > 0.0, cached, "{row:?}");
    }
    let ids: std::collections::HashSet<_> = rows.iter().map(|row| &row["x_request_id"]).collect();
    assert_eq!(ids.len(), rows.len(), "every request has an id of its own");

    let manifest = manifest(&sandbox, "test_lmcache_local_cpu");
    assert_eq!(manifest["outcome"], json!({ "passed": true }));
    assert!(manifest["took_s"].as_f64() > Some(1.0), "{manifest}");
    let checks = manifest["checks"].as_array().expect("checks");
    assert!(
        !checks.is_empty() && checks.iter().all(|check| check["passed"] == true),
        "{checks:?}"
    );
    assert_eq!(manifest["experiments"].as_array().map(Vec::len), Some(3));
    assert_eq!(manifest["parameters"]["gap_s"], "0.6");
    for port in sandbox.ports {
        let log = sandbox.read(&format!("out/{port}-stdout.log"));
        assert!(log.contains("Application startup complete."), "{log}");
    }
    sandbox.assert_nothing_runs();
}

#[test]
fn vary_length_and_cache_compatibility_on_the_simulator() {
    let sandbox = Sandbox::new();
    let script = tests_rhai();
    let quick = ["-P", "gap_s=1", "-P", "requests=3", "-P", "max_tokens=2"];
    let run = sandbox.run(
        &[
            &[
                script.as_str(),
                "-f",
                "vary|compatibility",
                "--engine",
                "sim",
            ][..],
            &quick[..],
        ]
        .concat(),
    );
    run.assert_code(0);
    let lengths: Vec<String> = sandbox
        .rows("out/test_vary_length_workload.csv")
        .iter()
        .map(|row| row["context_len"].clone())
        .collect();
    assert_eq!(lengths, ["12288", "24576", "24576"]);
    assert_eq!(
        sandbox.rows("out/test_cache_compatibility.csv").len(),
        3 * 2 * 3
    );
}

#[test]
fn model_name_is_part_of_the_csv_name() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        fn test_one() { run(load::dummy(#{ requests: 1, gap_s: 0, context_len: 60, max_tokens: 2 }), [sim::engine()]); }
        "#,
    );
    let run = finish(
        sandbox
            .command(&["t.rhai", "-m", "org/model"])
            .args(["-o", "elsewhere/"]),
    );
    assert_eq!(run.code, 2, "-o twice is refused: {}", run.stderr);
    let [p1, p2] = sandbox.ports.map(|port| port.to_string());
    let mut command = lmrun();
    command.current_dir(sandbox.dir.path()).args([
        "t.rhai",
        "-m",
        "org/model",
        "-o",
        "elsewhere/",
        "-p",
        &p1,
        &p2,
    ]);
    assert_eq!(finish(&mut command).code, 0);
    assert_eq!(
        sandbox.rows("elsewhere/test_one_org.csv")[0]["model"],
        "org/model"
    );
}

#[test]
fn failed_test_keeps_rows_and_the_next_runs() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        import "std/check" as check;
        fn test_1() {
            let engine = sim::engine();
            let seen = run(load::dummy(#{ requests: 2, gap_s: 0, context_len: 60, max_tokens: 2 }), [engine]);
            check::at_least(seen[engine].ttft.p50, 1000.0, "TTFT");
            check::equal(seen[engine].failed, 0, "failed");
            check::that(true, "not with sk-abcdef");
        }
        fn test_2() { print("second"); }
        "#,
    );
    let run = finish(sandbox.command(&["t.rhai"]).env("MY_API_KEY", "sk-abcdef"));
    run.assert_code(1);
    run.assert_stdout("FAILED: TTFT: 0.");
    run.assert_stdout("passed: failed: 0 (expected 0)");
    run.assert_stdout("second\npassed test_2");
    assert_eq!(sandbox.rows("out/test_1.csv").len(), 2);
    let manifest = manifest(&sandbox, "test_1");
    assert_eq!(
        manifest["outcome"],
        json!({ "passed": false, "code": 1, "summary": "1 check failed" })
    );
    assert_eq!(
        manifest["checks"].as_array().expect("checks")[1..],
        [
            json!({ "passed": true, "what": "failed: 0 (expected 0)", "expr_id": 0 }),
            json!({ "passed": true, "what": "not with (removed)", "expr_id": 0 }),
        ]
    );
    assert_eq!(manifest["checks"][0]["passed"], false, "{manifest}");
}

#[test]
fn started_engine_runs_until_close_or_test_end() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        import "std/check" as check;
        fn test_handle() {
            let engine = start(sim::engine(#{ prefix_caching: true }));
            check::that(engine.wait_until_ready(60), "ready");
            check::that(engine.is_healthy(), "healthy");
            let work = load::dummy(#{ requests: 1, gap_s: 0, context_len: 600, max_tokens: 2 });
            let first = run(work, [engine]);
            let second = run(work, [engine]);
            check::equal(first[engine].cached_tokens.max, 0.0, "cold");
            check::at_least(second[engine].cached_tokens.max, 500.0, "warm: the same engine");
            engine.close();
            check::that(!engine.is_healthy(), "closed");
            start(sim::engine());
        }
        "#,
    );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    sandbox.assert_nothing_runs();
}

#[test]
fn unknown_parameter_is_refused() {
    let script = r#"
        private fn number(name, usual) { param(name, usual) }
        fn test_a() { print(number("gap_s", 8) + 1); }
        fn test_b() { param("turns", 1); }
    "#;
    let sandbox = Sandbox::new().file("t.rhai", script);
    let run = sandbox.run(&["t.rhai", "-P", "gap=3"]);
    let error = "error: unknown parameter `gap`; did you mean `gap_s`?\n";
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (2, error),
        "{}",
        run.stdout
    );
    assert!(!sandbox.path("out").exists());
    let run = sandbox.run(&["t.rhai", "-P", "zzz=3"]);
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (
            2,
            "error: unknown parameter `zzz`; the script has `gap_s`, `turns`\n"
        )
    );
    let run = sandbox.run(&["t.rhai", "-P", "gap_s=1.5", "-P", "model=m", "-P", "seed=1"]);
    assert!(
        run.code == 0 && run.stdout.contains("\n2.5\n"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

#[test]
fn parameter_of_another_test_is_a_warning() {
    let script = r#"fn test_a() {} fn test_b() { param("turns", 1); }"#;
    let run = Sandbox::new()
        .file("t.rhai", script)
        .run(&["t.rhai", "-f", "test_a", "-P", "turns=3"]);
    let warning = "warning: the parameter `turns` has no effect on the selected tests: it is used by `test_b`";
    assert_eq!(
        (run.code, run.stderr.contains(warning)),
        (0, true),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("no test read"), "{}", run.stderr);
}

#[test]
fn computed_parameter_name_is_not_refused() {
    let script = r#"fn test_a() { for name in ["a", "b"] { print(param(`${name}_s`, 8)); } }"#;
    let run = Sandbox::new()
        .file("t.rhai", script)
        .run(&["t.rhai", "-P", "a_s=3", "-P", "c_s=3"]);
    run.assert_code(0);
    run.assert_stdout("\n3\n");
    run.assert_stderr("no test read the parameter `c_s`");
}

#[test]
fn verbose_list_shows_parameters_and_defaults() {
    let script = r#"
        /// Answers come.
        fn test_a() { param("requests", max(2, 3)); common(); }
        fn test_b() {}
        private fn common() { param("gap_s", 0.5) }
    "#;
    let listed = Sandbox::new()
        .file("t.rhai", script)
        .run(&["t.rhai", "-l", "-v"]);
    let expected = "test_a  Answers come.\n    gap_s     0.5\n    requests  max(2, 3)\ntest_b\n";
    assert_eq!((listed.code, listed.stdout.as_str()), (0, expected));
}

const LONG: &str = r#"
    import "std/load" as load;
    import "std/sim" as sim;
    fn test_long() {
        run(load::dummy(#{ requests: 600, gap_s: 0.1, context_len: 60, max_tokens: 2 }), [sim::engine(), sim::engine(#{ name: "b" })]);
    }
    fn test_never_reached() {}
"#;

fn rows_so_far(sandbox: &Sandbox) -> usize {
    sandbox.lines("out/test_long.csv")
}

#[test]
fn ctrl_c_keeps_rows_and_closes_engines() {
    let sandbox = Sandbox::new().file("t.rhai", LONG);
    let child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    eventually("rows are on disk while the run goes on", || {
        rows_so_far(&sandbox) > 3
    });
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("the signal");
    let run = wait(child);
    run.assert_code(130);
    assert!(!run.stdout.contains("test_never_reached"), "{}", run.stdout);
    let rows = sandbox.rows("out/test_long.csv");
    assert!(rows.iter().filter(|row| row["status"] == "ok").count() >= 3);
    assert!(
        rows.iter()
            .any(|row| row["error"] == "the run was interrupted")
    );
    assert_eq!(manifest(&sandbox, "test_long")["outcome"]["code"], 130);
    sandbox.assert_nothing_runs();
}

#[test]
fn ctrl_c_ends_an_endless_loop() {
    let sandbox = Sandbox::new().file("t.rhai", r#"fn test_loop() { print("looping"); loop { } }"#);
    let child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    std::thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("the signal");
    let run = wait(child);
    assert_eq!(
        (run.code, run.stdout.contains("looping")),
        (130, true),
        "{}",
        run.stderr
    );
}

#[test]
fn engines_exit_after_sigkill_of_lmrun() {
    let sandbox = Sandbox::new().file("t.rhai", LONG);
    let mut child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    eventually("rows", || rows_so_far(&sandbox) > 3);
    assert!(!sandbox.left_running().is_empty());
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    eventually("the watchdog ends the engines", || {
        sandbox.left_running().len() <= 1
    });
    eventually("and nothing is left", || sandbox.left_running().is_empty());
    assert!(
        sandbox.rows("out/test_long.csv").len() >= 3,
        "the rows were on disk"
    );
}

#[test]
fn checks_are_written_at_once() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        import "std/check" as check;
        fn test_long() {
            check::that(true, "before");
            run(load::dummy(#{ requests: 1, gap_s: 0, context_len: 60, max_tokens: 2 }), [sim::engine()]);
            check::that(false, "after");
            loop { }
        }
        "#,
    );
    let mut child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    let path = sandbox.path("out/test_long.manifest.json");
    let is_checked =
        || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(r#""after""#));
    eventually("the check is on disk while the test goes on", is_checked);
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    let manifest = manifest(&sandbox, "test_long");
    let checks = json!([
        { "passed": true, "what": "before", "expr_id": null },
        { "passed": false, "what": "after", "expr_id": 0 },
    ]);
    assert_eq!(
        (&manifest["checks"], manifest.get("outcome")),
        (&checks, None)
    );
    eventually("nothing is left", || sandbox.left_running().is_empty());
}

#[test]
fn killed_engine_fails_only_its_requests() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        fn test_long() {
            run(load::dummy(#{ requests: 40, gap_s: 0.1, context_len: 60, max_tokens: 2 }),
                [sim::engine(#{ name: "victim" }), sim::engine(#{ name: "other" })]);
        }
        "#,
    );
    let child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    eventually("rows", || rows_so_far(&sandbox) > 6);
    let mark = format!("--port {}", sandbox.ports[0]);
    let victim = all_processes();
    let mut victim = victim.filter(|process| {
        process
            .cmdline()
            .is_ok_and(|line| line.join(" ").contains(&mark))
    });
    let victim = victim.find(|process| process.stat().is_ok_and(|stat| stat.session == stat.pid));
    kill(
        Pid::from_raw(victim.expect("the engine").pid),
        Signal::SIGKILL,
    )
    .expect("the signal");
    let began = Instant::now();
    let run = wait(child);
    run.assert_code(3);
    run.assert_stderr("engine `victim` ended while it served");
    assert!(began.elapsed() < Duration::from_secs(30));
    let rows = sandbox.rows("out/test_long.csv");
    let of = |name: &str, status: &str| {
        rows.iter()
            .filter(|r| r["engine"] == name && r["status"] == status)
            .count()
    };
    assert_eq!(
        (
            of("other", "ok"),
            of("victim", "ok") + of("victim", "failed")
        ),
        (40, 40)
    );
    assert!(of("victim", "failed") > 0);
    assert!(
        rows.iter().any(
            |row| row["error"] == "engine `victim` ended while it served (signal: 9 (SIGKILL))"
        )
    );
}

/// Runs two user-defined programs, which lmrun cannot recognize as simulators.
fn on_gpus(gpus: [&str; 2]) -> Finished {
    let engine = |name, gpus| unrecognized_simulator(name, &format!("gpus: {gpus}"));
    let sandbox = Sandbox::new().file(
        "t.rhai",
        &r#"
            import "std/command" as command;
            import "std/load" as load;
            fn test_a() {
                let work = load::dummy(#{ requests: 2, gap_s: 0, context_len: 60, max_tokens: 2 });
                run(work, [FIRST, SECOND]);
            }
            "#
        .replace("FIRST", &engine("one", gpus[0]))
        .replace("SECOND", &engine("two", gpus[1])),
    );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    for row in sandbox.rows("out/test_a.csv") {
        assert!(
            serde_json::from_str::<serde_json::Value>(&row["gpu_memory"])
                .is_ok_and(|memory| memory.is_object())
        );
    }
    run
}

#[test]
fn shared_gpu_is_a_warning() {
    let warning = "`one` and `two` are measured at the same time on GPU 1 and slow each other";
    let shared = on_gpus(["[0, 1]", "[1]"]);
    shared.assert_stderr(warning);
    for apart in [on_gpus(["[0]", "[1]"]), on_gpus(["[]", "[]"])] {
        assert!(
            !apart.stderr.contains("at the same time"),
            "{}",
            apart.stderr
        );
    }
}

#[test]
fn byte_order_mark_is_ignored() {
    let sandbox = Sandbox::new()
        .file(
            "t.rhai",
            "\u{feff}import \"own\" as own;\nfn test_a() { own::it() }\n",
        )
        .file("own.rhai", "\u{feff}fn it() { 1 }\n");
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
}
