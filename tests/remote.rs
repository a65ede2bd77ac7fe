//! An address that already serves: used, measured, never started nor ended.

use crate::common::{
    Finished, Sandbox, Server, Simulator, eventually, finish, free_port, lmrun, read_request,
    strict, wait, write_answer,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

const TEST: &str = r#"
import "std/check" as check;
import "std/load" as load;
import "std/openai" as openai;

private fn work(requests) { load::dummy(#{ requests: requests, gap_s: 0.1, context_len: 60, max_tokens: 4 }) }

fn test_spec() {
    let there = openai::engine(#{ simulated: true });
    let seen = run(work(3), [there]);
    check::equal(seen[there].failed, 0, "failed");
}

fn test_handle() {
    let there = start(openai::engine(#{ simulated: true }));
    check::that(there.wait_until_ready(10), "ready");
    check::that(there.is_healthy(), "healthy");
    check::equal(run(work(2), [there])[there].failed, 0, "failed");
    there.close();
}

fn test_unmarked() { run(work(1), [openai::engine()]); }

fn test_long() { run(work(100), [openai::engine(#{ simulated: true })]); }
"#;

fn run_at(url: &str, args: &[&str]) -> (Sandbox, Finished) {
    let sandbox = Sandbox::new().file("t.rhai", TEST);
    let url = format!("url={url}");
    let run = sandbox.run(&[&["t.rhai", "-P", &url][..], args].concat());
    (sandbox, run)
}

#[test]
fn remote_server_is_used_and_not_stopped() {
    let mut sim = Simulator::start(&[]);
    let url = format!("http://127.0.0.1:{}/v1", sim.port);
    let (sandbox, run) = run_at(&url, &["-m", "m", "-f", "spec|handle"]);
    run.assert_code(0);
    let found = format!(
        "openai: http://127.0.0.1:{}, which is neither started nor ended",
        sim.port
    );
    run.assert_stderr(&found);
    assert!(!run.stderr.contains("closed in"), "{}", run.stderr);
    let rows = sandbox.rows("out/test_spec_m.csv");
    let row = &rows[0];
    assert_eq!(
        (row["engine_kind"].as_str(), row["simulated"].as_str()),
        ("openai", "true")
    );
    assert!(
        rows.len() == 3 && rows.iter().all(|row| row["status"] == "ok"),
        "{rows:?}"
    );
    assert!(sim.is_running());
}

#[test]
fn engine_option_openai_selects_the_remote_server() {
    let sim = Simulator::start(&[]);
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/engine" as engine;
        import "std/load" as load;
        fn test_any() {
            run(load::dummy(#{ requests: 1, gap_s: 0, context_len: 60, max_tokens: 2 }),
                [engine::chosen(#{ name: "any", simulated: true })]);
        }
        "#,
    );
    let url = format!("url=http://127.0.0.1:{}", sim.port);
    let run = sandbox.run(&["t.rhai", "--engine", "openai", "-m", "m", "-P", &url]);
    run.assert_code(0);
    assert_eq!(sandbox.rows("out/test_any_m.csv")[0]["engine"], "any");
}

#[test]
fn requests_fail_after_the_remote_server_exits() {
    let mut sim = Simulator::start(&[]);
    let sandbox = Sandbox::new().file("t.rhai", TEST);
    let url = format!("url=http://127.0.0.1:{}", sim.port);
    let child = sandbox
        .command(&["t.rhai", "-m", "m", "-f", "long", "-P", &url])
        .spawn()
        .expect("lmrun");
    let csv = sandbox.path("out/test_long_m.csv");
    let rows = || std::fs::read_to_string(&csv).map_or(0, |text| text.lines().count());
    eventually("rows", || rows() > 5);
    sim.child.kill().expect("SIGKILL");
    let run = wait(child);
    run.assert_code(1);
    let rows = sandbox.rows("out/test_long_m.csv");
    assert_eq!(rows.len(), 100);
    let refused = rows
        .iter()
        .filter(|row| row["error"].contains("cannot connect to 127.0.0.1"))
        .count();
    assert!(refused > 50, "{rows:?}");
}

#[test]
fn remote_configuration_errors_are_reported_at_start() {
    let sim = Simulator::start(&[]);
    let url = format!("http://127.0.0.1:{}", sim.port);
    let silent = format!("http://127.0.0.1:{}", free_port());
    for (url, args, code, message, help) in [
        (&url, &["-f", "spec"][..], 1, "no model of http://", ""),
        (
            &url,
            &["-f", "spec", "-m", "x"],
            3,
            "engine `openai` cannot be used: it serves `m`, not `x`",
            "/v1/models",
        ),
        (
            &url,
            &["-f", "unmarked", "-m", "m"],
            3,
            "it is a simulator: add `simulated: true`",
            "`url` stands before",
        ),
        (
            &silent,
            &["-f", "spec", "-m", "m"],
            3,
            "/v1/models cannot be reached: Connection refused",
            "for 10 s",
        ),
        (
            &"nowhere".into(),
            &["-f", "spec", "-m", "m"],
            1,
            "invalid URL `nowhere`",
            "add `http://`",
        ),
    ] {
        let (_, run) = run_at(url, args);
        // The drawing breaks lines.
        let text = run
            .stderr
            .replace("│", " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        run.assert_code(code);
        assert!(
            text.contains(message) && text.contains(help),
            "{message} | {help}: {}",
            run.stderr
        );
    }
}

#[test]
fn api_key_is_sent_and_not_written() {
    const KEY: &str = "sk-tell-nobody";
    let server = guarded(KEY);
    let sandbox = Sandbox::new().file("t.rhai", TEST);
    let url = format!("url=http://127.0.0.1:{server}");
    let args = [
        "t.rhai",
        "-m",
        "m",
        "-f",
        "spec",
        "-P",
        &url,
        "-P",
        "api_key_env=THEIR_KEY",
    ];
    let with = |key: &str| finish(sandbox.command(&args).env("THEIR_KEY", key));
    let run = with("another");
    run.assert_code(3);
    run.assert_stderr("answered 401");
    let run = with(KEY);
    run.assert_code(0);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains(KEY));
    for entry in std::fs::read_dir(sandbox.path("out")).expect("the outputs") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let text = std::fs::read(&path).expect("a file");
            assert!(
                !String::from_utf8_lossy(&text).contains(KEY),
                "{}",
                path.display()
            );
        }
    }
    let run = sandbox.run(&args);
    run.assert_stderr("`api_key_env` names `THEIR_KEY`");
}

#[test]
fn tls_requests_are_measured() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let port = serve_tls(&made);
    let sandbox = Sandbox::new()
        .file("t.rhai", TEST)
        .file("ours.pem", &made.cert.pem());
    let url = format!("url=https://localhost:{port}/v1");
    let mut command = sandbox.command(&[
        "t.rhai",
        "-m",
        "m",
        "-P",
        &url,
        "-P",
        "api_key_env=THEIR_KEY",
    ]);
    command
        .args(["-f", "spec|handle"])
        .env("THEIR_KEY", "key")
        .env("SSL_CERT_FILE", sandbox.path("ours.pem"));
    let run = finish(&mut command);
    run.assert_code(0);
    for row in sandbox.rows("out/test_spec_m.csv") {
        assert!(
            row["TTFT"].parse::<f64>().is_ok_and(|ttft| ttft > 0.0),
            "{row:?}"
        );
    }
    command.env_remove("SSL_CERT_FILE");
    let run = finish(&mut command);
    run.assert_code(3);
    let untrusted = "invalid peer certificate: UnknownIssuer; set SSL_CERT_FILE to a file with the \
        certificate of the server or of its issuer";
    run.assert_stderr(untrusted);
}

/// `openssl req -x509` without more makes such a certificate.
#[test]
fn ca_certificate_as_server_certificate_is_refused() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut of_authority = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    of_authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let cert = of_authority.self_signed(&key).expect("a certificate");
    let made = rcgen::CertifiedKey {
        cert,
        signing_key: key,
    };
    let port = serve_tls(&made);
    let sandbox = Sandbox::new().file("ours.pem", &made.cert.pem());
    let url = format!("https://localhost:{port}");
    for (model, code) in [(&[][..], 3), (&["--model", "m"], 1)] {
        let args = [
            &["--url", &url, "--rate", "100", "--requests", "2"][..],
            model,
        ]
        .concat();
        let mut command = lmrun();
        command.args(["load", "--max-send-lag-s", "10"]);
        command
            .args(&args)
            .env("SSL_CERT_FILE", sandbox.path("ours.pem"));
        let run = finish(&mut command);
        run.assert_code(code);
        run.assert_stderr("-addext basicConstraints=critical,CA:FALSE");
    }
}

/// The server could be a running `transformers serve`.
#[test]
fn strict_server_is_warned_of_once() {
    let server = Server::start(strict);
    let script = |options: &str| {
        r#"
            import "std/load" as load;
            import "std/openai" as openai;
            fn test_strict() {
                let there = openai::engine(#{ stream_end: "finish_reason", headers: #{ "x-tenant": "a" } OPTIONS });
                for i in 0..2 {
                    run(load::random(#{ requests: 2, qps: 50, input_len: 20, output_len: 4 }), [there]);
                }
            }
            "#
            .replace("OPTIONS", options)
    };
    let sandbox = Sandbox::new()
        .file("ask.rhai", &script(""))
        .file("never.rhai", &script(", ignore_eos: false"));
    let url = format!("url={}", server.url());
    let told = "`openai` refuses `ignore_eos`, so that its answers may be shorter than asked for";
    for (file, times) in [("ask.rhai", 1), ("never.rhai", 0)] {
        let run = sandbox.run(&[file, "-m", "m", "-P", &url]);
        run.assert_code(0);
        let warned = run
            .stderr
            .lines()
            .filter(|line| line.starts_with("warning: ") && line.contains(told));
        assert_eq!(warned.count(), times, "{}", run.stderr);
    }
    let received = server.received.lock().expect("requests").clone();
    assert!(
        received
            .iter()
            .all(|request| request.head.contains("x-tenant: a")),
        "{received:?}"
    );
}

/// The port of a server that shows this certificate.
fn serve_tls(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into(),
        );
    let config = Arc::new(config.expect("a config"));
    serve(move |stream| {
        let session = ServerConnection::new(config.clone()).expect("a session");
        // A client that does not trust the certificate hangs up: nothing is left to answer.
        let _ = answer("key", &mut StreamOwned::new(session, stream));
    })
}

/// The port of a server that answers only to who has the key.
fn guarded(key: &'static str) -> u16 {
    serve(move |mut stream| {
        let _ = answer(key, &mut stream);
    })
}

/// The port of a server that answers one connection after the other.
fn serve(answer: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.expect("a connection"));
        }
    });
    port
}

/// Answers one request, and closes.
fn answer(key: &str, stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    let request = read_request(stream)?;
    if !request
        .head
        .contains(&format!("authorization: bearer {key}"))
    {
        return write_answer(stream, "401 Unauthorized", "");
    }
    let models = r#"{"data": [{"id": "m"}]}"#;
    let stream_of_tokens =
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
    let is_list = request.head.starts_with("get /v1/models");
    write_answer(
        stream,
        "200 OK",
        if is_list { models } else { stream_of_tokens },
    )
}
