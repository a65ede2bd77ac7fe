//! Errors of scripts, with their place and their help.
//!
//! Each test of a script in `tests/errors/` fails at the line that ends in `//~`, with the text after that
//! mark, and with the help of the `//~ help` line below it. The scripts read the files in
//! `tests/errors/files/`; the parameter `port` is a free port.

use crate::common::{Finished, Sandbox, root};

macro_rules! scripts {
    ($($name:ident)*) => {
        const SCRIPTS: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                assert_errors(concat!(stringify!($name), ".rhai"));
            }
        )*
    };
}

scripts! {
    calls
    compile_undefined_module
    compile_undefined_variable
    compile_variable_of_another_function
    compile_without_import
    containers
    engines
    figures
    function_named_like_a_native
    helpers
    import_unknown_own_module
    import_unknown_std_module
    lmcache
    options
    tables
    traces
    workloads
}

#[test]
fn every_script_is_listed() {
    let entries = std::fs::read_dir(root().join("tests/errors")).expect("the folder");
    let mut scripts: Vec<String> = entries
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.is_file())
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    scripts.sort();
    assert_eq!(scripts, SCRIPTS);
}

/// An error that a script expects.
struct Expected {
    line: usize,
    message: String,
    help: Option<String>,
}

fn expected_errors(script: &str) -> Vec<Expected> {
    let mut errors: Vec<Expected> = Vec::new();
    for (i, line) in script.lines().enumerate() {
        let Some((_, text)) = line.split_once("//~ ") else {
            continue;
        };
        match (text.strip_prefix("help "), errors.last_mut()) {
            (Some(help), Some(error)) => error.help = Some(help.into()),
            _ => errors.push(Expected {
                line: i + 1,
                message: text.into(),
                help: None,
            }),
        }
    }
    errors
}

fn assert_errors(name: &str) {
    let path = root().join("tests/errors").join(name);
    let script = std::fs::read_to_string(path).expect("a script");
    let expected = expected_errors(&script);
    let sandbox = Sandbox::new().file(name, &script);
    copy_files(&sandbox);
    let run = run(&sandbox, name, &script);
    let shown: Vec<String> = run
        .stderr
        .split("  × ")
        .skip(1)
        .map(|error| plain(error, &sandbox))
        .collect();
    assert!(!expected.is_empty(), "no error is expected in {name}");
    assert_eq!(shown.len(), expected.len(), "{}{}", run.stdout, run.stderr);
    for error in &expected {
        assert_shown(error, name, &shown);
    }
    assert_eq!(sandbox.left_running(), Vec::<String>::new());
}

fn copy_files(sandbox: &Sandbox) {
    let folder = sandbox.path("files");
    std::fs::create_dir(&folder).expect("the folder");
    for file in std::fs::read_dir(root().join("tests/errors/files")).expect("the files") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), folder.join(file.file_name())).expect("a copy");
    }
}

fn run(sandbox: &Sandbox, name: &str, script: &str) -> Finished {
    let port = format!("port={}", sandbox.ports[1]);
    let mut args = vec![name, "--engine", "sim", "-q"];
    if script.contains(r#"param("port""#) {
        args.extend(["-P", &port]);
    }
    sandbox.run(&args)
}

fn assert_shown(error: &Expected, name: &str, shown: &[String]) {
    let found = shown.iter().find(|shown| is_shown(error, name, shown));
    let found = found.unwrap_or_else(|| {
        let Expected { line, message, .. } = error;
        panic!("{name}:{line}: no `{message}` in {shown:#?}")
    });
    match &error.help {
        Some(help) => {
            let help = format!("help:{}", without_spaces(help));
            assert!(found.contains(&help), "no `{help}` in {found}");
        }
        None => assert!(!found.contains("help:"), "unexpected help in {found}"),
    }
}

/// Returns true if this is the error. After a message that ends in `…` a log may follow.
fn is_shown(error: &Expected, name: &str, shown: &str) -> bool {
    let place = format!("╭─[{name}:{}:", error.line);
    match error.message.strip_suffix('…') {
        Some(start) => shown.starts_with(&without_spaces(start)) && shown.contains(&place),
        None => shown.starts_with(&format!("{}{place}", without_spaces(&error.message))),
    }
}

/// Returns an error without its frame, and without white space, which depends on the width. The folder is
/// removed, and the ports are called `P1` and `P2`.
fn plain(error: &str, sandbox: &Sandbox) -> String {
    let text: String = error
        .lines()
        .map(|line| line.trim_start_matches([' ', '│']))
        .collect();
    let [p1, p2] = sandbox.ports.map(|port| port.to_string());
    without_spaces(&text)
        .replace(&format!("{}/", sandbox.dir.path().display()), "")
        .replace(&p1, "P1")
        .replace(&p2, "P2")
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}
