//! The prompt, over the real binary in a terminal of its own; `-e` and standard input.

use crate::common::{Finished, LMRUN, Sandbox, eventually, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A terminal with `lmrun repl` in it.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    seen: Arc<Mutex<String>>,
    screen: Arc<Mutex<vt100::Parser>>,
    _master: Box<dyn MasterPty + Send>,
}

const ROWS: u16 = 30;
const COLUMNS: u16 = 100;

impl Terminal {
    fn open(sandbox: &Sandbox, args: &[&str]) -> Self {
        let size = PtySize {
            rows: ROWS,
            cols: COLUMNS,
            ..PtySize::default()
        };
        let pair = native_pty_system().openpty(size).expect("a terminal");
        let mut command = CommandBuilder::new(LMRUN);
        let [p1, p2] = sandbox.ports.map(|port| port.to_string());
        command.args([
            "repl",
            "-o",
            "out",
            "-p",
            &p1,
            &p2,
            "--max-send-lag-s",
            "10",
        ]);
        command.args(args);
        command.cwd(sandbox.dir.path());
        command.env("XDG_STATE_HOME", sandbox.path("state"));
        command.env("TERM", "xterm");
        command.env("NO_COLOR", "1");
        let child = pair.slave.spawn_command(command).expect("lmrun");
        let keys = Arc::new(Mutex::new(pair.master.take_writer().expect("the keys")));
        let seen = Arc::new(Mutex::new(String::new()));
        let cells = |count| NonZero::new(count).expect("more than none");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(
            cells(ROWS),
            cells(COLUMNS),
            0,
        )));
        let reader = pair.master.try_clone_reader().expect("the screen");
        let (shared, drawn, answers) = (seen.clone(), screen.clone(), keys.clone());
        std::thread::spawn(move || watch(reader, &shared, &drawn, &answers));
        Self {
            child,
            keys,
            seen,
            screen,
            _master: pair.master,
        }
    }

    /// Types at the prompt, and waits until what is printed after that has `expected`.
    fn enter(&self, text: &str, expected: &str) {
        self.waits_for_input();
        self.press(&format!("{text}\r"));
        self.sees(expected);
    }

    /// Returns when the last line is an empty prompt, at the latest after ten seconds: keys that arrive
    /// while the editor takes the terminal over are now and then lost.
    fn waits_for_input(&self) {
        let limit = Instant::now() + Duration::from_secs(10);
        let is_ready = || {
            let screen = self.screen.lock().expect("no panic").screen().contents();
            [PROMPT.trim_end(), "|"]
                .iter()
                .any(|prompt| screen.trim_end().ends_with(prompt))
        };
        while !is_ready() && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&self, keys: &str) {
        self.seen.lock().expect("no panic").clear();
        let mut writer = self.keys.lock().expect("no panic");
        writer.write_all(keys.as_bytes()).expect("it listens");
        writer.flush().expect("it listens");
    }

    fn sees(&self, expected: &str) {
        let patience = Instant::now() + Duration::from_mins(1);
        while !self.printed().contains(expected) {
            assert!(
                Instant::now() < patience,
                "never: {expected}\n in {}",
                self.printed()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything that was printed since the last key.
    fn printed(&self) -> String {
        console::strip_ansi_codes(&self.seen.lock().expect("no panic")).into_owned()
    }

    /// The screen as a person sees it half a second after the last key: time enough for two frames of the
    /// live screen.
    fn looks(&self) -> String {
        std::thread::sleep(Duration::from_millis(500));
        self.screen.lock().expect("no panic").screen().contents()
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(self.child.process_id().expect("it lives") as i32),
            signal,
        )
        .expect("sent");
    }

    /// Its exit code.
    fn ends(mut self) -> u32 {
        let mut code = None;
        eventually("the end", || {
            code = self
                .child
                .try_wait()
                .expect("its status")
                .map(|status| status.exit_code());
            code.is_some()
        });
        code.expect("it ended")
    }
}

/// Keeps what is printed, and answers where the cursor is, as a terminal does.
fn watch(
    mut reader: Box<dyn Read + Send>,
    seen: &Mutex<String>,
    screen: &Mutex<vt100::Parser>,
    keys: &Mutex<Box<dyn Write + Send>>,
) {
    let mut bytes = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
        let (row, column) = {
            let mut screen = screen.lock().expect("no panic");
            screen.process(&bytes[..n]);
            screen.screen().cursor_position()
        };
        for _ in text.matches("\u{1b}[6n") {
            let answer = format!("\u{1b}[{};{}R", row + 1, column + 1);
            let _ = keys.lock().expect("no panic").write_all(answer.as_bytes());
        }
        seen.lock().expect("no panic").push_str(&text);
    }
}

