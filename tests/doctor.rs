//! `lmrun doctor`: what it says of a machine with programs of the test's own.

use crate::common::{Finished, LMRUN, Sandbox, finish, free_port, lmrun, running};
use serde_json::Value;
use std::net::TcpListener;
use std::process::Command;

/// A machine on which only these programs can be found, beside a shell's.
fn sandbox() -> Sandbox {
    Sandbox::new()
        .program(
            "redis-server",
            "echo 'Redis server v=7.0.15 sha=00000000:0 bits=64'",
        )
        .program("llama-server", "echo 'version: 4242 (abc)' >&2")
        .program("vllm", "echo 'INFO 11-24 starting 1.2'; echo 0.24.0+cpu")
        .program("lmcache", r#"echo "No module named 'torch'" >&2; exit 1"#)
}

fn doctor(sandbox: &Sandbox, args: &[&str]) -> Finished {
    let mut command = lmrun();
    command
        .arg("doctor")
        .args(args)
        .current_dir(sandbox.dir.path())
        .env("NO_COLOR", "1");
    command
        .env("PATH", sandbox.path("bin"))
        .env("DOCKER_HOST", "unix:///no/such/socket");
    command.env("XDG_CACHE_HOME", sandbox.path("cache"));
    finish(&mut command)
}

#[test]
fn doctor_reports_versions_and_port_owners() {
    let sandbox = sandbox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener
        .local_addr()
        .expect("its address")
        .port()
        .to_string();
    let free = free_port().to_string();
    let run = doctor(&sandbox, &["--json", "-p", &taken, &free]);
    run.assert_code(0);
    let findings: Vec<Value> = serde_json::from_str(&run.stdout).expect("JSON");
    let of = |name: &str| {
        let found = findings.iter().find(|finding| finding["name"] == name);
        found
            .unwrap_or_else(|| panic!("no `{name}` in {}", run.stdout))
            .clone()
    };
    let bin = sandbox.path("bin").display().to_string();
    assert_eq!(of("redis")["found"], format!("7.0.15, {bin}/redis-server"));
    assert_eq!(
        of("llama-server")["found"],
        format!("4242, {bin}/llama-server")
    );
    assert_eq!(of("vllm")["found"], format!("0.24.0+cpu, {bin}/vllm"));
    assert_eq!(
        (&of("sglang")["state"], &of("docker")["state"]),
        (&"absent".into(), &"absent".into())
    );
    assert_eq!(
        (&of(&free)["state"], &of(&free)["found"]),
        (&"good".into(), &"free".into())
    );
    let broken = of("lmcache");
    assert_eq!(broken["state"], "poor");
    let remedy = "it says: No module named 'torch'; `pip install lmcache` beside vLLM";
    assert_eq!(
        (&broken["remedy"], &of("vllm").get("remedy")),
        (&remedy.into(), &None)
    );
    let mine = format!("(process {}) listens", std::process::id());
    assert!(
        of(&taken)["found"]
            .as_str()
            .is_some_and(|found| found.ends_with(&mine)),
        "{}",
        of(&taken)
    );
    assert_eq!(of(&taken)["remedy"], "end it, or choose others: `-p P1 P2`");
    for name in ["cores", "memory", "open files", "clock", "disk", "driver"] {
        assert_ne!(of(name)["state"], "blocking");
    }
}

#[test]
fn doctor_shows_a_remedy_for_each_missing_program() {
    let run = doctor(&sandbox(), &["-p", &free_port().to_string()]);
    run.assert_code(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    let miss = lines
        .iter()
        .position(|line| line.contains("no `sglang` on the PATH"))
        .expect("the miss");
    assert!(lines[miss].starts_with("  -    sglang"), "{}", run.stdout);
    assert!(
        lines[miss + 1].contains("→ `pip install sglang`"),
        "{}",
        run.stdout
    );
    assert!(
        lines.iter().all(|line| line.chars().count() < 200),
        "{}",
        run.stdout
    );
}

/// A script of Python's is not started: its package tells.
#[test]
fn doctor_asks_the_interpreter_for_the_package_version() {
    let vllm = sandbox().program("python3", r#"echo "$@" >>asked; echo 1.2.3"#);
    // A script may not be run by a script: by way of `env`.
    let script = format!(
        "#!/usr/bin/env {}\nimport torch\n",
        vllm.path("bin/python3").display()
    );
    std::fs::write(vllm.path("bin/vllm"), script).expect("the script");
    let run = doctor(&vllm, &["-p", &free_port().to_string()]);
    run.assert_stdout("ok   vllm          1.2.3, ");
    let asked = std::fs::read_to_string(vllm.path("asked")).expect("the question");
    assert!(
        asked.starts_with("-c import importlib.metadata") && asked.ends_with(" vllm\n"),
        "{asked}"
    );
}

#[test]
fn doctor_reports_a_low_open_file_limit() {
    let sandbox = sandbox();
    let lmrun = LMRUN;
    let limited = format!(
        "ulimit -Hn 40; ulimit -n 40; exec {lmrun} doctor -p {}",
        free_port()
    );
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &limited])
        .current_dir(sandbox.dir.path())
        .env("DOCKER_HOST", "unix:///no/such/socket");
    let run = finish(command.env("PATH", sandbox.path("bin")));
    run.assert_code(1);
    run.assert_stdout("FAIL open files");
    run.assert_stdout("→ raise the limit: `ulimit -Hn 65536`");
}

#[test]
fn doctor_stops_a_program_with_endless_output() {
    let mark = format!("4{}", std::process::id());
    let endless = format!(
        "PATH=/usr/bin:/bin; env -i setsid --fork sleep {mark}; echo 'version: 4243 (abc)'; exec yes"
    );
    let run = doctor(
        &sandbox().program("llama-server", &endless),
        &["-p", &free_port().to_string()],
    );
    run.assert_code(0);
    run.assert_stdout("ok   llama-server  4243, ");
    assert_eq!(running(&format!("sleep {mark}")), Vec::<String>::new());
}
