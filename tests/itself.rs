//! What goes wrong with lmrun's own surroundings: the disk, the output folder, the number of open
//! files, the number of streams; that no secret is written anywhere; and that these tests tell what the
//! machine lacks.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::needs::{self, MOUNT, trial};
use common::{Bench, Ran, eventually, ran, root};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let minute_of_all_cores =
        trial(ten_thousand_streams_at_once, &[]).with_kind("a minute of all cores");
    needs::run(vec![
        trial(a_full_disk_ends_the_run_and_keeps_whole_rows, &[MOUNT]),
        trial(an_output_folder_that_is_removed_ends_the_run, &[]),
        trial(
            a_low_number_of_open_files_is_raised_or_said_before_anything_is_sent,
            &[],
        ),
        trial(without_its_own_proc_nothing_is_started, &[MOUNT]),
        trial(hundreds_of_streams_at_once, &[]),
        minute_of_all_cores.with_ignored_flag(true),
        trial(secrets_are_written_nowhere, &[]),
        trial(the_simulator_lets_nobody_in_from_outside, &[]),
        trial(
            a_test_without_what_it_needs_is_ignored_and_fails_where_that_is_required,
            &[],
        ),
    ])
}

const IMPORTS: &str =
    "import \"std/load\" as load; import \"std/sim\" as sim; import \"std/vllm\" as vllm;\n";

