//! `lmrun load`: what it says, and how it ends.

use crate::common::{
    Finished, Server, Simulator, eventually, finish, free_port, lmrun, strict, wait,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Command, Stdio};

fn load(args: &[&str]) -> Command {
    let mut command = lmrun();
    // Other tests run at the same time, so requests may be late.
    command
        .arg("load")
        .args(args)
        .args(["--max-send-lag-s", "10"])
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> Finished {
    finish(load(args))
}

#[test]
fn load_keeps_rows_after_a_signal() {
    let sim = Simulator::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let rows = folder.path().join(signal.as_str()).display().to_string();
        let before = sim.requests();
        let args = [
            "--url",
            &sim.url(),
            "--rate",
            "20",
            "--requests",
            "2000",
            "--max-tokens",
            "2",
            "--rows",
            &rows,
        ];
        let child = load(&args).spawn().expect("lmrun");
        eventually("some requests came", || sim.requests() > before + 5);
        kill(Pid::from_raw(child.id() as i32), signal).expect("the signal");
        let run = wait(child);
        assert_eq!(run.code, 130, "{signal}: {}{}", run.stdout, run.stderr);
        run.assert_stderr("interrupted: aborting the requests in flight");
        let rows = std::fs::read_to_string(&rows).expect("the rows");
        let rows = rows
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let (ok, failed): (Vec<_>, Vec<_>) = rows.partition(|row| row["ok"] == true);
        assert!(
            ok.len() > 3 && ok.len() + failed.len() == 2000,
            "{} and {}",
            ok.len(),
            failed.len()
        );
        assert!(
            failed
                .iter()
                .all(|row| row["error"] == "the run was interrupted"),
            "{failed:?}"
        );
    }
}

