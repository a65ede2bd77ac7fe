//! The resources of the machine that lmrun uses: the output folder, the number of open files and of streams.
//! Also: no secret is written anywhere.

use crate::common::{Finished, LMRUN, Sandbox, eventually, finish, free_port, lmrun, root, wait};
use std::process::Command;

const IMPORTS: &str = r#"
    import "std/load" as load;
    import "std/sim" as sim;
    import "std/vllm" as vllm;
"#;

/// Returns a sandbox with the script `t.rhai`.
fn with_imports(script: &str) -> Sandbox {
    Sandbox::new().file("t.rhai", &format!("{IMPORTS}{script}"))
}

#[test]
fn removed_output_folder_ends_the_run() {
    let sandbox = Sandbox::sending(600, 0.05);
    let child = sandbox.command(&["t.rhai"]).spawn().expect("lmrun");
    let csv = sandbox.path("out/test_a.csv");
    eventually("rows", || {
        std::fs::read_to_string(&csv).is_ok_and(|text| text.lines().count() > 5)
    });
    std::fs::remove_dir_all(sandbox.path("out")).expect("it goes");
    let run = wait(child);
    run.assert_code(5);
    let said =
        "cannot write out/test_a.csv: it was removed while the run went on; the run ends here";
    run.assert_stderr(said);
    sandbox.assert_nothing_runs();
}

/// The same run with limits that a shell sets.
fn limited(sandbox: &Sandbox, limits: &str) -> Finished {
    let [p1, p2] = sandbox.ports.map(|port| port.to_string());
    let script = format!(r#"{limits} && exec "$0" t.rhai -o out -p {p1} {p2} --max-send-lag-s 10"#);
    let mut command = Command::new("sh");
    command
        .current_dir(sandbox.dir.path())
        .args(["-c", &script, LMRUN])
        .env("NO_COLOR", "1");
    finish(&mut command)
}

#[test]
fn open_file_limit_is_raised_or_refused_before_sending() {
    let sandbox = Sandbox::sending(200, 0.0);
    let raised = limited(&sandbox, "ulimit -Sn 64");
    raised.assert_code(0);
    assert_eq!(sandbox.rows("out/test_a.csv").len(), 200);
    std::fs::remove_dir_all(sandbox.path("out")).expect("removed");
    let refused = limited(&sandbox, "ulimit -n 128");
    refused.assert_code(5);
    let said = refused
        .stderr
        .split_whitespace()
        .filter(|word| *word != "│")
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        said.contains("200 requests are to be under way at once, which takes 264 open files"),
        "{said}"
    );
    assert!(said.contains("the system lets lmrun have 128"), "{said}");
    assert_eq!(sandbox.rows("out/test_a.csv").len(), 0, "nothing was sent");
    sandbox.assert_nothing_runs();
}