/// A test that sends `requests` requests, one every `gap_s`.
fn bench(requests: usize, gap_s: f64) -> Bench {
    Bench::new().script(
        "t.rhai",
        &format!(
            "{IMPORTS}fn test_a() {{
                 let work = load::dummy(#{{ requests: {requests}, gap_s: {gap_s:.3}, context_len: 20, max_tokens: 2 }});
                 run(work, [sim::engine(#{{ flags: #{{ \"itl-s\": 0.002, jitter: 0 }} }})], #{{ warmup: 0 }});
             }}
             fn test_b() {{}}"
        ),
    )
}

/// A small file system of its own at a path, as long as this lives.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: &Path, size: &str) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "lmrun-test"])
            .arg(path)
            .status();
        assert!(mounted.expect("mount").success());
        Self(path.into())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn a_full_disk_ends_the_run_and_keeps_whole_rows() {
    let bench = bench(400, 0.01);
    let _disk = Tmpfs::mount(&bench.path("out"), "64k");
    let run = bench.run(&["t.rhai", "--log-dir", "logs"]);
    assert_eq!(run.code, 5, "{}{}", run.stdout, run.stderr);
    let said =
        "cannot write out/test_a.csv: No space left on device (os error 28); the run ends here";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let text = std::fs::read_to_string(bench.path("out/test_a.csv")).expect("the CSV");
    assert!(
        text.ends_with('\n'),
        "half a row: {}",
        &text[text.len().saturating_sub(200)..]
    );
    let rows = bench.rows("out/test_a.csv"); // each of them can be read
    let manifest =
        std::fs::read_to_string(bench.path("out/test_a.manifest.json")).expect("the manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("a whole manifest");
    assert_ne!(manifest["outcome"]["code"], 130, "nobody interrupted it");
    assert!(
        rows.len() > 20 && rows.iter().all(|row| row["status"] == "ok"),
        "{} rows",
        rows.len()
    );
    assert_eq!(bench.left_running(), Vec::<String>::new());
}

fn an_output_folder_that_is_removed_ends_the_run() {
    let bench = bench(600, 0.05);
    let child = bench.command(&["t.rhai"]).spawn().expect("lmrun");
    let csv = bench.path("out/test_a.csv");
    eventually("rows", || {
        std::fs::read_to_string(&csv).is_ok_and(|text| text.lines().count() > 5)
    });
    std::fs::remove_dir_all(bench.path("out")).expect("it goes");
    let run = ran(&child.wait_with_output().expect("its end"));
    assert_eq!(run.code, 5, "{}{}", run.stdout, run.stderr);
    let said =
        "cannot write out/test_a.csv: it was removed while the run went on; the run ends here";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    assert_eq!(bench.left_running(), Vec::<String>::new());
}

/// The same run with limits that a shell sets.
fn limited(bench: &Bench, limits: &str) -> Ran {
    let [p1, p2] = bench.ports.map(|port| port.to_string());
    let script = format!("{limits} && exec \"$0\" t.rhai -o out -p {p1} {p2} --max-send-lag-s 10");
    let mut command = Command::new("sh");
    command
        .current_dir(bench.dir.path())
        .args(["-c", &script, env!("CARGO_BIN_EXE_lmrun")])
        .env("NO_COLOR", "1");
    ran(&command.output().expect("a shell"))
}

fn a_low_number_of_open_files_is_raised_or_said_before_anything_is_sent() {
    let bench = bench(200, 0.0);
    let raised = limited(&bench, "ulimit -Sn 64");
    assert_eq!(raised.code, 0, "{}{}", raised.stdout, raised.stderr);
    assert_eq!(bench.rows("out/test_a.csv").len(), 200);
    std::fs::remove_dir_all(bench.path("out")).expect("removed");
    let refused = limited(&bench, "ulimit -n 128");
    assert_eq!(refused.code, 5, "{}{}", refused.stdout, refused.stderr);
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
    assert_eq!(bench.rows("out/test_a.csv").len(), 0, "nothing was sent");
    assert_eq!(bench.left_running(), Vec::<String>::new());
}

fn without_its_own_proc_nothing_is_started() {
    let bench = bench(1, 0.0);
    let lmrun = env!("CARGO_BIN_EXE_lmrun");
    for (surroundings, mount) in [("-m", "umount -l /proc; "), ("-pf", "")] {
        for verb in ["t.rhai -o out", "-e 1+1", "doctor", "selfcheck"] {
            let script = format!("{mount}exec {lmrun} {verb}");
            let mut command = Command::new("unshare");
            command
                .current_dir(bench.dir.path())
                .args([surroundings, "sh", "-c", &script]);
            let run = ran(&command.output().expect("unshare"));
            assert_eq!(
                run.code, 2,
                "{surroundings} {verb}: {}{}",
                run.stdout, run.stderr
            );
            assert!(
                run.stderr.contains("/proc is not mounted, or shows"),
                "{}",
                run.stderr
            );
        }
    }
    assert!(!bench.path("out").exists());
}

/// Sends so many requests at the same moment and has all of them answered at the same time.
fn many_streams(streams: usize, itl_s: f64) -> String {
    let bench = Bench::new().script(
        "t.rhai",
        &format!(
            "{IMPORTS}fn test_a() {{
                 let flags = #{{ \"itl-s\": {itl_s:.3}, \"ttft-s\": 0.1, \"max-num-seqs\": {streams}, \"gpu-kv-tokens\": {} }};
                 let work = load::dummy(#{{ requests: {streams}, gap_s: 0, context_len: 20, max_tokens: 20, ignore_eos: true }});
                 run(work, [sim::engine(#{{ flags: flags }})], #{{ warmup: 0 }});
             }}",
            streams * 64 + 40_000
        ),
    );
    let run = bench.run(&["t.rhai"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let rows = bench.rows("out/test_a.csv");
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

fn hundreds_of_streams_at_once() {
    many_streams(500, 0.2);
}

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

/// Wherever a secret comes from and whatever repeats it, it is in no file and on no screen.
fn secrets_are_written_nowhere() {
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
    let port = common::free_port();
    let bench = Bench::new()
        .program("vllm", &format!("{tells}[ \"$8\" = dies ] && exit 3\nexec \"$LMRUN\" sim --port \"$6\" --model \"$8\" --fault refuse=401/2"))
        .program("store", &format!("{tells}exec \"$LMRUN\" sim --port \"$1\""))
        .script(
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
        bench.command_with_programs(&["t.rhai", "-P", &format!("my_token={parameter}")]);
    let run = ran(&command
        .env("HF_TOKEN", inherited)
        .env("MINE", request)
        .output()
        .expect("lmrun"));
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
    assert!(
        run.stdout
            .contains("Incorrect API key provided: Bearer (removed)"),
        "{}",
        run.stdout
    );
    assert!(
        run.stderr.contains("started with serve dies"),
        "the engine's own words: {}",
        run.stderr
    );
    let log = std::fs::read_to_string(bench.path(&format!("out/{}-stdout.log", bench.ports[0])))
        .expect("a log");
    assert!(
        log.contains("--api-key ************, *************************, *****************"),
        "{log}"
    );
    let mut texts = vec![
        ("stdout".to_owned(), run.stdout),
        ("stderr".to_owned(), run.stderr),
    ];
    for entry in std::fs::read_dir(bench.path("out")).expect("the folder") {
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

fn the_simulator_lets_nobody_in_from_outside() {
    let port = common::free_port();
    let mut sim = Command::new(env!("CARGO_BIN_EXE_lmrun"))
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

fn a_test_without_what_it_needs_is_ignored_and_fails_where_that_is_required() {
    let this = std::env::current_exe().expect("this program");
    let test = "a_full_disk_ends_the_run_and_keeps_whole_rows";
    let run = |args: &[&str], required: &str| {
        let mut command = Command::new(&this);
        command
            .env("PATH", "/nowhere")
            .env("LMRUN_REQUIRE_MOUNT", required);
        ran(&command
            .arg(test)
            .args(args)
            .output()
            .expect("this program runs"))
    };
    let ignored = run(&[], "0");
    assert_eq!(ignored.code, 0, "{}", ignored.stdout);
    assert!(
        ignored
            .stdout
            .contains(&format!("[needs mount] {test} ... ignored")),
        "{}",
        ignored.stdout
    );
    assert!(
        ignored.stdout.contains("0 passed; 0 failed; 1 ignored"),
        "{}",
        ignored.stdout
    );
    for failed in [run(&[], "1"), run(&["--ignored"], "0")] {
        assert_eq!(failed.code, 101, "{}", failed.stdout);
        let remedy = "missing: mount; help: run as root, with CAP_SYS_ADMIN";
        assert!(failed.stdout.contains(remedy), "{}", failed.stdout);
    }
}
