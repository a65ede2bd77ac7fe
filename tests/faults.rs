//! What goes wrong with an engine, through the real binary: what the rows say, what is printed, the
//! exit code, that the engine beside it finishes, and that nothing is left running.

use crate::common::{Finished, Sandbox, all_processes, eventually, free_port, running, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::process::Child;
use std::time::Duration;

type Row = HashMap<String, String>;

const IMPORTS: &str = r#"
    import "std/check" as check;
    import "std/load" as load;
    import "std/sim" as sim;
    private fn engine(name, gpu, options) {
        sim::engine(#{ name: name, gpu: gpu, flags: #{ "itl-s": 0.002, "warmup-s": 0, jitter: 0 } } + options)
    }
    private fn work(requests) {
        load::dummy(#{ requests: requests, gap_s: 0.1, context_len: 60, max_tokens: 8, ignore_eos: true })
    }
"#;

/// Returns a sandbox with the script `t.rhai`.
fn with_imports(script: &str) -> Sandbox {
    Sandbox::new().file("t.rhai", &format!("{IMPORTS}{script}"))
}

/// One fault and what comes of it. The engine gets four requests.
struct Case {
    fault: &'static str,
    /// Further options of the faulty engine.
    options: &'static str,
    code: i32,
    /// Its requests that are answered whole.
    ok: usize,
    /// How the error of each of its other requests begins.
    error: &'static str,
    /// What the run prints.
    says: &'static str,
}

const fn case(
    fault: &'static str,
    code: i32,
    ok: usize,
    error: &'static str,
    says: &'static str,
) -> Case {
    Case {
        fault,
        options: "",
        code,
        ok,
        error,
        says,
    }
}

/// Runs a faulty engine and a sound one side by side.
fn side_by_side(case: &Case) -> (Sandbox, Finished) {
    let sandbox = with_imports(
        &r#"
            fn test_a() {
                let faulty = engine("faulty", 0, #{ fault: "FAULT", OPTIONS });
                run(work(4), [faulty, engine("sound", 1, #{})],
                    #{ warmup: 0, limits: #{ first_token_s: 4, between_chunks_s: 4 } });
            }
            "#
        .replace("FAULT", case.fault)
        .replace("OPTIONS", case.options),
    );
    let run = sandbox.run(&["t.rhai"]);
    (sandbox, run)
}

fn of<'r>(rows: &'r [Row], engine: &str) -> Vec<&'r Row> {
    rows.iter().filter(|row| row["engine"] == engine).collect()
}

/// A failed request has no measures, as they would be wrong; the time of its end is known.
fn is_honest(row: &Row) -> bool {
    let has_end = !row["ended_s"].is_empty();
    let measured = !row["TTFT"].is_empty() && !row["latency"].is_empty();
    let explained = !row["error"].is_empty();
    has_end
        && if row["status"] == "ok" {
            measured && !explained
        } else {
            !measured && explained
        }
}

fn check(case: &Case) {
    let (sandbox, run) = side_by_side(case);
    let all = format!("{}: {}{}", case.fault, run.stdout, run.stderr);
    assert_eq!(run.code, case.code, "{all}");
    assert!(
        run.stdout.contains(case.says) || run.stderr.contains(case.says),
        "{all}"
    );
    assert!(
        !all.contains('\u{1b}'),
        "an escape sequence came through: {all:?}"
    );
    sandbox.assert_nothing_runs();
    let rows = sandbox.rows("out/test_a.csv");
    assert!(rows.iter().all(is_honest), "{rows:?}");
    if case.error == NO_ROWS {
        return assert!(rows.is_empty(), "{rows:?}");
    }
    let (faulty, sound) = (of(&rows, "faulty"), of(&rows, "sound"));
    let ok = |rows: &[&Row]| rows.iter().filter(|row| row["status"] == "ok").count();
    assert_eq!(
        (faulty.len(), ok(&faulty), ok(&sound)),
        (4, case.ok, 4),
        "{all}{faulty:?}"
    );
    for row in faulty.iter().filter(|row| row["status"] == "failed") {
        assert!(
            row["error"].starts_with(case.error),
            "{}: {}",
            case.fault,
            row["error"]
        );
    }
}

/// In the place of an error: nothing is sent at all.
const NO_ROWS: &str = "no rows";

#[test]
fn faults_at_start() {
    for case in [
        case(
            "die-at-start",
            3,
            0,
            NO_ROWS,
            "engine `faulty` ended while it was starting (exit status: 1)",
        ),
        case(
            "die-at-start",
            3,
            0,
            NO_ROWS,
            "RuntimeError: died at the start, on purpose",
        ),
        Case {
            options: "ready_timeout_s: 1",
            ..case(
                "never-ready",
                3,
                0,
                NO_ROWS,
                "engine `faulty` was not ready within 1 s: http://127.0.0.1:",
            )
        },
        Case {
            options: "ready_timeout_s: 1",
            ..case(
                "wrong-model",
                3,
                0,
                NO_ROWS,
                "it serves `another-model`, not `sim-7b`",
            )
        },
    ] {
        check(&case);
    }
}

#[test]
fn faults_of_running_engines() {
    for case in [
        // The two that die with it are cut off or never sent.
        case(
            "die-at-request=3",
            3,
            2,
            "",
            "engine `faulty` ended while it served (exit status: 1)",
        ),
        case(
            "unhealthy-after=2",
            1,
            4,
            "",
            "FAILED: `faulty` is healthy after the workload: http://127.0.0.1:",
        ),
        Case {
            options: "grace_s: 0.2",
            ..case("ignore-interrupts", 0, 4, "", "faulty: closed in")
        },
        Case {
            options: "grace_s: 0.2",
            ..case("grandchild", 0, 4, "", "faulty: closed in")
        },
        Case {
            options: "grace_s: 0.2",
            ..case("orphan", 0, 4, "", "faulty: closed in")
        },
        case("close-behind-answer", 0, 4, "", "passed test_a"),
    ] {
        check(&case);
    }
}

#[test]
fn faults_of_answers() {
    for case in [
        case(
            "refuse=429",
            1,
            0,
            "HTTP 429: refused on purpose",
            "4 of 4 failed: HTTP 429",
        ),
        case(
            "refuse=500",
            1,
            0,
            "HTTP 500: refused on purpose",
            "4 of 4 failed: HTTP 500",
        ),
        case(
            "refuse=503",
            1,
            0,
            "HTTP 503: refused on purpose (Retry-After: 1)",
            "4 of 4 failed: HTTP 503",
        ),
        case(
            "refuse=500/2",
            1,
            2,
            "HTTP 500: refused on purpose",
            "2 of 4 failed: HTTP 500",
        ),
        case(
            "no-answer",
            1,
            0,
            "no first token within 4 s, 0 chunks in",
            "4 of 4 failed",
        ),
        case(
            "stall-after=5",
            1,
            0,
            "no further chunk within 4 s, 5 chunks in",
            "4 of 4 failed",
        ),
        case(
            "close-after=5",
            1,
            0,
            "the connection broke after 5 chunks: ",
            "4 of 4 failed",
        ),
    ] {
        check(&case);
    }
}

#[test]
fn faults_of_streams() {
    let over = "not an event of the API: an event of over 8 MiB";
    for case in [
        case(
            "no-done",
            1,
            0,
            "the stream ended without [DONE], 8 chunks in",
            "4 of 4 failed",
        ),
        case(
            "error-event/4",
            1,
            3,
            "the engine reported in its stream: EngineCore encountered",
            "1 of 4 failed",
        ),
        case(
            "invalid-json",
            1,
            0,
            "not an event of the API: EOF while parsing",
            "4 of 4 failed",
        ),
        case(
            "invalid-utf8",
            1,
            0,
            "not an event of the API: not UTF-8: ",
            "4 of 4 failed",
        ),
        case("crlf", 0, 4, "", "passed test_a"),
        case("comments", 0, 4, "", "passed test_a"),
        case("long-line=7MiB/4", 0, 4, "", "passed test_a"),
        case("long-line=9MiB/4", 1, 3, over, "1 of 4 failed"),
        case("byte-by-byte", 0, 4, "", "passed test_a"),
    ] {
        check(&case);
    }
}

#[test]
fn several_tokens_per_chunk_leave_itl_empty() {
    let (sandbox, run) = side_by_side(&case("tokens-per-chunk=4", 0, 4, "", ""));
    run.assert_code(0);
    for row in of(&sandbox.rows("out/test_a.csv"), "faulty") {
        assert_eq!(
            (row["chunks"].as_str(), row["output_tokens"].as_str()),
            ("2", "8")
        );
        assert!(
            row["itl_mean_s"].is_empty() && !row["icl_mean_s"].is_empty(),
            "{row:?}"
        );
    }
}

#[test]
fn continuous_usage_gives_itl_with_several_tokens_per_chunk() {
    let sandbox = with_imports(
        r#"
            fn test_a() {
                let four = engine("four", 0, #{ fault: "tokens-per-chunk=4" });
                run(load::dummy(#{ requests: 2, gap_s: 0, context_len: 60, max_tokens: 9, continuous_usage_stats: true }), [four]);
            }
            "#,
    );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    for row in sandbox.rows("out/test_a.csv") {
        assert_eq!(
            (row["chunks"].as_str(), row["output_tokens"].as_str()),
            ("3", "9")
        );
        assert_eq!(row["chunk_tokens_from"], "usage");
        // 4 + 4 + 1 tokens: 3 gaps of the first chunk are none, so the mean is that of 8 gaps.
        let [mean, gap]: [f64; 2] =
            ["itl_mean_s", "icl_mean_s"].map(|name| row[name].parse().expect("a number"));
        assert!((mean - 2.0 * gap / 8.0).abs() < 1e-9, "{row:?}");
    }
}

#[test]
fn request_limits_can_be_set() {
    let sandbox = with_imports(
        r#"
            fn test_a() {
                let slow = engine("slow", 0, #{ flags: #{ "itl-s": 0.3 } });
                run(work(1), [slow], #{ warmup: 0, may_fail: true, limits: #{ total_s: 1 } });
                run(work(1), [slow], #{ limits: #{ first_tokn_s: 1 } });
            }
            "#,
    );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(1);
    assert!(
        sandbox.rows("out/test_a.csv")[0]["error"].starts_with("no end of the answer within 1 s, ")
    );
    run.assert_stderr("unknown option `first_tokn_s` in `limits` of `run`");
}

/// A log that is flooded at a GiB a minute holds up neither the engine nor lmrun, nor fills memory.
#[test]
fn flooded_log_does_not_slow_or_fill_memory() {
    let sandbox = with_imports(
        r#"
        fn test_a() { run(work(40), [engine("faulty", 0, #{ fault: "flood-log=17MiB" })]); }
        "#,
    );
    let mut child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    let mut peak_kib = 0;
    while child.try_wait().expect("its state").is_none() {
        let status =
            procfs::process::Process::new(child.id() as i32).and_then(|process| process.status());
        peak_kib = peak_kib.max(status.ok().and_then(|status| status.vmhwm).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    let run = wait(child);
    run.assert_code(0);
    let log = sandbox
        .path(&format!("out/{}-stdout.log", sandbox.ports[0]))
        .metadata()
        .expect("the log")
        .len();
    assert!(log > 20 << 20, "it was flooded: {log} bytes");
    assert!(peak_kib < 256 << 10, "lmrun took {peak_kib} KiB");
}

const LONG: &str = r#"
    fn test_long() { run(work(400), [engine("a", 0, #{ OPTIONS }), engine("b", 1, #{})]); }
    fn test_never_reached() {}
"#;

fn long(options: &str) -> (Sandbox, Child) {
    let sandbox = with_imports(&LONG.replace("OPTIONS", options));
    let child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    eventually("rows are on disk", || rows_so_far(&sandbox) > 6);
    (sandbox, child)
}

fn rows_so_far(sandbox: &Sandbox) -> usize {
    sandbox.lines("out/test_long.csv")
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).expect("the signal");
}

/// The process that listens on a port of the sandbox and was started by lmrun.
fn engine_at(port: u16) -> u32 {
    let mark = format!("--port {port}");
    let all = all_processes();
    let mut engines = all.filter(|process| {
        process
            .cmdline()
            .is_ok_and(|line| line.join(" ").contains(&mark))
    });
    engines.next().expect("the engine").pid as u32
}

#[test]
fn second_ctrl_c_kills_engines_at_once() {
    // In order, its end would take two minutes.
    let (sandbox, child) = long(r#"fault: "ignore-interrupts", grace_s: 60"#);
    send(child.id(), Signal::SIGINT);
    eventually("it was told", || {
        std::fs::read_to_string(sandbox.path("out/test_long.csv"))
            .is_ok_and(|rows| rows.contains("interrupted"))
    });
    send(child.id(), Signal::SIGINT);
    // Within a second it is the same signal, which timeout(1) sends twice.
    std::thread::sleep(Duration::from_millis(1200));
    send(child.id(), Signal::SIGINT);
    let run = wait(child);
    run.assert_code(130);
    assert!(run.stderr.ends_with("killed\n"), "{}", run.stderr);
    eventually("the watchdog ends the engines", || {
        sandbox.left_running().is_empty()
    });
}

#[test]
fn orphans_and_grandchildren_exit_after_sigkill_of_lmrun() {
    let (sandbox, mut child) = long(r#"fault: ["orphan", "grandchild", "ignore-interrupts"]"#);
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    eventually("nothing is left", || sandbox.left_running().is_empty());
}

#[test]
fn engines_exit_after_sigkill_of_lmrun_and_watchdog() {
    let (sandbox, mut child) = long("");
    let watchdogs = all_processes().filter(|process| {
        process
            .stat()
            .is_ok_and(|stat| stat.ppid == child.id() as i32)
            && process
                .cmdline()
                .is_ok_and(|line| line.iter().any(|word| word == "watchdog-of-lmrun"))
    });
    let watchdogs: Vec<_> = watchdogs
        .filter_map(|process| process.stat().ok())
        .collect();
    // What is sent to all that are called lmrun does not reach them.
    assert_eq!(
        watchdogs
            .iter()
            .map(|stat| stat.comm.as_str())
            .collect::<Vec<_>>(),
        ["engine-watchdog"; 2]
    );
    for watchdog in &watchdogs {
        send(watchdog.pid as u32, Signal::SIGKILL);
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    eventually("nothing is left", || sandbox.left_running().is_empty());
}

#[test]
fn stopped_engine_continues_and_the_pause_is_measured() {
    let (sandbox, child) = long("");
    let engine = engine_at(sandbox.ports[0]);
    send(engine, Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(2));
    send(engine, Signal::SIGCONT);
    let run = wait(child);
    run.assert_code(0);
    let rows = sandbox.rows("out/test_long.csv");
    assert!(rows.len() == 800 && rows.iter().all(|row| row["status"] == "ok"));
    let waited = of(&rows, "a")
        .iter()
        .any(|row| row["latency"].parse::<f64>().is_ok_and(|s| s > 1.0));
    assert!(waited, "the pause is in the rows");
}

#[test]
fn stopped_lmrun_records_send_lag() {
    let (sandbox, child) = long("");
    send(child.id(), Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(2));
    send(child.id(), Signal::SIGCONT);
    let run = wait(child);
    let rows = sandbox.rows("out/test_long.csv");
    assert!(
        rows.len() == 800 && rows.iter().all(|row| row["status"] == "ok"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    let late = rows
        .iter()
        .any(|row| row["send_lag_s"].parse::<f64>().is_ok_and(|s| s > 0.5));
    assert!(late, "the pause is in the rows");
    sandbox.assert_nothing_runs();
}

#[test]
fn port_zero_selects_a_free_port() {
    let sandbox = with_imports(
        r#"
            fn test_a() {
                let engines = [];
                for name in ["a", "b"] { engines.push(start(engine(name, 0, #{ port: 0 }))); }
                check::that(engines[0].port != engines[1].port && engines[0].port > 0, "ports");
                for engine in engines { check::that(engine.wait_until_ready(60), "ready"); }
            }
            "#,
    );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
}

#[test]
fn engine_killed_between_experiments_fails_the_test() {
    let sandbox = with_imports(
        r#"
            fn test_a() {
                let engine = start(engine("faulty", 0, #{}));
                check::that(engine.wait_until_ready(60), "ready");
                run(work(1), [engine], #{ warmup: 0 });
                sleep(3);
            }
            fn test_b() { print("the next one runs"); }
            "#,
    );
    let child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    eventually("its row", || {
        std::fs::read_to_string(sandbox.path("out/test_a.csv"))
            .is_ok_and(|rows| rows.contains("faulty"))
    });
    send(engine_at(sandbox.ports[0]), Signal::SIGKILL);
    let run = wait(child);
    run.assert_code(3);
    run.assert_stderr("engine `faulty` ended while it served (signal: 9");
    run.assert_stdout("the next one runs");
}

/// Neither session nor parent nor environment tells whose it is.
#[test]
fn daemon_without_environment_exits_with_the_test() {
    let mark = format!("6{}", std::process::id());
    let sandbox = Sandbox::new().file(
        "t.rhai",
        &r#"
            import "std/helper" as helper;
            fn test_a() {
                start(helper::command(#{ name: "leaves", port: FREE_PORT, command: ["sh", "-c",
                    "env -i setsid --fork sleep MARK; exec python3 -m http.server {port} --bind 127.0.0.1"] }));
                sleep(1);
            }
            fn test_b() { print("the next one runs"); }
            "#
            .replace("FREE_PORT", &free_port().to_string())
            .replace("MARK", &mark),
    );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    assert_eq!(
        running(&format!("sleep {mark}")),
        Vec::<String>::new(),
        "{}",
        run.stderr
    );
    run.assert_stdout("the next one runs");
}

#[test]
fn error_rate_of_failed_requests() {
    let script = r#"
        fn test_a() {
            let faulty = engine("faulty", 0, #{ fault: "refuse=503/2" });
            let seen = run(work(4), [faulty], #{ warmup: 0, may_fail: true });
            check::at_most(seen[faulty].error_rate, 0.01, "error rate");
        }
        "#;
    let run = with_imports(script).run(&["t.rhai"]);
    run.assert_code(1);
    run.assert_stdout("FAILED: error rate: 0.5000 (required at most 0.01)");
}
