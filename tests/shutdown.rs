//! The end of lmrun: signals that come twice or with a terminal, screens that take nothing, and limits of the
//! system.

use crate::common::{Finished, LMRUN, Sandbox, Simulator, eventually, finish};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A test that sends `requests` requests, `rate` per second, to an engine that answers at once.
fn script(requests: usize, rate: usize) -> String {
    r#"
        import "std/sim" as sim;
        import "std/load" as load;
        fn test_long() {
            run(load::dummy(#{ requests: REQUESTS, gap_s: 1.0 / RATE.0, context_len: 20, max_tokens: 2 }), [sim::engine(#{ flags: #{ "ttft-s": 0.01, "itl-s": 0.001 } })]);
        }
        "#
        .replace("REQUESTS", &requests.to_string())
        .replace("RATE", &rate.to_string())
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("the signal");
}

/// Lines of a file without its header.
fn rows(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count().saturating_sub(1))
}

/// Returns the exit code, or `None` after `limit`; then the process is killed.
fn ended(child: &mut Child, limit: Duration) -> Option<i32> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("its status") {
            return Some(status.code().unwrap_or(-1));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("killed");
    None
}

/// Returns the command under another program, such as `timeout 2`.
fn under(program: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(program[0]);
    wrapped
        .args(&program[1..])
        .arg(command.get_program())
        .args(command.get_args());
    wrapped
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        wrapped.env(name, value.unwrap_or_default());
    }
    wrapped
}

