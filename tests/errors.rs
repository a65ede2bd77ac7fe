//! Each test of a script in `tests/errors/` fails at the line that ends in `//~`, with the text that follows it,
//! and with the advice of the `//~ help` line after it. What they read lies in `tests/errors/files/`; the parameter
//! `port` is a free one.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::{Bench, Ran, root};
use std::path::Path;

/// What stands beside a line.
struct Mark {
    line: usize,
    message: String,
    help: Option<String>,
}

fn marks(text: &str) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let Some((_, words)) = line.split_once("//~ ") else {
            continue;
        };
        match (words.strip_prefix("help "), marks.last_mut()) {
            (Some(help), Some(mark)) => mark.help = Some(help.into()),
            _ => marks.push(Mark {
                line: i + 1,
                message: words.into(),
                help: None,
            }),
        }
    }
    marks
}

/// A bench with the script and the files, and the drawings of its errors.
fn drawings(name: &str, text: &str) -> (Bench, Ran, Vec<String>) {
    let bench = Bench::new().script(name, text);
    std::fs::create_dir(bench.path("files")).expect("the folder");
    for file in std::fs::read_dir(root().join("tests/errors/files")).expect("the files") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), bench.path("files").join(file.file_name())).expect("a copy");
    }
    let port = format!("port={}", bench.ports[1]);
    let parameters: &[&str] = if text.contains("param(\"port\"") {
        &["-P", &port]
    } else {
        &[]
    };
    let run = bench.run(&[&[name, "--engine", "sim", "-q"], parameters].concat());
    let of_one = run.stderr.split("  × ").skip(1);
    let drawings = of_one.map(|drawing| plain(drawing, &bench)).collect();
    (bench, run, drawings)
}

/// A drawing without its frame and without white space, which depends on where lines are broken; the folder
/// is left out, and ports are `P1` and `P2`.
fn plain(drawing: &str, bench: &Bench) -> String {
    let lines = drawing
        .lines()
        .map(|line| line.trim_start_matches([' ', '│']));
    let [p1, p2] = bench.ports.map(|port| port.to_string());
    let words = squeezed(&lines.collect::<String>());
    let words = words.replace(&format!("{}/", bench.dir.path().display()), "");
    words.replace(&p1, "P1").replace(&p2, "P2")
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Whether a drawing shows what is expected. A message that ends in `…` goes on with a log.
fn shows(drawing: &str, name: &str, mark: &Mark) -> bool {
    let place = format!("╭─[{name}:{}:", mark.line);
    match mark.message.strip_suffix('…') {
        Some(start) => drawing.starts_with(&squeezed(start)) && drawing.contains(&place),
        None => drawing.starts_with(&(squeezed(&mark.message) + &place)),
    }
}

fn check(path: &Path) -> usize {
    let name = path.file_name().expect("a name").to_string_lossy();
    let text = std::fs::read_to_string(path).expect("a script");
    let marks = marks(&text);
    let (bench, run, drawings) = drawings(&name, &text);
    assert_eq!(
        drawings.len(),
        marks.len(),
        "{name}: {}{}",
        run.stdout,
        run.stderr
    );
    for mark in &marks {
        let drawing = drawings.iter().find(|drawing| shows(drawing, &name, mark));
        let drawing = drawing.unwrap_or_else(|| {
            panic!(
                "{name}:{}: no `{}` in {drawings:#?}",
                mark.line, mark.message
            )
        });
        match &mark.help {
            Some(help) => {
                assert!(
                    drawing.contains(&format!("help:{}", squeezed(help))),
                    "no `{help}` in {drawing}"
                );
            }
            None => assert!(
                !drawing.contains("help:"),
                "no help is expected in {drawing}"
            ),
        }
    }
    assert_eq!(bench.left_running(), Vec::<String>::new(), "{name}");
    marks.len()
}

#[test]
fn every_mistake_has_its_text_its_place_and_its_advice() {
    let entries = std::fs::read_dir(root().join("tests/errors")).expect("the folder");
    let scripts = entries
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.is_file());
    let seen: usize = scripts.map(|path| check(&path)).sum();
    assert!(seen > 180, "only {seen} mistakes");
}
