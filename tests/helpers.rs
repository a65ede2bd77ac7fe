//! Helper processes and scratch folders: who starts them, who shares them, and that nothing of them
//! is left, however a test ends.

use crate::common::{
    Finished, Sandbox, all_processes, eventually, finish, free_port, running, wait,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const IMPORTS: &str = r#"
    import "std/check" as check;
    import "std/helper" as helper;
    import "std/lmcache" as lmcache;
    import "std/load" as load;
    import "std/sim" as sim;
    import "std/vllm" as vllm;
    private fn work() { load::dummy(#{ requests: 1, gap_s: 0, context_len: 60, max_tokens: 2 }) }
    private fn llm(name, options) { vllm::engine(#{ name: name, model: "m" } + options) }
"#;

/// A sandbox with other programs of the names that the library starts: all are the simulator, which
/// answers HTTP on its port.
fn sandbox(body: &str) -> Sandbox {
    let note = |name: &str| format!("echo {name} \"$@\" >>\"$SANDBOX/started\"\n");
    Sandbox::new()
        .program(
            "vllm",
            &(note("vllm") + r#"exec "$LMRUN" sim --port "$6" --model "$8""#),
        )
        .program(
            "lmcache_server",
            &(note("lmcache_server") + r#"exec "$LMRUN" sim --port "$2""#),
        )
        .program(
            "store",
            &(note("store") + r#"exec "$LMRUN" sim --port "$1""#),
        )
        .file("t.rhai", &format!("{IMPORTS}{body}"))
}

fn run(sandbox: &Sandbox) -> Finished {
    finish(sandbox.command_with_programs(&["t.rhai"]))
}

/// The first words of what was started, in order.
fn started(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.path("started")).unwrap_or_default();
    text.lines()
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

/// The lines of a run that say who got ready and who was closed, without their times.
fn lifecycle(run: &Finished) -> Vec<String> {
    let lines = run.stdout.lines().chain(run.stderr.lines());
    let told = lines.filter_map(|line| {
        line.split_once(" after ")
            .or_else(|| line.split_once(" in "))
    });
    told.map(|(what, _)| what.trim().to_owned())
        .filter(|what| what.contains(": "))
        .collect()
}

fn store(port: u16) -> String {
    format!(
        r#"helper::command(#{{ name: "store", command: ["store", "{{port}}"], port: {port}, ready_path: "/health" }})"#
    )
}

#[test]
fn helper_starts_before_and_closes_after_its_engines() {
    let port = free_port();
    let store = store(port);
    let sandbox = sandbox(&r#"
        fn test_a() { let store = STORE; run(work(), [llm("a", #{ helpers: [store] }), llm("b", #{ helpers: [store] })]); }
        "#
        .replace("STORE", &store));
    let run = run(&sandbox);
    run.assert_code(0);
    assert_eq!(started(&sandbox), ["store", "vllm", "vllm"]);
    let told = lifecycle(&run);
    assert_eq!(
        told.first().map(String::as_str),
        Some("store: ready"),
        "{told:?}"
    );
    assert_eq!(
        told.last().map(String::as_str),
        Some("store: closed"),
        "{told:?}"
    );
    assert!(
        sandbox.path(&format!("out/{port}-stdout.log")).exists(),
        "its log is kept"
    );
}

#[test]
fn started_helper_runs_until_test_end() {
    let (kept, closed) = (free_port(), free_port());
    let sandbox = sandbox(
        &r#"
        fn test_a() {
            let store = STORE;
            let other = start(OTHER);
            let kept = start(store);
            check::equal(kept.port, PORT, "port");
            let engine = llm("a", #{ helpers: [store] });
            run(work(), [engine]);
            run(work(), [engine]);
            other.close();
            other.close();
            print(`before the end: ${kept}`);
        }
        fn test_b() { print("second"); }
        "#
        .replace("STORE", &store(kept))
        .replace("OTHER", &store(closed))
        .replace("PORT", &kept.to_string()),
    );
    let run = run(&sandbox);
    run.assert_code(0);
    assert_eq!(
        started(&sandbox),
        ["store", "store", "vllm", "vllm"],
        "one store serves both experiments"
    );
    run.assert_stdout(&format!("before the end: store on 127.0.0.1:{kept}\n"));
    let told = lifecycle(&run);
    assert_eq!(
        told.iter().filter(|line| *line == "store: closed").count(),
        2,
        "{told:?}"
    );
    for port in [kept, closed] {
        assert_eq!(running(&format!("--port {port}")), Vec::<String>::new());
    }
}

#[test]
fn closed_helper_runs_until_its_last_engine_closes() {
    let port = free_port();
    let sandbox = sandbox(
        &r#"
        fn test_a() {
            let store = STORE;
            let kept = start(store);
            let engine = start(llm("a", #{ helpers: [store] }));
            engine.wait_until_ready(60);
            kept.close();
            run(work(), [engine]);
            engine.close();
        }
        "#
        .replace("STORE", &store(port)),
    );
    let run = run(&sandbox);
    run.assert_code(0);
    assert_eq!(
        lifecycle(&run).last().map(String::as_str),
        Some("store: closed"),
        "{}",
        run.stdout
    );
}

#[test]
fn remote_store_is_started_once_for_all_engines() {
    let port = free_port();
    let yaml = format!("remote_url: \"lm://localhost:{port}\"\nremote_serde: naive\n");
    let sandbox = sandbox(
        r#"
        fn test_a() { run(work(), [llm("a", #{ lmcache: "c.yaml" }), llm("b", #{ lmcache: "c.yaml" })]); }
        "#,
    )
    .file("c.yaml", &yaml);
    let run = run(&sandbox);
    run.assert_code(0);
    assert_eq!(started(&sandbox), ["lmcache_server", "vllm", "vllm"]);
    let first = sandbox.read("started");
    assert!(
        first.starts_with(&format!("lmcache_server localhost {port} cpu\n")),
        "{first}"
    );
}

#[test]
fn external_remote_store_is_not_started() {
    let sandbox = sandbox(
        r#"
        fn test_a() {
            let config = |host| #{ remote_url: `lm://${host}:65432` };
            run(work(), [llm("a", #{ lmcache: config.call("store.example") })]);
            run(work(), [llm("a", #{ lmcache: config.call("localhost"), remote_server: false })]);
            run(work(), [sim::engine(#{ lmcache: config.call("localhost") })]);
        }
        "#,
    );
    let run = run(&sandbox);
    run.assert_code(0);
    assert_eq!(started(&sandbox), ["vllm", "vllm"]);
}

#[test]
fn engines_with_equal_names_have_separate_configurations() {
    let sandbox = sandbox(
        r#"
        fn test_a() {
            let small = llm("a", #{ lmcache: #{ max_local_cpu_size: 1 } });
            llm("a", #{ lmcache: #{ max_local_cpu_size: 2 } });
            llm("a", #{ lmcache: #{ max_local_cpu_size: 1 } });
        }
        "#,
    );
    let run = run(&sandbox);
    run.assert_code(0);
    for (file, size) in [("a-lmcache.yaml", 1), ("a-lmcache-2.yaml", 2)] {
        let text = sandbox.read(&format!("out/{file}"));
        assert_eq!(text, format!("{{\n  \"max_local_cpu_size\": {size}\n}}\n"));
    }
    assert!(!sandbox.path("out/a-lmcache-3.yaml").exists());
}

#[test]
fn invalid_lmcache_configuration_is_refused() {
    for (yaml, expected) in [
        ("- a\n", "c.yaml is not a YAML mapping"),
        ("a: [1\n", "c.yaml is not valid YAML: "),
        (
            "remote_url: \"lm://localhost\"\n",
            "invalid `remote_url` lm://localhost: expected lm://host:port",
        ),
    ] {
        let sandbox =
            sandbox(r#"fn test_a() { llm("a", #{ lmcache: "c.yaml" }); }"#).file("c.yaml", yaml);
        let run = run(&sandbox);
        assert_eq!((run.code, started(&sandbox)), (1, Vec::new()));
        assert!(error(&run).contains(expected), "{}", run.stderr);
    }
}

/// The error of a run, without what leads to it.
fn error(run: &Finished) -> String {
    let start = run
        .stderr
        .find("  ×")
        .unwrap_or_else(|| panic!("no error drawn: {}", run.stderr));
    run.stderr[start..]
        .lines()
        .take_while(|line| !line.contains("╭─"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn helper_port_in_use_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let sandbox = sandbox(&format!("fn test_a() {{ start({}); }}", store(port)));
    let run = run(&sandbox);
    run.assert_code(3);
    let expected = format!(
        "  × cannot start helper `store`: port {port} is in use by a process that does not speak HTTP"
    );
    assert_eq!(error(&run), expected);
    run.assert_stderr("help: stop it, or give it another `port`");
}

#[test]
fn helper_with_wrong_answer_is_not_ready() {
    let port = free_port();
    let sandbox = sandbox(&r#"
        fn test_a() { start(helper::command(#{
            name: "store", command: ["store", "{port}"], port: PORT, ready_answer: ["PING\r\n", "+PONG"], ready_timeout_s: 1,
        })); }
        "#
        .replace("PORT", &port.to_string()));
    let run = run(&sandbox);
    run.assert_code(3);
    assert!(
        error(&run)
            .starts_with("  × helper `store` was not ready within 1 s: it does not answer yet"),
        "{}",
        run.stderr
    );
    assert_eq!(running(&format!("--port {port}")), Vec::<String>::new());
}

/// The engine that needs it is given up, the one beside it finishes.
#[test]
fn killed_helper_stops_requests_of_its_engines() {
    let port = free_port();
    let sandbox = sandbox(&r#"
        fn test_a() {
            let work = load::dummy(#{ requests: 100, gap_s: 0.05, context_len: 60, max_tokens: 2 });
            run(work, [llm("needs it", #{ helpers: [STORE] }), sim::engine(#{ name: "other", gpu: 1 })]);
        }
        "#
        .replace("STORE", &store(port)));
    let child = sandbox
        .command_with_programs(&["t.rhai"])
        .spawn()
        .expect("lmrun");
    let csv = sandbox.path("out/test_a.csv");
    eventually("rows", || {
        std::fs::read_to_string(&csv).is_ok_and(|text| text.lines().count() > 6)
    });
    let mark = format!("--port {port}");
    let mut all = all_processes();
    let store = all.find(|process| {
        process
            .cmdline()
            .is_ok_and(|line| line.join(" ").contains(&mark))
    });
    kill(
        Pid::from_raw(store.expect("the store").pid),
        Signal::SIGKILL,
    )
    .expect("the signal");
    let said = "helper `store` ended while it served (signal: 9 (SIGKILL))";
    let killed = Instant::now();
    eventually("its requests fail", || {
        std::fs::read_to_string(&csv).is_ok_and(|text| text.contains(said))
    });
    assert!(
        killed.elapsed() < Duration::from_secs(1),
        "noticed after {:?}",
        killed.elapsed()
    );
    let run = wait(child);
    run.assert_code(3);
    assert!(error(&run).contains(said), "{}", run.stderr);
    let told = format!("warning: {said}: requests to `needs it` are aborted\n");
    run.assert_stderr(&told);
    let rows = sandbox.rows("out/test_a.csv");
    assert!(
        rows.iter()
            .any(|row| row["engine"] == "needs it" && row["error"] == said),
        "{rows:?}"
    );
    let ok = rows
        .iter()
        .filter(|row| row["engine"] == "other" && row["status"] == "ok")
        .count();
    assert_eq!((ok, rows.len()), (100, 200));
}

/// Which engines want a helper that none of them names, nobody knows: all go on.
#[test]
fn exited_started_helper_fails_the_test() {
    let port = free_port();
    let sandbox = sandbox(
        &r#"
        fn test_a() {
            start(STORE + #{ command: ["sh", "-c", "timeout 3 store PORT; exit 7"] });
            let work = load::dummy(#{ requests: 100, gap_s: 0.05, context_len: 60, max_tokens: 2 });
            run(work, [sim::engine()], #{ warmup: 0 });
            print("not reached");
        }
        fn test_b() { print("the next one runs"); }
        "#
        .replace("STORE", &store(port))
        .replace("PORT", &port.to_string()),
    );
    let run = run(&sandbox);
    run.assert_code(3);
    let said = "helper `store` ended while it served (exit status: 7)";
    let at = |text: &str| {
        run.stderr
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {}", run.stderr))
    };
    assert!(
        at(&format!("warning: {said}\n")) < at("sim: closed in"),
        "{}",
        run.stderr
    );
    assert!(error(&run).contains(said), "{}", run.stderr);
    assert!(!run.stdout.contains("not reached") && run.stdout.contains("the next one runs"));
    let rows = sandbox.rows("out/test_a.csv");
    assert!(
        rows.len() == 100 && rows.iter().all(|row| row["status"] == "ok"),
        "{rows:?}"
    );
}

/// Kept over experiments, it may die between them.
#[test]
fn exited_helper_is_not_reused() {
    let port = free_port();
    let sandbox = sandbox(&r#"
        fn test_a() {
            let dies = STORE + #{ command: ["sh", "-c", "echo going; timeout 2 store PORT; exit 7"] };
            start(dies);
            sleep(4);
            run(work(), [llm("a", #{ helpers: [dies] })]);
        }
        "#
        .replace("STORE", &store(port))
        .replace("PORT", &port.to_string()));
    let run = run(&sandbox);
    run.assert_code(3);
    assert!(
        error(&run).contains("helper `store` ended while it served (exit status: 7)"),
        "{}",
        run.stderr
    );
}

#[test]
fn invalid_helper_options_are_refused() {
    for (options, expected) in [
        (
            r#"#{ name: "a", port: 1 }"#,
            "`helper::command` needs the option `command`",
        ),
        (
            r#"#{ name: "a", command: [], port: 1 }"#,
            "`helper::command`: the command is empty",
        ),
        (
            r#"#{ nmae: "a" }"#,
            "unknown option `nmae` of `helper::command`",
        ),
    ] {
        let sandbox = sandbox(&format!("fn test_a() {{ helper::command({options}); }}"));
        assert_eq!(error(&run(&sandbox)), format!("  × {expected}"));
    }
}

const SCRATCH: &str = r#"
    private fn fill() {
        let folder = scratch("disk");
        check::equal(scratch("disk"), folder, "the same folder");
        start(helper::command(#{ name: "filler", port: PORT, command: ["sh", "-c", `echo kv >${folder}/kv; exec store {port}`] }));
        sleep(0.1);
        print("filled");
    }
"#;

fn scratch_sandbox(body: &str, port: u16) -> Sandbox {
    sandbox(&format!(
        "{}{body}",
        SCRATCH.replace("PORT", &port.to_string())
    ))
}

#[test]
fn scratch_folder_is_removed_with_its_test() {
    let port = free_port();
    let sandbox = scratch_sandbox(
        r#"
        fn test_1() { fill(); throw "on purpose"; }
        fn test_2() { check::that(scratch("disk") != "", "a fresh one"); }
        fn test_3() { scratch("../precious"); }
        "#,
        port,
    );
    let run = run(&sandbox);
    run.assert_code(1);
    assert!(
        run.stdout.contains("filled\n"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    run.assert_stdout("passed test_2\n");
    run.assert_stderr("no scratch folder `../precious`: its name may have letters");
    assert!(!sandbox.path("out/scratch").exists());
}

/// Starts a test that has filled a scratch folder and then waits; sends it the signal.
fn struck(sandbox: &Sandbox, signal: Signal) -> Finished {
    let child = sandbox
        .command_with_programs(&["t.rhai"])
        .spawn()
        .expect("lmrun");
    let filled = || {
        walk(&sandbox.path("out/scratch"))
            .iter()
            .any(|file| file.ends_with("disk/kv"))
    };
    eventually("the cache is on the disk", filled);
    kill(Pid::from_raw(child.id() as i32), signal).expect("the signal");
    wait(child)
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .flat_map(|path| [vec![path.display().to_string()], walk(&path)].concat())
        .collect()
}

#[test]
fn ctrl_c_closes_helpers_and_removes_scratch_folders() {
    let port = free_port();
    let sandbox = scratch_sandbox("fn test_1() { fill(); sleep(600); }", port);
    let run = struck(&sandbox, Signal::SIGINT);
    run.assert_code(130);
    assert_eq!(running(&format!("--port {port}")), Vec::<String>::new());
    assert!(!sandbox.path("out/scratch").exists());
}

#[test]
fn next_run_removes_scratch_folders_of_a_killed_run() {
    let port = free_port();
    let sandbox = scratch_sandbox("fn test_1() { fill(); sleep(600); }\nfn other() {}", port);
    struck(&sandbox, Signal::SIGKILL);
    eventually("the watchdog ends the helper", || {
        running(&format!("--port {port}")).is_empty()
    });
    assert!(!walk(&sandbox.path("out/scratch")).is_empty());
    assert_eq!(sandbox.run(&["t.rhai", "-f", "other"]).code, 0);
    assert!(!sandbox.path("out/scratch").exists());
}