/// Sends so many requests at the same moment and has all of them answered at the same time.
fn many_streams(streams: usize, itl_s: f64) -> String {
    let sandbox = with_imports(&r#"
            fn test_a() {
                let flags = #{ "itl-s": ITL_S, "ttft-s": 0.1, "max-num-seqs": STREAMS, "gpu-kv-tokens": KV_TOKENS };
                let work = load::dummy(#{ requests: STREAMS, gap_s: 0, context_len: 20, max_tokens: 20, ignore_eos: true });
                run(work, [sim::engine(#{ flags: flags })], #{ warmup: 0 });
            }
            "#
            .replace("ITL_S", &format!("{itl_s:.3}"))
            .replace("STREAMS", &streams.to_string())
            .replace("KV_TOKENS", &(streams * 64 + 40_000).to_string()));
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    let rows = sandbox.rows("out/test_a.csv");
    assert!(rows.len() == streams && rows.iter().all(|row| row["output_tokens"] == "20"));
    let moment = |row: &std::collections::HashMap<String, String>, column: &str| -> f64 {
        row[column]
            .parse()
            .unwrap_or_else(|_| panic!("{column} of {row:?}"))
    };
    let last_sent = rows
        .iter()
        .map(|row| moment(row, "sent_s"))
        .fold(f64::MIN, f64::max);
    let first_done = rows
        .iter()
        .map(|row| moment(row, "done_s"))
        .fold(f64::MAX, f64::min);
    assert!(
        last_sent < first_done,
        "the last was sent at {last_sent} s, the first ended at {first_done} s"
    );
    run.stdout
}

#[test]
fn hundreds_of_streams_at_once() {
    many_streams(500, 0.2);
}

#[test]
#[ignore = "takes all cores for a minute"]
fn ten_thousand_streams_at_once() {
    println!("{}", many_streams(10_000, 1.5));
}

const SECRETS: [&str; 8] = [
    "hf_inherited_0815",
    "sk-request_0815",
    "sk-env_of_the_engine_0815",
    "sk-flag_0815",
    "hf_of_a_helper_0815",
    "tk-parameter_0815",
    "pw-of_a_url_0815",
    "of_a_passphrase_0815",
];

/// A secret is in no file and on no screen, wherever it comes from and whatever repeats it.
#[test]
fn secrets_are_removed_from_files_and_screens() {
    let tells = "echo \"started with $*, $OPENAI_API_KEY, $HF_TOKEN\"; echo \"at $STORE_URL, $SSH_PASSPHRASE\"\n";
    let [
        inherited,
        request,
        of_engine,
        flag,
        of_helper,
        parameter,
        of_url,
        passphrase,
    ] = SECRETS;
    let port = free_port();
    let sandbox = Sandbox::new()
        .program("vllm", &format!("{tells}[ \"$8\" = dies ] && exit 3\nexec \"$LMRUN\" sim --port \"$6\" --model \"$8\" --fault refuse=401/2"))
        .program("store", &format!(r#"{tells}exec "$LMRUN" sim --port "$1""#))
        .file(
            "t.rhai",
            &format!(
                "import \"std/helper\" as helper; {IMPORTS}
                 fn test_a() {{
                     print(param(\"my_token\", \"\"));
                     let store = helper::command(#{{ name: \"store\", command: [\"store\", \"{{port}}\"], port: {port},
                         env: #{{ HF_TOKEN: \"{of_helper}\" }} }});
                     let engine = |model| vllm::engine(#{{ model: model, helpers: [store],
                         env: #{{ OPENAI_API_KEY: \"{of_engine}\", STORE_URL: \"redis://:{of_url}@h\", SSH_PASSPHRASE: \"{passphrase}\" }}, flags: #{{ \"api-key\": \"{flag}\" }} }});
                     run(load::dummy(#{{ requests: 2, gap_s: 0, context_len: 20, max_tokens: 2, api_key_env: \"MINE\" }}),
                         [engine.call(\"m\")], #{{ warmup: 0 }});
                     start(engine.call(\"dies\")).wait_until_ready(30);
                 }}"
            ),
        );
    let mut command =
        sandbox.command_with_programs(&["t.rhai", "-P", &format!("my_token={parameter}")]);
    let run = finish(command.env("HF_TOKEN", inherited).env("MINE", request));
    run.assert_code(1);
    run.assert_stdout("Incorrect API key provided: Bearer (removed)");
    assert!(
        run.stderr.contains("started with serve dies"),
        "the engine's own words: {}",
        run.stderr
    );
    let log = sandbox.read(&format!("out/{}-stdout.log", sandbox.ports[0]));
    assert!(
        log.contains("--api-key ************, *************************, *****************"),
        "{log}"
    );
    let mut texts = vec![
        ("stdout".to_owned(), run.stdout),
        ("stderr".to_owned(), run.stderr),
    ];
    for entry in std::fs::read_dir(sandbox.path("out")).expect("the folder") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        texts.push((
            path.display().to_string(),
            String::from_utf8_lossy(&bytes).into_owned(),
        ));
    }
    assert!(texts.len() >= 2 + 2 + 4, "results and logs were searched");
    for (place, text) in &texts {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{place} has {secret}: {text}");
        }
    }
}

#[test]
fn simulator_listens_on_loopback_only() {
    let port = free_port();
    let mut sim = lmrun()
        .current_dir(root())
        .args(["sim", "--port", &port.to_string()])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("lmrun sim");
    eventually("it answers", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let open = std::fs::read_to_string("/proc/net/tcp").expect("the sockets of this machine");
    let listening =
        |address: &str| open.contains(&format!("{address}:{port:04X} 00000000:0000 0A"));
    assert!(listening("0100007F") && !listening("00000000"));
    sim.kill().expect("its end");
    sim.wait().expect("its end");
}