#[test]
fn load_errors_name_the_flag() {
    let silent = format!("http://127.0.0.1:{}", free_port());
    for (args, code, said) in [
        (
            &["--concurrency", "4", "--arrival", "poisson"][..],
            2,
            "'--concurrency <CONCURRENCY>' cannot be used with '--arrival <ARRIVAL>'",
        ),
        (
            &["--concurrency", "4", "--rate", "1"],
            2,
            "'--concurrency <CONCURRENCY>' cannot be used with '--rate <RATE>'",
        ),
        (&[], 2, "--rate <RATE>"),
        (&["--rate", "0"], 2, "`--rate` must be greater than zero"),
        (
            &["--concurrency", "0"],
            2,
            "`--concurrency` must be at least one",
        ),
        (
            &["--rate", "1e-308"],
            2,
            "`--rate` would make the requests last for over 1000000000 seconds",
        ),
        (&["--rate", "1", "--requests", "0"], 2, "`--requests` "),
        (
            &["--rate", "1", "--max-tokens", "0"],
            2,
            "invalid value '0' for '--max-tokens <MAX_TOKENS>'",
        ),
        (
            &["--rate", "1", "--api-key-env", "NO_SUCH_KEY"],
            2,
            "`--api-key-env` ",
        ),
        (&["--rate", "1", "--header", "x"], 2, "expected NAME: VALUE"),
        (
            &["--rate", "1", "--header", "Authorization: x"],
            2,
            "`--header` would be written to the manifest",
        ),
        (
            &["--rate", "1", "--header", "a b: x"],
            2,
            "`--header` has an invalid header `a b`",
        ),
        (
            &["--rate", "1", "--extra-body", "[1]"],
            2,
            "expected a JSON object",
        ),
        (
            &["--rate", "1", "--limit", "total=3"],
            2,
            "unknown field `total`, expected one of `connect_s`",
        ),
        (
            &["--rate", "1", "--limit", "total_s=-3"],
            2,
            "expected a number of seconds, zero or more",
        ),
        (
            &["--rate", "1", "--limit", "total_s=soon"],
            2,
            "expected NAME=SECONDS",
        ),
        (
            &["--rate", "1"],
            3,
            "/v1/models cannot be reached: Connection refused",
        ),
    ] {
        let run = run(&[&["--url", &silent], args].concat());
        assert_eq!(run.code, code, "{args:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(said), "{args:?}: {}", run.stderr);
    }
    let run = run(&["--url", "nowhere", "--rate", "1"]);
    assert!(
        run.code == 2 && run.stderr.contains("`--url`: invalid URL `nowhere`"),
        "{}",
        run.stderr
    );
}

#[test]
fn load_counts_failed_requests() {
    let sim = Simulator::start(&["--fault", "refuse=503/2"]);
    let run = run(&[
        "--url",
        &sim.url(),
        "--concurrency",
        "2",
        "--requests",
        "8",
        "--max-tokens",
        "2",
    ]);
    run.assert_code(1);
    run.assert_stderr("warning: 4 × HTTP 503: refused on purpose");
}

#[test]
fn load_omits_ignore_eos_if_refused() {
    let server = Server::start(strict);
    let url = server.url();
    let load = |more: &[&str]| {
        let args = [
            "--url",
            &url,
            "--concurrency",
            "2",
            "--requests",
            "4",
            "--max-tokens",
            "3",
        ];
        run(&[&args, more].concat())
    };
    let ran = load(&["--stream-end", "finish_reason"]);
    ran.assert_code(0);
    let told =
        "the server refuses `ignore_eos`, so that its answers may be shorter than `--max-tokens`";
    assert_eq!(ran.stderr.matches(told).count(), 1, "{}", ran.stderr);
    assert_eq!(server.bodies("post").len(), 5, "one to find out");

    let ran = load(&["--stream-end", "finish_reason", "--no-ignore-eos"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert_eq!(server.bodies("post").len(), 9, "none to find out");

    let ran = load(&["--ignore-eos"]);
    ran.assert_code(1);
    ran.assert_stderr("4 × HTTP 422: Unexpected fields");

    let ran = load(&["--no-ignore-eos"]);
    ran.assert_code(1);
    ran.assert_stderr("set `stream_end` to `finish_reason`");
}

#[test]
fn load_flags_set_request_fields() {
    let server = Server::start(|request| {
        let is_tenant = request.head.contains("x-tenant: a");
        if is_tenant {
            strict(request)
        } else {
            ("403 Forbidden", String::new())
        }
    });
    let ran = run(&[
        "--url",
        &server.url(),
        "--rate",
        "100",
        "--requests",
        "2",
        "--stream-end",
        "finish_reason",
        "--endpoint",
        "completions",
        "--header",
        "X-Tenant: a",
        "--extra-body",
        r#"{"max_tokens": null, "max_completion_tokens": 7, "ignore_eos": null}"#,
    ]);
    ran.assert_code(0);
    let bodies = server.bodies("post /v1/completions");
    assert!(bodies.len() > 1, "{bodies:?}");
    for body in bodies {
        assert!(body["prompt"].is_string(), "{body}");
        assert_eq!(
            (&body["max_completion_tokens"], body.get("max_tokens")),
            (&7.into(), None),
            "{body}"
        );
    }
}

#[test]
fn load_timeout_ends_a_request() {
    let sim = Simulator::start(&["--fault", "no-answer"]);
    let ran = run(&[
        "--url",
        &sim.url(),
        "--rate",
        "10",
        "--requests",
        "1",
        "--ignore-eos",
        "--limit",
        "first_token_s=0.5",
    ]);
    ran.assert_code(1);
    ran.assert_stderr("no first token within 0.5 s");
}

#[test]
fn impossible_token_count_is_a_warning() {
    let server = Server::start(|_| {
        let token = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"length"}]}"#;
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":500}}"#;
        (
            "200 OK",
            format!("data: {token}\n\ndata: {usage}\n\ndata: [DONE]\n\n"),
        )
    });
    let args = [
        "--url",
        &server.url(),
        "--model",
        "m",
        "--requests",
        "2",
        "--max-tokens",
        "5",
        "--rate",
        "20",
    ];
    let run = run(&args);
    run.assert_code(0);
    let warning = "counts 500 output tokens in the 1 chunks of request 0, which allowed 5; 2 of 2 requests have such";
    run.assert_stderr(warning);
}
