//! The processes of an engine: all that comes from an engine ends with it, however it has hidden and
//! whichever of lmrun and the engine's watchdog is killed or stopped; and nothing else is ended.

use crate::common::{
    LMRUN, Sandbox, all_processes, eventually, finish, free_port, lmrun, running, wait,
};
use lmrun::driver::process_tree::{CommandLine, Graces, ProcessTree, StartError};
use lmrun::driver::program::{self, ProgramOutput};
use lmrun::driver::watchdog::Watchdogs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

fn watchdogs() -> Watchdogs {
    Watchdogs::new(LMRUN.into(), "watchdog-of-lmrun")
}

fn line(script: &str, dir: &Path) -> CommandLine {
    CommandLine {
        argv: ["sh", "-c", script].map(String::from).to_vec(),
        env: BTreeMap::from([("GREETING".into(), "hello".into())]),
        unset: vec!["HOME".into(), "GREETING".into()],
        stdout: dir.join("out.log"),
        stderr: dir.join("err.log"),
    }
}

async fn start(script: &str, dir: &Path) -> ProcessTree {
    ProcessTree::start(&line(script, dir), &watchdogs())
        .await
        .expect("sh")
}

async fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

async fn exit_of(process: &ProcessTree) -> String {
    let mut end = process.exit();
    let ended = end.wait_for(Option::is_some);
    let ended = tokio::time::timeout(Duration::from_mins(1), ended)
        .await
        .expect("in time");
    ended.expect("an end").clone().expect("how")
}

#[tokio::test]
async fn process_output_is_logged_with_its_tail() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("out.log"), "before\n").expect("a log");
    let script = "echo $GREETING-$HOME; printf '\\033[31mred\\n'; exit 3";
    let process = start(script, dir.path()).await;
    assert_eq!(exit_of(&process).await, "exit status: 3");
    assert_eq!(process.logs().tail(10), "hello-\nred");
    assert_eq!(process.logs().last_line().as_deref(), Some("red"));
    let log = std::fs::read_to_string(dir.path().join("out.log")).expect("the log");
    assert!(log.starts_with("before\nhello-"));
}

#[tokio::test]
async fn exit_by_signal_names_the_signal() {
    let dir = tempfile::tempdir().expect("a folder");
    for (signal, said) in [("KILL", "signal: 9 (SIGKILL)"), ("40", "signal: 40")] {
        let process = start(&format!("kill -{signal} $$"), dir.path()).await;
        assert_eq!(exit_of(&process).await, said);
    }
}

#[tokio::test]
async fn close_kills_grandchildren_in_other_sessions() {
    // One whose parent lives, one without a parent, and one without parent and environment.
    for how in ["setsid", "setsid --fork", "env -i setsid --fork"] {
        let dir = tempfile::tempdir().expect("a folder");
        let pid_file = dir.path().join("child.pid");
        let left = format!(
            r#"{how} sh -c 'echo $$ >{}; trap "" INT TERM; sleep 60 & wait; wait' & wait; sleep 60"#,
            pid_file.display()
        );
        let process = start(&left, dir.path()).await;
        let pid = || {
            std::fs::read_to_string(&pid_file)
                .ok()?
                .trim()
                .parse::<i32>()
                .ok()
        };
        wait_for("its pid", || pid().is_some()).await;
        let grandchild = pid().expect("a pid");
        assert!(
            process.members().contains(&grandchild),
            "{how}: it is a member"
        );
        let left = process
            .close(Graces {
                interrupt_s: 0.2,
                terminate_s: 0.2,
            })
            .await;
        assert_eq!((left, lives(grandchild)), (Vec::new(), false), "{how}");
    }
}

fn lives(pid: i32) -> bool {
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.state != 'Z')
}

#[tokio::test]
async fn close_continues_a_stopped_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let script = "trap 'echo bye; exit 0' INT; kill -STOP $$; sleep 60 & wait";
    let mut line = line(script, dir.path());
    // A shell cannot trap an interrupt that it inherits as ignored, as it does from a background job.
    let default = ["env", "--default-signal=INT"].map(String::from);
    line.argv.splice(0..0, default);
    let process = ProcessTree::start(&line, &watchdogs()).await.expect("sh");
    let stopped = |pid: i32| {
        let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
        stat.is_ok_and(|stat| stat.state == 'T')
    };
    wait_for("it stops", || {
        process.members().iter().any(|pid| stopped(*pid))
    })
    .await;
    assert_eq!(process.close(Graces::default()).await, Vec::<i32>::new());
    assert_eq!(process.logs().tail(1), "bye");
}

