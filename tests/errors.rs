//! Each script in `tests/errors/` fails at the line that ends in `//~`, with the text that follows it, and with
//! the advice of its `//~ help` line.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::{Bench, root};

/// A drawing without its frame, each run of white space as one blank.
fn prose(drawing: &str) -> String {
    let lines = drawing.lines().map(|line| line.trim_start_matches([' ', '│', '×']));
    lines.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn expected(text: &str) -> (usize, String, Option<String>) {
    let marked = |(i, line): (usize, &str)| Some((i + 1, line.split_once("//~ ")?.1.to_owned()));
    let mut marks = text.lines().enumerate().filter_map(marked);
    let (line, message) = marks.next().expect("a line with `//~`");
    let help = marks.next().map(|(_, help)| help.strip_prefix("help ").expect("`help`").to_owned());
    (line, message, help)
}

#[test]
fn every_mistake_has_its_text_its_place_and_its_advice() {
    let folder = root().join("tests/errors");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder") {
        let path = entry.expect("a file").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a script");
        let (line, message, help) = expected(&text);
        let bench = Bench::new().script(&name, &text);
        let run = bench.run(&[&name, "--engine", "sim"]);
        let drawing = prose(&run.stderr.replace(&format!("{}/", bench.dir.path().display()), ""));
        assert_ne!(run.code, 0, "{name}");
        assert!(drawing.contains(&message), "{name}: no `{message}` in {drawing}");
        assert!(
            run.stderr.contains(&format!("[{name}:{line}:")),
            "{name}: not at line {line}: {}",
            run.stderr
        );
        if let Some(help) = help {
            assert!(drawing.contains(&format!("help: {help}")), "{name}: no `{help}` in {drawing}");
        }
        assert_eq!(bench.left_running(), Vec::<String>::new(), "{name}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} scripts");
}