const PROMPT: &str = "lmrun> ";

fn started(sandbox: &Sandbox) -> Terminal {
    let terminal = Terminal::open(sandbox, &[]);
    terminal.sees(PROMPT);
    terminal.enter(
        r#"let plain = start(sim::engine(#{ name: "plain" }))"#,
        "tail -f",
    );
    terminal.enter("plain.wait_until_ready(30)", "true");
    terminal
}

/// The file of the session with this extension.
fn results(sandbox: &Sandbox, extension: &str) -> Option<PathBuf> {
    let files = std::fs::read_dir(sandbox.path("out"))
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let mut files = files.filter(|path| path.extension().is_some_and(|e| e == extension));
    files.find(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("repl-"))
    })
}

const WORK: &str = "context_len: 20, max_tokens: 4 })";

#[test]
fn screen_keeps_prompt_input_and_menu() {
    let sandbox = Sandbox::new();
    let terminal = Terminal::open(&sandbox, &[]);
    terminal.sees(PROMPT);
    assert!(
        terminal.looks().ends_with("\nlmrun> "),
        "{}",
        terminal.looks()
    );
    terminal.press("let x = 4");
    assert!(
        terminal.looks().ends_with("\nlmrun> let x = 4"),
        "{}",
        terminal.looks()
    );
    terminal.press("\u{3}");
    terminal.sees(PROMPT);
    terminal.press("load::\t");
    let screen = terminal.looks();
    assert!(
        screen.contains("lmrun> load::") && screen.contains("load::dummy"),
        "{screen}"
    );
    terminal.press("\u{3}");
    terminal.sees(PROMPT);
    terminal.press("");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        terminal.printed(),
        "",
        "nothing is written while nothing happens"
    );
}