#[tokio::test]
async fn close_removes_secrets_from_the_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut line = line("echo the token is $HF_TOKEN", dir.path());
    line.env.insert("HF_TOKEN".into(), "hf_very_secret".into());
    let process = ProcessTree::start(&line, &watchdogs()).await.expect("sh");
    exit_of(&process).await;
    process.close(Graces::default()).await;
    assert_eq!(process.logs().tail(1), "the token is **************");
}

#[tokio::test]
async fn drop_kills_the_process_tree() {
    let dir = tempfile::tempdir().expect("a folder");
    let process = start("env -i setsid --fork sleep 60; sleep 60", dir.path()).await;
    wait_for("the daemon", || process.members().len() == 3).await;
    let members = process.members();
    drop(process);
    assert_eq!(
        members
            .into_iter()
            .filter(|pid| lives(*pid))
            .collect::<Vec<_>>(),
        Vec::<i32>::new()
    );
}

async fn refused(line: &CommandLine, watchdogs: &Watchdogs) -> StartError {
    ProcessTree::start(line, watchdogs)
        .await
        .err()
        .expect("an error")
}

#[tokio::test]
async fn start_errors_name_the_program() {
    let dir = tempfile::tempdir().expect("a folder");
    let orphaned = dir.path().join("engine").display().to_string();
    std::fs::write(&orphaned, "#!/no/such/python\n").expect("a program");
    std::fs::set_permissions(&orphaned, PermissionsExt::from_mode(0o755)).expect("executable");
    let interpreter = format!("the interpreter in the first line of `{orphaned}` was not found");
    for (program, said) in [
        (
            "no-such-engine",
            "the program `no-such-engine` was not found",
        ),
        (&orphaned, &interpreter),
    ] {
        let mut line = line("", dir.path());
        line.argv[0] = program.into();
        assert_eq!(refused(&line, &watchdogs()).await.to_string(), said);
    }
    let error = refused(
        &line("", dir.path()),
        &Watchdogs::new("/no/such/lmrun".into(), "watch"),
    )
    .await;
    assert!(
        error
            .to_string()
            .starts_with("its watchdog did not start: No such file"),
        "{error}"
    );
    let error = refused(
        &line("", dir.path()),
        &Watchdogs::new("/bin/true".into(), "watch"),
    )
    .await;
    assert!(
        error
            .to_string()
            .starts_with("its watchdog did not start: "),
        "{error}"
    );
}

/// Twenty chains. Each link leaves the session, starts one like itself, and ends a moment later: some are
/// started between the look at all and the kill.
#[tokio::test]
async fn close_kills_processes_started_during_the_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let link = dir.path().join("link").display().to_string();
    let next = format!("sleep 0.05; [ $1 -lt 400 ] && setsid sh {link} $(($1 + 1)) &");
    std::fs::write(&link, next).expect("a script");
    let script =
        format!("trap '' INT TERM; for i in $(seq 20); do setsid sh {link} 0 & done; sleep 60");
    let process = start(&script, dir.path()).await;
    wait_for("some links", || running(&link).len() > 10).await;
    let left = process
        .close(Graces {
            interrupt_s: 0.1,
            terminate_s: 0.1,
        })
        .await;
    assert_eq!((left, running(&link)), (Vec::new(), Vec::<String>::new()));
}

#[tokio::test]
async fn program_output_is_limited_in_time_and_size() {
    let watchdogs = watchdogs();
    let ask = async |script: &str, limit_s| {
        let argv = ["sh", "-c", script].map(String::from);
        program::output(&argv, &watchdogs, Duration::from_secs(limit_s)).await
    };
    let printed = |text: &str, success| {
        Some(ProgramOutput {
            text: text.into(),
            success,
        })
    };
    assert_eq!(ask("echo 1; echo 2 >&2", 20).await, printed("1\n2", true));
    assert_eq!(
        ask("printf '\\033]0;x\\a3'; exit 1", 20).await,
        printed("3", false)
    );
    let mark = mark();
    let children = format!("env -i setsid --fork sleep {mark}; sh -c 'sleep {mark}; :' & ");
    assert_eq!(ask(&format!("{children} sleep {mark}"), 1).await, None);
    assert_eq!(
        ask(&format!("{children} echo 1"), 20).await,
        printed("1", true),
        "a child holds its output"
    );
    let endless = ask(&format!("{children} yes"), 20)
        .await
        .expect("it prints");
    assert!(
        (60_000..100_000).contains(&endless.text.len()) && !endless.success,
        "{} bytes",
        endless.text.len()
    );
    assert_eq!(running(&format!("sleep {mark}")), Vec::<String>::new());
}

/// A number of seconds that tells a test's `sleep` from all others.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{}.{}",
        1_000_000 + std::process::id(),
        NEXT.fetch_add(1, Relaxed)
    )
}

