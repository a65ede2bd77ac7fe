use super::*;
use crate::core::{Client, Code, Fleet, Interrupts, Runner, ServiceContext};
use crate::driver::http::Shards;
use crate::driver::watchdog::Watchdogs;
use crate::script::{EngineChoice, Folders, Host, HostSettings, Parameters};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A session, the folder of its imports, and its runtime.
struct Bed {
    session: Session,
    dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Bed {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let dir = tempfile::tempdir().expect("a folder");
        let watchdogs = Watchdogs::new("/bin/true".into(), "");
        let events = channel().0;
        let fleet = Fleet::new(
            [1, 2],
            ServiceContext::new(dir.path().into(), watchdogs, events.clone()),
        );
        let shards = Shards::for_this_machine().expect("threads");
        let interrupts = Interrupts::new(CancellationToken::new());
        let runner = Arc::new(Runner::new(fleet, Client::new(shards, events, interrupts)));
        let engine = EngineChoice {
            kind: "sim".into(),
            program: "lmrun".into(),
        };
        let folders = Folders {
            script: dir.path().to_owned(),
            outputs: dir.path().to_owned(),
            scratch: dir.path().join("scratch"),
        };
        let settings = HostSettings {
            parameters: Parameters::default(),
            folders,
            engine,
        };
        let host = Host::new(runtime.handle().clone(), runner, settings);
        let session = Session::new(&host, dir.path()).expect("the library");
        Self {
            session,
            dir,
            _runtime: runtime,
        }
    }

    /// Evaluates an input and returns the text form of its value or its error.
    fn eval(&mut self, input: &str) -> String {
        match self.session.eval(input) {
            Ok(PromptValue::Nothing) => String::new(),
            Ok(PromptValue::Text(text)) => text,
            Ok(PromptValue::Data(data)) => data.to_string(),
            Ok(_) => "something else".into(),
            Err(diagnostic) => format!("error: {}", diagnostic.message),
        }
    }

    /// Evaluates inputs and compares the text form of the last value.
    fn check(&mut self, inputs: &[&str], expected: &str) {
        let given: Vec<String> = inputs.iter().map(|input| self.eval(input)).collect();
        assert_eq!(
            given.last().map(String::as_str),
            Some(expected),
            "{given:?}"
        );
    }
}

#[test]
fn declarations_persist() {
    let mut bed = Bed::new();
    bed.check(&["let x = 1", "x += 1", "x"], "2");
    bed.check(&["fn f(a) { a + 1 }", "fn g(a) { f(a) * 2 }", "g(1)"], "4");
    bed.check(&["fn f(a) { a + 10 }", "g(1)"], "22");
    bed.check(&["let plus = |a| a + x", "plus.call(5)"], "7");
    bed.check(
        &["const LIMIT = 7", "fn limit() { global::LIMIT }", "limit()"],
        "7",
    );
    bed.check(
        &["const LATER = 8; fn later() { global::LATER } later()"],
        "8",
    );
}

#[test]
fn failed_inputs_change_no_declarations() {
    let mut bed = Bed::new();
    bed.check(
        &[
            "let x = 1; fn f() { 1 }",
            "let y = 2; fn f() { 2 } nope()",
            "x + f()",
        ],
        "2",
    );
    bed.check(&["y"], "error: undefined variable: y");
    bed.check(&["let x = ", "x"], "1");
    bed.check(&["throw \"no\"", "x"], "1");
    assert!(bed.session.script("test_a").contains("let x = 1"));
    assert!(!bed.session.script("test_a").contains("nope"));
}

#[test]
fn library_modules_and_imports_persist() {
    let mut bed = Bed::new();
    bed.check(&["load::dummy(#{ requests: 2, gap_s: 1 }).count"], "2");
    std::fs::write(bed.dir.path().join("mine.rhai"), "fn one() { 1 }").expect("a module");
    bed.check(
        &[
            "import \"mine\" as mine",
            "fn two() { mine::one() + 1 }",
            "two()",
        ],
        "2",
    );
    bed.check(&["import \"none\" as none"], "error: unknown module `none`");
}

