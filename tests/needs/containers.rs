//! Engines in containers, on a real Docker daemon of the test's own: served, watched, removed.
//!
//! It needs `dockerd`, `docker` and root.

use crate::common::{LMRUN, Sandbox, all_processes, eventually, finish, wait};
use crate::need::{DOCKER, trial};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) fn tests() -> Vec<Trial> {
    vec![trial(engines_run_in_containers, &[DOCKER])]
}

const IMAGE: &str = "lmrun-test";

/// A daemon with a socket, data and images of its own.
struct Daemon {
    process: Child,
    folder: TempDir,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let log = std::fs::File::create(at("log")).expect("a log");
        let process = Command::new("dockerd")
            .args(["--storage-driver=vfs", "--iptables=false", "--bridge=none"])
            .args([
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
                "--pidfile",
                &at("pid"),
            ])
            .args(["--host", &format!("unix://{}", at("socket"))])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd");
        let mut daemon = Self { process, folder };
        let patience = Instant::now() + Duration::from_secs(30);
        while !daemon.docker(&["version"]).status.success() {
            let has_ended = daemon.process.try_wait().is_ok_and(|end| end.is_some());
            if has_ended || Instant::now() > patience {
                let log =
                    std::fs::read_to_string(daemon.folder.path().join("log")).unwrap_or_default();
                panic!(
                    "dockerd does not start: {}",
                    log.lines().last().unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        daemon
    }

    fn address(&self) -> String {
        format!("unix://{}/socket", self.folder.path().display())
    }

    fn docker(&self, args: &[&str]) -> std::process::Output {
        Command::new("docker")
            .env("DOCKER_HOST", self.address())
            .args(args)
            .output()
            .expect("docker")
    }

    /// An image with lmrun and the libraries that it needs.
    fn import(&self) {
        let root = self.folder.path().join("root");
        let lmrun = root.join("usr/bin/lmrun");
        std::fs::create_dir_all(lmrun.parent().expect("a folder")).expect("the folder");
        std::fs::copy(LMRUN, &lmrun).expect("lmrun");
        // Each container copies it all: without debug information it is a tenth.
        let _ = Command::new("strip").arg(&lmrun).status();
        let libraries = Command::new("ldd")
            .arg(&lmrun)
            .output()
            .expect("ldd")
            .stdout;
        let libraries = String::from_utf8_lossy(&libraries).into_owned();
        for library in libraries
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            let inside = root.join(library.trim_start_matches('/'));
            std::fs::create_dir_all(inside.parent().expect("a folder")).expect("the folder");
            std::fs::copy(library, inside).expect("a library");
        }
        let tar = self.folder.path().join("root.tar");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status();
        assert!(packed.expect("tar").success());
        let imported = self.docker(&["import", &tar.display().to_string(), IMAGE]);
        assert!(
            imported.status.success(),
            "{}",
            String::from_utf8_lossy(&imported.stderr)
        );
    }

    /// lmrun's containers, in whatever state.
    fn containers(&self) -> Vec<String> {
        let listed = self.docker(&["ps", "-aq", "--no-trunc", "--filter", "label=lmrun.owner"]);
        String::from_utf8_lossy(&listed.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn command(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let mut command = sandbox.command(args);
        command.env("DOCKER_HOST", self.address());
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let patience = Instant::now() + Duration::from_secs(20);
        while self.process.try_wait().is_ok_and(|end| end.is_none()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const TESTS: &str = r#"
import "std/check" as check;
import "std/load" as load;
import "std/sim" as sim;

private fn boxed(name) { sim::engine(#{ name: name, container: "lmrun-test" }) }
private fn work(requests) { load::dummy(#{ requests: requests, gap_s: 0.1, context_len: 600, max_tokens: 4 }) }

fn test_spec() {
    let cache = #{ local_cpu: true, max_local_cpu_size: 5 };
    let cached = sim::engine(#{ name: "cached", lmcache: cache, container: #{ image: "lmrun-test", env: #{ A: "1" } } });
    let plain = boxed("plain");
    let seen = run(work(3), [cached, plain]);
    check::cached(seen[cached], 0.5);
    check::equal(seen[plain].failed, 0, "failed");
}

fn test_handle() {
    let engine = start(boxed("handle"));
    check::that(engine.wait_until_ready(30), "ready");
    check::that(engine.is_healthy(), "healthy");
    check::equal(run(work(2), [engine])[engine].failed, 0, "failed");
    engine.close();
    check::that(!engine.is_healthy(), "closed");
    start(boxed("forgotten"));
}

fn test_long() { run(work(param("requests", 600)), [boxed("long")]); }

fn test_dies_at_start() { run(work(1), [sim::engine(#{ name: "dead", flags: #{ nonsense: 1 }, container: "lmrun-test" })]); }

fn test_no_image() { run(work(1), [sim::engine(#{ container: #{ image: "no-such/image", pull: false } })]); }

fn test_no_program() {
    import "std/vllm" as vllm;
    run(work(1), [vllm::engine(#{ container: #{ image: "lmrun-test", gpus: [] } })]);
}
"#;

fn engines_run_in_containers() {
    let daemon = Daemon::start();
    daemon.import();
    containers_serve_are_logged_and_removed(&daemon);
    killed_container_ends_the_run(&daemon);
    container_errors_have_help(&daemon);
    watchdog_removes_containers_after_sigkill_of_lmrun(&daemon);
    next_run_removes_leftover_containers(&daemon);
}

fn containers_serve_are_logged_and_removed(daemon: &Daemon) {
    let sandbox = Sandbox::new().file("t.rhai", TESTS);
    let run = finish(daemon.command(&sandbox, &["t.rhai", "-f", "spec|handle"]));
    run.assert_code(0);
    run.assert_stderr(", image lmrun-test\n");
    assert!(
        !run.stderr.contains("cannot be seen"),
        "who answers is known: {}",
        run.stderr
    );
    let rows = sandbox.rows("out/test_spec.csv");
    assert!(
        rows.len() == 6 && rows.iter().all(|row| row["status"] == "ok"),
        "{rows:?}"
    );
    for port in sandbox.ports {
        let log = sandbox.read(&format!("out/{port}-stdout.log"));
        assert!(log.contains("Application startup complete."), "{log}");
    }
    let manifest = sandbox.read("out/test_spec.manifest.json");
    assert!(manifest.contains(r#""image": "lmrun-test""#), "{manifest}");
    assert_eq!(daemon.containers(), Vec::<String>::new());
}

fn killed_container_ends_the_run(daemon: &Daemon) {
    let sandbox = Sandbox::new().file("t.rhai", TESTS);
    let child = daemon
        .command(&sandbox, &["t.rhai", "-f", "long"])
        .spawn()
        .expect("lmrun");
    eventually("rows", || rows_of(&sandbox) > 3);
    daemon.docker(&["kill", &daemon.containers()[0]]);
    let began = Instant::now();
    let run = wait(child);
    run.assert_code(3);
    let said = "engine `long` ended while it served (exit status: 137)";
    run.assert_stderr(said);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(daemon.containers(), Vec::<String>::new());
}

fn container_errors_have_help(daemon: &Daemon) {
    let sandbox = Sandbox::new().file("t.rhai", TESTS);
    for (test, message, help) in [
        (
            "dies_at_start",
            "engine `dead` ended while it was starting (exit status: 2)",
            "--nonsense",
        ),
        (
            "no_image",
            "the image `no-such/image` is not on this machine, and `pull` is false",
            "docker pull",
        ),
        (
            "no_program",
            "Docker cannot start the container",
            "set `program`",
        ),
    ] {
        let run = finish(daemon.command(&sandbox, &["t.rhai", "-f", test]));
        // The drawing breaks lines.
        let text = run
            .stderr
            .replace('│', " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        run.assert_code(3);
        assert!(
            text.contains(message) && text.contains(help),
            "{message} | {help}: {}",
            run.stderr
        );
        assert_eq!(daemon.containers(), Vec::<String>::new(), "{test}");
    }
}

fn watchdog_removes_containers_after_sigkill_of_lmrun(daemon: &Daemon) {
    let sandbox = Sandbox::new().file("t.rhai", TESTS);
    let mut child = daemon
        .command(&sandbox, &["t.rhai", "-f", "long"])
        .spawn()
        .expect("lmrun");
    eventually("rows", || rows_of(&sandbox) > 3);
    assert_eq!(daemon.containers().len(), 1);
    child.kill().expect("SIGKILL");
    // Its parent has not waited for it yet: a zombie looks after nothing.
    eventually("the watchdog removes the container", || {
        daemon.containers().is_empty()
    });
    child.wait().expect("its end");
}

fn next_run_removes_leftover_containers(daemon: &Daemon) {
    let (alive, killed) = (
        Sandbox::new().file("t.rhai", TESTS),
        Sandbox::new().file("t.rhai", TESTS),
    );
    let long = ["t.rhai", "-f", "long", "-P", "requests=100"];
    let mut survivor = daemon.command(&alive, &long).spawn().expect("lmrun");
    let mut victim = daemon.command(&killed, &long).spawn().expect("lmrun");
    eventually("rows", || rows_of(&alive) > 3 && rows_of(&killed) > 3);
    let watchdogs = children_of(victim.id() as i32);
    assert_eq!(watchdogs.len(), 1, "the container is no child");
    kill(Pid::from_raw(watchdogs[0]), Signal::SIGKILL).expect("the signal");
    victim.kill().expect("SIGKILL");
    victim.wait().expect("its end");
    assert_eq!(daemon.containers().len(), 2);
    let next = Sandbox::new().file("t.rhai", "fn test_nothing() {}");
    let run = finish(daemon.command(&next, &["t.rhai"]));
    run.assert_code(0);
    run.assert_stderr("image lmrun-test, left by a killed lmrun");
    assert_eq!(daemon.containers().len(), 1);
    assert!(
        survivor.wait().expect("its end").success(),
        "the container of a live lmrun is not touched"
    );
    assert_eq!(alive.rows("out/test_long.csv").len(), 100);
    assert_eq!(daemon.containers(), Vec::<String>::new());
}

fn rows_of(sandbox: &Sandbox) -> usize {
    sandbox.lines("out/test_long.csv")
}

fn children_of(pid: i32) -> Vec<i32> {
    let all = all_processes();
    let stats = all.filter_map(|process| process.stat().ok());
    stats
        .filter(|stat| stat.ppid == pid)
        .map(|stat| stat.pid)
        .collect()
}