/// A run of a helper that has left `daemons`, and the mark of these.
struct Run {
    sandbox: Sandbox,
    child: Child,
    mark: String,
}

const TWENTY: &str = "for i in $(seq 20); do env -i setsid --fork sleep MARK; done";

impl Run {
    /// Starts it, and waits until this number of daemons runs.
    fn start(daemons: &str, count: usize) -> Self {
        Self::start_for(600, daemons, count)
    }

    /// Starts one that ends by itself after this number of seconds.
    fn start_for(seconds: u32, daemons: &str, count: usize) -> Self {
        let mark = mark();
        let engine = format!(
            "{}\nexec \"$LMRUN\" sim --port \"$1\"",
            daemons.replace("MARK", &mark)
        );
        let test = r#"
            import "std/helper" as helper;
            fn test_a() {
                start(helper::command(#{ name: "leaves", command: ["leaves", "{port}"], port: FREE_PORT, ready_path: "/health" }));
                sleep(param("for_s", 600));
            }
            fn test_next() { print("the next run"); }
            "#
            .replace("FREE_PORT", &free_port().to_string());
        let sandbox = Sandbox::new()
            .program("leaves", &engine)
            .file("t.rhai", &test);
        let args = ["t.rhai", "-f", "test_a", "-P", &format!("for_s={seconds}")];
        let child = sandbox.command_with_programs(&args).spawn().expect("lmrun");
        let run = Self {
            sandbox,
            child,
            mark,
        };
        eventually("its daemons", || run.left().len() == count);
        run
    }

    fn left(&self) -> Vec<String> {
        running(&format!("sleep {}", self.mark))
    }

    fn watchdogs(&self) -> Vec<i32> {
        let all = all_processes();
        let stats = all.filter_map(|process| process.stat().ok());
        let parent = self.child.id() as i32;
        stats
            .filter(|stat| stat.ppid == parent && stat.comm == "engine-watchdog")
            .map(|stat| stat.pid)
            .collect()
    }

    fn strike_watchdogs(&self, signal: Signal) {
        let watchdogs = self.watchdogs();
        assert_eq!(watchdogs.len(), 1, "one helper has one watchdog");
        kill(Pid::from_raw(watchdogs[0]), signal).expect("the signal");
    }

    fn kill_lmrun(&mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("its end");
    }

    /// Returns the output of a later run in the same surroundings.
    fn next_run(&self) -> String {
        let run = finish(self.sandbox.command(&["t.rhai", "-f", "next"]));
        run.assert_code(0);
        run.stderr
    }
}

#[test]
fn watchdog_kills_daemons_after_sigkill_of_lmrun() {
    let mut run = Run::start(TWENTY, 20);
    run.kill_lmrun();
    eventually("nothing is left", || run.left().is_empty());
    assert!(
        !run.next_run().contains("had left"),
        "there was nothing to end"
    );
}

#[test]
fn watchdog_reaps_orphans() {
    let mut run = Run::start(
        "for i in $(seq 200); do env -i setsid --fork true; done; setsid --fork sleep MARK",
        1,
    );
    let mut parents = run.watchdogs();
    parents.push(run.child.id() as i32);
    let zombies = || {
        let all = all_processes();
        let stats = all.filter_map(|process| process.stat().ok());
        stats
            .filter(|stat| stat.state == 'Z' && parents.contains(&stat.ppid))
            .count()
    };
    eventually("none is left", || zombies() == 0);
    run.kill_lmrun();
    eventually("nothing is left", || run.left().is_empty());
}

#[test]
fn stopped_watchdog_continues_after_sigkill_of_lmrun() {
    let mut run = Run::start(TWENTY, 20);
    run.strike_watchdogs(Signal::SIGSTOP);
    run.kill_lmrun();
    eventually("nothing is left", || run.left().is_empty());
}

#[test]
fn lmrun_kills_orphans_of_a_killed_watchdog() {
    let mut run = Run::start_for(8, TWENTY, 20);
    run.strike_watchdogs(Signal::SIGKILL);
    eventually("nothing is left", || run.left().is_empty());
    assert!(
        run.child.try_wait().expect("its state").is_none(),
        "lmrun goes on"
    );
    let ended = wait(run.child);
    ended.assert_code(3);
    ended.assert_stderr("helper `leaves` ended while it ");
    let why = "(its watchdog was killed, and the kernel killed it)";
    ended.assert_stderr(why);
}

#[test]
fn next_run_kills_orphans_that_doctor_lists() {
    // One that kept its environment, and others that the watchdog records.
    let mut run = Run::start(&format!("setsid --fork sleep MARK; {TWENTY}"), 21);
    let record = run.sandbox.path("cache/lmrun/processes");
    let recorded = || {
        let files = std::fs::read_dir(&record)
            .into_iter()
            .flatten()
            .filter_map(|file| Some(file.ok()?.path()));
        files
            .map(|file| {
                std::fs::read_to_string(file)
                    .unwrap_or_default()
                    .matches("pid")
                    .count()
            })
            .sum::<usize>()
    };
    eventually("they are recorded", || recorded() >= 22);
    // As if at the same moment.
    kill(Pid::from_raw(run.child.id() as i32), Signal::SIGSTOP).expect("the signal");
    run.strike_watchdogs(Signal::SIGKILL);
    run.kill_lmrun();
    assert_eq!(run.left().len(), 21);
    let mut doctor = lmrun();
    doctor
        .args(["doctor", "-p", &free_port().to_string()])
        .env("PATH", "")
        .env("NO_COLOR", "1");
    doctor
        .env("XDG_CACHE_HOME", run.sandbox.path("cache"))
        .env("DOCKER_HOST", "unix:///no/such/socket");
    let doctor = finish(&mut doctor);
    assert_eq!(
        doctor.stdout.matches("sleep (process ").count(),
        21,
        "{}",
        doctor.stdout
    );
    doctor.assert_stdout("the next run ends them");
    assert_eq!(run.left().len(), 21, "doctor ends nothing");
    let next = run.next_run();
    assert_eq!(
        next.matches("sleep (process ").count(),
        2 * 21,
        "named at once and at the end: {next}"
    );
    assert_eq!(run.left(), Vec::<String>::new());
    assert!(!run.next_run().contains("had left"), "once is enough");
}

/// A simulator on a port that an engine of the sandbox should have; it ends with the test.
struct Stranger(Child);

impl Stranger {
    fn start(port: u16) -> Self {
        let mut command = lmrun();
        command.args([
            "sim",
            "--model",
            "m",
            "--startup-s",
            "0",
            "--port",
            &port.to_string(),
        ]);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        Self(command.spawn().expect("a simulator"))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A test with one engine, `slow`, that runs this shell script; `$1` is its port.
fn slow(engine: &str) -> Sandbox {
    Sandbox::new().program("slow", engine).file(
        "t.rhai",
        r#"
        import "std/command" as command;
        import "std/load" as load;
        fn test_a() {
            let slow = command::engine(#{ name: "slow", model: "m", command: ["slow", "{port}"] });
            run(load::dummy(#{ requests: 60, gap_s: 0.1, context_len: 20, max_tokens: 2 }), [slow], #{ warmup: 0, may_fail: true });
        }
        "#,
    )
}

#[test]
fn unrelated_process_on_the_port_is_not_the_engine() {
    let sandbox = slow(r#"touch "$SANDBOX/started"; exec sleep 30"#);
    let child = sandbox
        .command_with_programs(&["t.rhai"])
        .spawn()
        .expect("lmrun");
    eventually("the engine starts", || sandbox.path("started").exists());
    let stranger = Stranger::start(sandbox.ports[0]);
    let run = wait(child);
    run.assert_code(3);
    let pid = stranger.0.id();
    let said = format!(
        "port {} belongs to process {pid} lmrun, not to engine `slow`",
        sandbox.ports[0]
    );
    run.assert_stderr(&said);
    run.assert_stderr("choose other ports with `-p P1 P2`");
    assert!(
        sandbox.rows("out/test_a.csv").is_empty(),
        "nothing was sent"
    );
}

#[test]
fn unrelated_process_that_takes_the_port_fails_the_experiment() {
    let sandbox =
        slow(r#""$LMRUN" sim --model m --port "$1" & echo $! >"$SANDBOX/pid"; exec sleep 60"#);
    let child = sandbox
        .command_with_programs(&["t.rhai"])
        .spawn()
        .expect("lmrun");
    let rows = || sandbox.lines("out/test_a.csv");
    eventually("rows are on disk", || rows() > 3);
    let server = sandbox.read("pid").trim().parse().expect("a pid");
    kill(Pid::from_raw(server), Signal::SIGKILL).expect("the signal");
    eventually("its server is gone", || !lives(server));
    let stranger = Stranger::start(sandbox.ports[0]);
    let run = wait(child);
    run.assert_code(3);
    let said = format!(
        "belongs to process {} lmrun, not to engine `slow`",
        stranger.0.id()
    );
    run.assert_stderr(&said);
}

#[test]
fn daemon_on_the_port_belongs_to_its_engine() {
    let sandbox = slow(r#"env -i setsid --fork "$LMRUN" sim --model m --port "$1"; exec sleep 60"#);
    let run = finish(sandbox.command_with_programs(&["t.rhai"]));
    run.assert_code(0);
    assert!(!run.stderr.contains("cannot be seen"), "{}", run.stderr);
    sandbox.assert_nothing_runs();
}