#[test]
fn ctrl_c_keeps_engine_and_results() {
    let sandbox = Sandbox::new();
    let terminal = started(&sandbox);
    terminal.enter(
        &format!("let part = run(load::dummy(#{{ requests: 500, gap_s: 0.2, {WORK}, [plain])"),
        "planned",
    );
    let csv = || {
        results(&sandbox, "csv").filter(|csv| sandbox.rows(csv.to_str().expect("a path")).len() > 2)
    };
    eventually("some rows", || csv().is_some());
    terminal.press("\u{3}");
    terminal.sees("partial result:");
    terminal.sees(PROMPT);
    terminal.enter(
        "part[plain].failed == 0 && part[plain].requests.len() in 3..400",
        "true",
    );
    terminal.enter("part[plain].ttft.p50 > 0.0", "true");
    terminal.enter("plain", "healthy");
    terminal.enter(
        &format!("let seen = run(load::dummy(#{{ requests: 3, gap_s: 0.1, {WORK}, [plain])"),
        "send lag",
    );
    terminal.enter("seen[plain].failed + 40", "40");
    terminal.enter(":engines", "healthy");
    terminal.enter(":quit", "closed in");
    assert_eq!(terminal.ends(), 0);
    sandbox.assert_nothing_runs();
    let csv = csv().expect("the rows");
    let manifest =
        std::fs::read_to_string(csv.with_extension("manifest.json")).expect("the manifest");
    assert!(
        manifest.contains(r#""outcome": null"#),
        "a session has none to wait for: {manifest}"
    );
    let rows = sandbox.rows(csv.to_str().expect("a path"));
    assert_eq!(
        (
            rows.len(),
            rows.iter().filter(|row| row["expr_id"] == "1").count()
        ),
        (503, 3)
    );
}

#[test]
fn plot_draws_on_the_terminal_and_into_files() {
    let sandbox = Sandbox::new();
    let terminal = started(&sandbox);
    terminal.enter(
        &format!("let seen = run(load::dummy(#{{ requests: 3, gap_s: 0.1, {WORK}, [plain])"),
        "send lag",
    );
    terminal.enter(
        ":plot seen",
        "TTFT (simulated): share of requests over TTFT (s)",
    );
    terminal.sees(&format!("└{}\r\n", "─".repeat(usize::from(COLUMNS) - 12)));
    terminal.enter(":plot seen[plain].ttft", "⠀⠀");
    terminal.enter(":plot seen[plain] t.svg", "saved t.svg");
    terminal.enter(
        r#":plot plot::bars(#{ names: ["a"], series: [#{ name: "s", y: [2] }] })"#,
        "FILE.svg",
    );
    terminal.enter(":plot seen t.png", "expected .svg or .pdf");
    terminal.press("\u{4}");
    assert_eq!(terminal.ends(), 0);
    let drawing = sandbox.read("t.svg");
    assert!(
        drawing.starts_with("<svg") && drawing.contains("simulated"),
        "{drawing}"
    );
    let aside = sandbox.run(&["-e", ":plot [1, 4, 9]"]);
    let path = aside
        .stdout
        .trim()
        .strip_prefix("saved ")
        .expect("a path")
        .to_owned();
    assert!(
        path.ends_with("-1.svg") && sandbox.path(&path).exists(),
        "{path}"
    );
}

#[test]
fn engines_command_lists_helpers() {
    let sandbox = Sandbox::new();
    let command = format!(r#"["{LMRUN}", "sim", "--port", "{{port}}"]"#);
    let port = sandbox.ports[1];
    let store = format!(
        r#"start(helper::command(#{{ name: "store", command: {command}, port: {port} }}));"#
    );
    let run = fed(
        &sandbox,
        &["repl"],
        &format!("{store}\n:engines\n:log store\n:log stone\n"),
    );
    let row = run
        .stdout
        .lines()
        .find(|line| line.contains("helper, running"))
        .expect("a row");
    assert!(
        row.contains("store") && row.contains(" MiB") && row.contains("stdout.log"),
        "{row}"
    );
    run.assert_stdout("Application startup complete");
    run.assert_stderr("no engine `stone` is running");
}

#[test]
fn failed_line_keeps_state_and_end_of_input_closes() {
    let sandbox = Sandbox::new();
    let terminal = started(&sandbox);
    terminal.enter("let x = 40; nope()", "function not found: nope ()");
    terminal.enter("let x = 41", PROMPT);
    terminal.enter("if x > 0 {", "|");
    terminal.enter("x + 1 }", "42");
    terminal.press("abandoned\u{3}");
    terminal.sees(PROMPT);
    terminal.enter(":log plain", "Application startup complete");
    terminal.press("\u{4}");
    terminal.sees("closed in");
    assert_eq!(terminal.ends(), 0);
    sandbox.assert_nothing_runs();
    let history = sandbox.read("state/lmrun/history");
    assert!(
        history.contains("let x = 41") && !history.contains("abandoned"),
        "{history}"
    );
}

#[test]
fn signals_close_session_and_engines() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let sandbox = Sandbox::new();
        let terminal = started(&sandbox);
        terminal.signal(signal);
        assert_eq!(terminal.ends(), 130, "{signal}");
        sandbox.assert_nothing_runs();
    }
}