fn load(sim: &Simulator, args: &[&str]) -> Command {
    let mut command = Command::new(LMRUN);
    command
        .args(["load", "--url", &sim.url(), "--max-tokens", "2"])
        .args(args)
        .env("NO_COLOR", "1");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn output(mut command: Command) -> Finished {
    finish(&mut command)
}

#[test]
fn timeout_command_closes_loads_and_tests() {
    let sim = Simulator::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    for n in 0..4 {
        let file = folder.path().join(n.to_string());
        let args = [
            "--rate",
            "20",
            "--requests",
            "2000",
            "--rows",
            file.to_str().expect("a path"),
        ];
        let run = output(under(&["timeout", "2"], &load(&sim, &args)));
        run.assert_code(124);
        assert!(
            run.stderr.contains("interrupted") && !run.stderr.contains("killed"),
            "{}",
            run.stderr
        );
        run.assert_stderr("× the run was interrupted");
        assert_eq!(
            std::fs::read_to_string(&file)
                .expect("the rows")
                .lines()
                .count(),
            2000
        );
    }
    for _ in 0..2 {
        let sandbox = Sandbox::new().file("t.rhai", &script(2000, 20));
        let run = output(under(&["timeout", "4"], &sandbox.command(&["t.rhai"])));
        run.assert_code(124);
        assert!(
            run.stdout.contains("FAILED test_long") && !run.stderr.contains("killed"),
            "{}",
            run.stderr
        );
        sandbox.assert_nothing_runs();
    }
}

#[test]
fn sighup_closes_a_run_unless_ignored() {
    let sandbox = Sandbox::new().file("t.rhai", &script(2000, 20));
    let csv = sandbox.path("out/test_long.csv");
    let mut child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    eventually("rows", || rows(&csv) > 3);
    send(&child, Signal::SIGHUP);
    assert_eq!(ended(&mut child, Duration::from_secs(30)), Some(130));
    assert_eq!((sandbox.left_running(), rows(&csv)), (Vec::new(), 2000));
    let manifest = sandbox.read("out/test_long.manifest.json");
    assert!(!manifest.contains(r#""outcome": null"#), "{manifest}");

    let sandbox = Sandbox::new().file("t.rhai", &script(60, 20));
    let mut child = under(&["nohup"], &sandbox.command(&["t.rhai"]))
        .spawn()
        .expect("nohup");
    eventually("rows", || rows(&sandbox.path("out/test_long.csv")) > 3);
    send(&child, Signal::SIGHUP);
    assert_eq!(ended(&mut child, Duration::from_secs(30)), Some(0));
}

#[test]
fn blocked_pipe_delays_no_rows() {
    const REQUESTS: usize = 3000;
    let sandbox = Sandbox::new().file("t.rhai", &script(REQUESTS, 500));
    let csv = sandbox.path("out/test_long.csv");
    // Every request is a line of standard error, which is not read.
    let mut child = sandbox.command(&["-v", "t.rhai"]).spawn().expect("lmrun");
    eventually("all rows", || rows(&csv) == REQUESTS);
    send(&child, Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(1500));
    send(&child, Signal::SIGTERM);
    assert_eq!(
        ended(&mut child, Duration::from_secs(4)),
        Some(130),
        "a second signal ends it"
    );
    eventually("nothing is left", || sandbox.left_running().is_empty());

    // A reader that reads again gets all results, and the dropped notes of a stalled screen are counted.
    let sandbox = Sandbox::new().file("t.rhai", &script(REQUESTS, 500));
    let mut child = sandbox.command(&["-v", "t.rhai"]).spawn().expect("lmrun");
    let csv = sandbox.path("out/test_long.csv");
    eventually("all rows", || rows(&csv) == REQUESTS);
    let mut notes = String::new();
    child
        .stderr
        .take()
        .expect("its notes")
        .read_to_string(&mut notes)
        .expect("read");
    let mut results = String::new();
    child
        .stdout
        .take()
        .expect("its results")
        .read_to_string(&mut results)
        .expect("read");
    assert_eq!(
        ended(&mut child, Duration::from_secs(20)),
        Some(0),
        "{results}{notes}"
    );
    assert!(
        results.contains("passed test_long") && results.contains("written:"),
        "{results}"
    );
    assert_eq!(
        notes.matches(": TTFT").count(),
        REQUESTS,
        "less than a mebibyte waited"
    );
}

#[test]
fn stopped_or_closed_terminal_loses_no_rows() {
    const REQUESTS: usize = 1500;
    let sandbox = Sandbox::new().file("t.rhai", &script(REQUESTS, 150));
    let csv = sandbox.path("out/test_long.csv");
    let pair = native_pty_system()
        .openpty(PtySize::default())
        .expect("a terminal");
    let mut command = CommandBuilder::new(LMRUN);
    let [p1, p2] = sandbox.ports.map(|port| port.to_string());
    command.args([
        "-v",
        "t.rhai",
        "-o",
        "out",
        "-p",
        &p1,
        &p2,
        "--max-send-lag-s",
        "10",
    ]);
    command.cwd(sandbox.dir.path());
    command.env("TERM", "xterm");
    let mut child = pair.slave.spawn_command(command).expect("lmrun");
    drop(pair.slave);
    eventually("the first rows", || rows(&csv) > 10);
    let mut keys = pair.master.take_writer().expect("the keys");
    keys.write_all(b"\x13").expect("Ctrl-S");
    eventually("all rows", || rows(&csv) == REQUESTS);
    drop(keys);
    drop(pair.master);
    let mut code = None;
    eventually("it ends with its terminal", || {
        code = child
            .try_wait()
            .expect("its status")
            .map(|status| status.exit_code());
        code.is_some()
    });
    assert_eq!(
        (sandbox.left_running(), rows(&csv)),
        (Vec::new(), REQUESTS),
        "{code:?}"
    );
}

#[test]
fn load_rows_are_on_disk_after_sigkill() {
    let sim = Simulator::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rows.jsonl");
    let args = [
        "--rate",
        "100",
        "--requests",
        "2000",
        "--rows",
        file.to_str().expect("a path"),
    ];
    let mut child = load(&sim, &args).spawn().expect("lmrun");
    eventually("requests", || sim.requests() > 50);
    let answered = sim.requests();
    std::thread::sleep(Duration::from_millis(300));
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    let text = std::fs::read_to_string(&file).expect("the rows");
    assert!(
        text.ends_with('\n'),
        "half a row: {}",
        text.lines().last().unwrap_or_default()
    );
    assert!(
        text.lines().count() as u64 >= answered,
        "{} of {answered}",
        text.lines().count()
    );
}

#[test]
fn load_exits_if_rows_cannot_be_written() {
    let sim = Simulator::start(&[]);
    let run = output(load(
        &sim,
        &["--rate", "20", "--requests", "2000", "--rows", "/dev/full"],
    ));
    run.assert_code(5);
    run.assert_stderr("the rows could not be written: No space left");
}

#[test]
fn file_size_limit_ends_a_run_with_whole_rows() {
    let limited = ["bash", "-c", r#"ulimit -f 48; exec "$@""#, "-"];
    let sandbox = Sandbox::new().file("t.rhai", &script(400, 100));
    let run = output(under(&limited, &sandbox.command(&["t.rhai"])));
    run.assert_code(5);
    run.assert_stderr("File too large");
    let text = sandbox.read("out/test_long.csv");
    assert!(
        text.ends_with('\n') && text.lines().count() > 20,
        "{} bytes",
        text.len()
    );

    let sim = Simulator::start(&[]);
    let file = sandbox.path("rows.jsonl");
    let args = [
        "--rate",
        "100",
        "--requests",
        "2000",
        "--rows",
        file.to_str().expect("a path"),
    ];
    let run = output(under(&limited, &load(&sim, &args)));
    run.assert_code(5);
    let text = std::fs::read_to_string(&file).expect("the rows");
    assert!(
        text.ends_with("}\n") && text.lines().count() > 20,
        "{} bytes",
        text.len()
    );
}

#[test]
fn low_thread_limit_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("lmrun");
    // The limit does not bind root: root tries it as another user, who may not read root's folders.
    std::fs::copy(LMRUN, &program).expect("a copy");
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("readable");
    }
    let is_root = nix::unistd::geteuid().is_root();
    for limit in ["2", "4", "5", "8"] {
        let run = format!(
            "ulimit -u {limit}; exec {} load --url http://127.0.0.1:9 --rate 1",
            program.display()
        );
        let user = [
            "setpriv",
            "--reuid=54321",
            "--regid=54321",
            "--clear-groups",
        ];
        let words = user
            .into_iter()
            .filter(|_| is_root)
            .chain(["bash", "-c", &run])
            .collect::<Vec<_>>();
        let mut command = Command::new("timeout");
        let run = finish(command.args(["20"]).args(words));
        assert_eq!(run.code, 2, "with {limit}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stderr.contains("cannot start enough threads"),
            "with {limit}: {}",
            run.stderr
        );
    }
}