#[test]
fn errors_have_their_place_among_all_inputs() {
    let mut bed = Bed::new();
    bed.eval("fn f() {\n    1 + nope()\n}");
    let diagnostic = bed.session.eval("f()").err().expect("an error");
    let place = diagnostic.place.as_ref().map(ToString::to_string);
    assert_eq!(place.as_deref(), Some("prompt:2:9"));
    insta::assert_snapshot!(bed.session.draw(&diagnostic, false));
    assert!(
        bed.session
            .eval("let")
            .err()
            .is_some_and(|error| error.is_unusable)
    );
    assert!(
        bed.session
            .eval("nope()")
            .err()
            .is_some_and(|error| !error.is_unusable)
    );
}

#[test]
fn interrupts_end_one_input() {
    let mut bed = Bed::new();
    for input in [
        "loop {}",
        "sleep(60)",
        "let kept = 7; for lost in 0..2 { let gone = 1; sleep(60) }",
    ] {
        let runner = bed.session.host.runner().clone();
        let before = runner.client.interrupts.current();
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            runner.client.interrupts.current().cancel();
        });
        let diagnostic = bed.session.eval(input).err().expect("an interrupt");
        other.join().expect("it cancels");
        assert_eq!(diagnostic.code, Code::Interrupted, "{input}");
        assert!(!before.is_cancelled(), "the token of another input");
        bed.check(&["1 + 1"], "2");
    }
    bed.check(&["kept"], "7");
    bed.check(&["lost"], "error: undefined variable: lost");
    bed.check(&["gone"], "error: undefined variable: gone");
}

#[test]
fn sessions_are_saved_as_scripts() {
    let mut bed = Bed::new();
    for input in [
        "import \"std/load\" as load;",
        "const LIMIT = 3",
        "/// Returns true if it is much.\nfn much(n) {\n    n > global::LIMIT\n}",
        "fn two() { 2 } let work = load::dummy(#{\n    requests: two(),\n    gap_s: 1,\n})",
        "work",
        "work.count",
        "1+1",
        "much(work.count)",
        "broken(",
        "if much(1) { 1 }",
        "let plain = sim::engine()",
    ] {
        bed.eval(input);
    }
    let script = bed.session.script("test_saved");
    insta::assert_snapshot!(script);
    let path = bed.dir.path().join("saved.rhai");
    std::fs::write(&path, script).expect("the script");
    let tests = crate::script::Program::load(&path).expect("it compiles");
    assert!(tests.tests().iter().any(|test| test.name == "test_saved"));
}

#[test]
fn last_is_the_last_value_unless_the_user_declares_it() {
    let mut bed = Bed::new();
    bed.check(&["last"], "error: undefined variable: last");
    bed.check(&["40 + 1", "let x = last + 1", "x"], "42");
    bed.check(&["fn f() { 7 }", "f()", "nope()", "last"], "7");
    bed.check(&["const K = 1; last + K", "last"], "8");
    bed.check(&["let last = 3", "5", "last"], "3");
    bed.check(&["last += 1", "5", "last"], "4");
}

#[test]
fn saved_scripts_declare_last_where_it_is_read() {
    let mut bed = Bed::new();
    for input in [
        "1 + 1",
        "3",
        "max(4, 5)",
        "let a = last; a + 1",
        "last",
        "max(last, 2)",
        "min(last, 9); last - 1",
    ] {
        bed.eval(input);
    }
    let script = bed.session.script("test_saved");
    let body: Vec<&str> = script
        .lines()
        .filter(|line| line.starts_with("    "))
        .map(str::trim)
        .collect();
    let expected = [
        "let last = max(4, 5);",
        "let a = last; let last = a + 1;",
        "let last = last;",
        "let last = max(last, 2);",
        "min(last, 9); last - 1;",
    ];
    assert_eq!(body, expected);
}

#[test]
fn variables_have_types_and_keys() {
    let mut bed = Bed::new();
    bed.eval("let x = 1; let settings = #{ chunk_size: 2 }; fn f(a, b) { a }");
    let variables = bed.session.variables();
    let listed: Vec<_> = variables
        .iter()
        .map(|v| (v.name.as_str(), v.kind.as_str(), v.keys.join(" ")))
        .collect();
    assert_eq!(
        listed,
        [
            ("f", "f(a, b)", String::new()),
            ("settings", "map", "chunk_size".into()),
            ("x", "i64", String::new())
        ]
    );
    assert_eq!(bed.session.type_of("1.5").expect("a type"), "f64");
    assert_eq!(
        bed.session.type_of("load::dummy()").expect("a type"),
        "Workload"
    );
}