#[test]
fn ready_engine_is_announced_and_last_is_set() {
    let sandbox = Sandbox::new();
    let terminal = Terminal::open(&sandbox, &[]);
    terminal.sees(PROMPT);
    terminal.enter(
        r#"start(sim::engine(#{ name: "plain", startup_s: 2 }))"#,
        "tail -f",
    );
    terminal.sees(PROMPT);
    terminal.press("let typed = 4");
    terminal.sees("plain: ready after ");
    assert!(
        terminal.looks().ends_with("\nlmrun> let typed = 4"),
        "{}",
        terminal.looks()
    );
    terminal.press("\u{3}");
    terminal.sees(PROMPT);
    terminal.enter("last.wait_until_ready(30)", "true");
    assert!(
        !terminal.printed().contains("ready after"),
        "it is told once: {}",
        terminal.printed()
    );
    terminal.enter("let same = last; same", "true");
    terminal.press("\u{4}");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn log_command_follows_until_ctrl_c() {
    let sandbox = Sandbox::new();
    let terminal = started(&sandbox);
    terminal.enter("plain.close()", "closed in");
    terminal.enter(
        r#"let plain = start(sim::engine(#{ name: "plain" }))"#,
        "tail -f",
    );
    terminal.enter("plain.wait_until_ready(30)", "true");
    terminal.enter(":log plain -f", "Application startup complete");
    std::thread::sleep(Duration::from_millis(500));
    let printed = terminal.printed();
    assert_eq!(
        printed.matches("Application startup complete").count(),
        1,
        "{printed}"
    );
    terminal.press("\u{3}");
    terminal.sees(PROMPT);
    assert!(!terminal.looks().contains("kills"), "{}", terminal.looks());
    terminal.enter("plain", "healthy");
    terminal.press("\u{4}");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn second_ctrl_c_exits_the_prompt_at_once() {
    let sandbox = Sandbox::new();
    let terminal = started(&sandbox);
    let slow =
        r#"sim::engine(#{ name: "slow", startup_s: 60, grace_s: 50, fault: "ignore-interrupts" })"#;
    terminal.press(&format!(
        "run(load::dummy(#{{ requests: 1, {WORK}, [{slow}])\r"
    ));
    terminal.sees("slow: port");
    terminal.press("\u{3}");
    terminal.sees("again to kill");
    terminal.press("\u{3}");
    assert_eq!(terminal.ends(), 130);
    eventually("nothing is left", || sandbox.left_running().is_empty());
}

#[test]
fn tab_completes_and_help_shows_docs() {
    let sandbox = Sandbox::new();
    let terminal = Terminal::open(&sandbox, &[]);
    terminal.sees(PROMPT);
    terminal.press("load::dum\t");
    terminal.sees("load::dummy");
    terminal.press("\u{3}");
    terminal.sees(PROMPT);
    terminal.press("sim::engine(#{ \t");
    terminal.sees("prefix_caching");
    terminal.sees("10 of 19; Tab for the next");
    terminal.press("\u{3}");
    terminal.sees(PROMPT);
    terminal.enter(":help load::dummy", "context_len");
    terminal.enter("help", ":quit");
    terminal.enter(":help load::dumy", "did you mean `load::dummy`?");
    terminal.press("\u{4}");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn saved_session_is_a_passing_test() {
    let sandbox = Sandbox::new();
    let terminal = started(&sandbox);
    terminal.enter(
        "fn work(n) {\nload::dummy(#{ requests: n, gap_s: 0.1, context_len: 20, max_tokens: 4 })\n}",
        PROMPT,
    );
    terminal.enter("let seen = run(work(2), [plain])", "plain (simulated)");
    terminal.enter(r#"check::equal(seen[plain].failed, 0, "failed")"#, "passed");
    terminal.enter(":save test_saved.rhai", "saved: lmrun test_saved.rhai");
    terminal.press("\u{4}");
    assert_eq!(terminal.ends(), 0);
    let run = sandbox.run(&["test_saved.rhai"]);
    run.assert_code(0);
    assert!(
        run.stdout.contains("passed test_saved") && sandbox.rows("out/test_saved.csv").len() == 2
    );
}

#[test]
fn load_command_reloads_a_script() {
    let sandbox = Sandbox::new().file("s.rhai", "const N = 2;\nfn twice(x) { x * global::N }");
    let terminal = Terminal::open(&sandbox, &["s.rhai"]);
    terminal.sees(PROMPT);
    terminal.enter("twice(21)", "42");
    let sandbox = sandbox.file("s.rhai", "const N = 3;\nfn twice(x) { x * global::N }");
    terminal.enter(":reload", PROMPT);
    terminal.enter("twice(21)", "63");
    terminal.press("\u{4}");
    assert_eq!(terminal.ends(), 0);
    drop(sandbox);
}

#[test]
fn loaded_script_imports_from_its_folder() {
    let sandbox = Sandbox::new()
        .file(
            "sub/s.rhai",
            r#"
            import "mine" as mine;
            fn f() { mine::f() }
            fn g() {
                nope()
            }
            "#,
        )
        .file("sub/mine.rhai", "fn f() { 42 }");
    let input = [
        ":load sub/s.rhai",
        "f()",
        r#"import "core/files" as files; files::existing("mine.rhai").len() > 0"#,
        "g()\n",
    ]
    .join("\n");
    let run = fed(&sandbox, &["repl"], &input);
    assert_eq!(run.stdout, "42\ntrue\n", "{}", run.stderr);
    assert!(
        run.stderr.contains("[sub/s.rhai:4:5]") && run.stderr.contains("called from prompt"),
        "{}",
        run.stderr
    );
    let run = fed(&sandbox, &["repl"], ":load sub/mind.rhai\n");
    assert!(
        run.code == 2 && run.stderr.contains("did you mean `sub/mine.rhai`?"),
        "{}",
        run.stderr
    );
}

/// What comes of `text` on standard input.
fn fed(sandbox: &Sandbox, args: &[&str], text: &str) -> Finished {
    let mut child = sandbox
        .command(args)
        .stdin(Stdio::piped())
        .spawn()
        .expect("lmrun");
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(text.as_bytes())
        .expect("it reads");
    wait(child)
}

fn evaluated(sandbox: &Sandbox, expression: &str) -> Finished {
    sandbox.run(&["-e", expression])
}

#[test]
fn expression_prints_value_and_sets_exit_code() {
    let sandbox = Sandbox::new();
    let title = evaluated(&sandbox, "load::dummy(#{ requests: 2 }).title");
    assert_eq!(
        (title.code, title.stdout.as_str()),
        (0, "context 8192 tokens, 2 requests, one every 8 s\n")
    );
    assert_eq!(evaluated(&sandbox, "let").code, 2);
    assert_eq!(evaluated(&sandbox, "nope()").code, 1);
    assert_eq!(evaluated(&sandbox, r#"check::that(false, "a")"#).code, 1);
    let missing = r#"run(load::dummy(#{ requests: 1 }),
        [command::engine(#{ name: "x", command: ["/no/such"], model: "m" })])"#;
    let missing = evaluated(&sandbox, missing);
    missing.assert_code(3);
    let many = evaluated(
        &sandbox,
        "let w = load::dummy(#{ requests: 2, gap_s: 0.1, context_len: 20, max_tokens: 3 }); run(w, [sim::engine()])",
    );
    many.assert_code(0);
    assert!(
        many.stdout.contains("sim (simulated)") && many.stderr.contains("rows in out/repl-"),
        "{}",
        many.stderr
    );
}

#[test]
fn standard_input_stops_at_the_first_failure() {
    let sandbox = Sandbox::new();
    let fed = |args: &[&str], text: &str| fed(&sandbox, args, text);
    for args in [&["repl"][..], &["-e", "-"]] {
        let run = fed(
            args,
            "let x = 1\nfn f(a) {\n  a + 1\n}\nif x == 2 { 0 }\nelse { 5 }\nf(x)\n:type x\nnope()\n7\n",
        );
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (1, "5\n2\ni64\n"),
            "{}",
            run.stderr
        );
        run.assert_stderr("function not found: nope ()");
    }
    let engine = fed(
        &["repl"],
        "let plain = start(sim::engine())\nplain.wait_until_ready(30)\n",
    );
    assert_eq!(
        (engine.code, engine.stdout.as_str()),
        (0, "true\n"),
        "{}",
        engine.stderr
    );
    sandbox.assert_nothing_runs();
    assert_eq!(fed(&["repl"], ":engine\n").code, 2);
}
