//! The README, the book and the table of columns say what is true: scripts compile and pass,
//! commands work, links lead somewhere, every page and every column is there.

use crate::common::{Sandbox, root};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// No command of the book may take longer.
const LIMIT: Duration = Duration::from_mins(2);

/// The README and every page of the book, by path from the root.
fn pages() -> Vec<(String, String)> {
    let mut pages = vec!["README.md".to_owned(), "outputs/README.md".to_owned()];
    pages.extend(files_under(&root().join("book/src")));
    pages
        .into_iter()
        .map(|page| (page.clone(), text_of(&page)))
        .collect()
}

fn text_of(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

fn files_under(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let path = path.strip_prefix(root()).expect("below the root");
            files.push(path.display().to_string());
        }
    }
    files.sort();
    files
}

/// A fenced block, and where it is.
struct Block {
    place: String,
    info: String,
    text: String,
}

fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                let place = format!("{page}:{}", number + 1);
                open = Some(Block {
                    place,
                    info: info.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    if let Some(block) = open {
        panic!("{}: the block is never closed", block.place);
    }
    blocks
}

/// The blocks of all pages whose info string is one of `infos`.
fn blocks_marked(infos: &[&str]) -> Vec<Block> {
    let all = pages()
        .into_iter()
        .flat_map(|(page, text)| blocks(&page, &text));
    let found: Vec<Block> = all
        .filter(|block| infos.contains(&block.info.as_str()))
        .collect();
    assert!(
        !found.is_empty(),
        "no block is marked {infos:?}: the test would test nothing"
    );
    found
}

/// Tests run beside each other: how late their requests are says nothing.
const BESIDE_OTHERS: [&str; 2] = ["--max-send-lag-s", "10"];

/// Runs lmrun in `folder`, and fails if it takes too long or exits with something else than 0.
fn lmrun(place: &str, folder: &Path, args: &[&str]) {
    let ran = assert_cmd::Command::cargo_bin("lmrun")
        .expect("lmrun")
        .current_dir(folder)
        .args(args)
        .env("NO_COLOR", "1")
        .timeout(LIMIT)
        .output()
        .expect("lmrun runs");
    assert!(
        ran.status.success(),
        "{place}: lmrun {} ended with {}\n{}{}",
        args.join(" "),
        ran.status,
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// A folder with the block as `block.rhai` and the files that it may name.
fn bench_of(block: &Block) -> Sandbox {
    let mut sandbox = Sandbox::new().file("block.rhai", &block.text);
    for folder in ["configs", "data"] {
        for entry in std::fs::read_dir(root().join("scripts").join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).expect("a file");
            sandbox = sandbox.file(&format!("{folder}/{name}"), &text);
        }
    }
    sandbox
}

#[test]
fn scripts_in_the_book_compile() {
    for block in blocks_marked(&["rhai", "rhai,run"]) {
        let sandbox = bench_of(&block);
        lmrun(&block.place, sandbox.dir.path(), &["block.rhai", "-l"]);
    }
}

#[test]
fn check_finds_nothing_in_scripts() {
    for block in blocks_marked(&["rhai", "rhai,run"]) {
        let sandbox = bench_of(&block);
        lmrun(
            &block.place,
            sandbox.dir.path(),
            &["check", "--deny-warnings", "block.rhai"],
        );
    }
}

#[test]
fn scripts_marked_run_pass() {
    for block in blocks_marked(&["rhai,run"]) {
        let sandbox = bench_of(&block);
        let [p1, p2] = sandbox.ports.map(|port| port.to_string());
        let mut args = vec!["block.rhai", "--engine", "sim", "-o", "out", "-p", &p1, &p2];
        args.extend(BESIDE_OTHERS);
        lmrun(&block.place, sandbox.dir.path(), &args);
        sandbox.assert_nothing_runs();
    }
}

#[test]
fn commands_marked_run_work() {
    for block in blocks_marked(&["console,run"]) {
        let commands: Vec<&str> = block
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("$ lmrun "))
            .collect();
        assert!(
            !commands.is_empty(),
            "{}: no line starts with `$ lmrun `",
            block.place
        );
        for command in commands {
            let sandbox = Sandbox::new();
            let out = sandbox.path("out").display().to_string();
            let mut args: Vec<&str> = command.split_whitespace().collect();
            args.iter_mut()
                .filter(|arg| **arg == "OUT")
                .for_each(|arg| *arg = &out);
            let lists = args.contains(&"-l");
            assert!(
                lists || args.contains(&out.as_str()),
                "{}: no `-o OUT`",
                block.place
            );
            let [p1, p2] = sandbox.ports.map(|port| port.to_string());
            args.extend(["--engine", "sim", "-p", &p1, &p2]);
            args.extend(BESIDE_OTHERS);
            lmrun(&block.place, root(), &args);
        }
    }
}

/// Its words up to what the shell takes for itself; what stands between quotes is one.
fn words(command: &str) -> Vec<&str> {
    let is_shells = |word: &&str| [">", "|", "#", "&", "2>/dev/null"].contains(word);
    let part = |(i, part)| {
        if i % 2 == 1 {
            vec![part]
        } else {
            str::split_whitespace(part).collect()
        }
    };
    let words = command.split('\'').enumerate().flat_map(part);
    words
        .take_while(|word| !is_shells(word))
        .filter(|word| *word != "…")
        .collect()
}

#[test]
fn command_lines_parse() {
    for block in blocks_marked(&["console", "console,run", "sh", "text"]) {
        for command in block
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("$ lmrun "))
        {
            // The help is shown when all before it was understood.
            let mut args = words(command);
            args.push("--help");
            lmrun(&format!("{}: {command}", block.place), root(), &args);
        }
    }
}

#[test]
fn shell_scripts_and_yaml_are_well_formed() {
    for block in blocks_marked(&["bash"]) {
        let checked = std::process::Command::new("bash")
            .args(["-n", "-c", &block.text])
            .output()
            .expect("bash");
        assert!(
            checked.status.success(),
            "{}: {}",
            block.place,
            String::from_utf8_lossy(&checked.stderr)
        );
    }
    for block in blocks_marked(&["yaml"]) {
        let read = serde_saphyr::from_str::<serde_json::Value>(&block.text);
        assert!(read.is_ok_and(|value| value.is_object()), "{}", block.place);
    }
}

/// The targets of a page's links, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut in_block = false;
    let prose = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        in_block ^= fence;
        !fence && !in_block
    });
    let prose = prose.collect::<Vec<_>>().join("\n");
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

fn is_below(path: &Path, folder: &str) -> bool {
    let real = |path: &Path| path.canonicalize().expect("a path that exists");
    real(path).starts_with(real(&root().join(folder)))
}

/// The anchors that mdBook and others make of a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn relative_links_are_valid() {
    let mut seen = 0;
    let changelog = ("CHANGELOG.md".to_owned(), text_of("CHANGELOG.md"));
    for (page, text) in pages().into_iter().chain([changelog]) {
        let folder = root()
            .join(&page)
            .parent()
            .map(PathBuf::from)
            .expect("a folder");
        for link in links(&text)
            .into_iter()
            .filter(|link| !link.starts_with("http"))
        {
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                root().join(&page)
            } else {
                folder.join(path)
            };
            assert!(target.is_file(), "{page}: `{link}` leads nowhere");
            let stays = !page.starts_with("book/") || is_below(&target, "book/src");
            assert!(
                stays,
                "{page}: `{link}` leads out of the book, which mdBook does not follow"
            );
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).expect("a page");
                assert!(
                    anchors(&text).contains(anchor),
                    "{page}: `{link}` has no such heading"
                );
            }
        }
    }
    assert!(
        seen > 20,
        "only {seen} links were found: the test looks in the wrong place"
    );
}

#[test]
fn summary_lists_every_page_once() {
    let summary = links(&text_of("book/src/SUMMARY.md"));
    let listed: Vec<String> = summary
        .iter()
        .map(|link| format!("book/src/{link}"))
        .collect();
    let mut there = files_under(&root().join("book/src"));
    there.retain(|page| page != "book/src/SUMMARY.md");
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(sorted, there);
}

/// The names in backticks in the first cell of each row of the table under `heading`.
fn first_cells(text: &str, heading: &str) -> Vec<String> {
    let section = text.split_once(&format!("\n{heading}\n")).expect(heading).1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = cells.flat_map(|cell| {
        cell.split('`')
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// The header and the manifest of a real, short run.
fn real_run() -> (Vec<String>, serde_json::Value) {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        fn test_columns() {
            run(load::dummy(#{ requests: 1, gap_s: 0, context_len: 60, max_tokens: 2 }), [sim::engine()]);
        }
        "#,
    );
    let [p1, p2] = sandbox.ports.map(|port| port.to_string());
    let mut args = vec!["t.rhai", "-o", "out", "-p", &p1, &p2];
    args.extend(BESIDE_OTHERS);
    lmrun("a short run", sandbox.dir.path(), &args);
    let csv = sandbox.read("out/test_columns.csv");
    let header = csv
        .lines()
        .next()
        .expect("a header")
        .split(',')
        .map(str::to_owned);
    let manifest = sandbox.read("out/test_columns.manifest.json");
    (
        header.collect(),
        serde_json::from_str(&manifest).expect("JSON"),
    )
}

#[test]
fn columns_and_manifest_keys_are_described() {
    let (header, manifest) = real_run();
    let described = text_of("outputs/README.md");
    assert_eq!(first_cells(&described, "## The CSV"), header);
    let keys: Vec<String> = manifest
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    assert_eq!(first_cells(&described, "## The manifest"), keys);
    let measures = text_of("book/src/reference/measures.md");
    for column in header {
        assert!(
            measures.contains(&format!("`{column}`")),
            "reference/measures.md lacks `{column}`"
        );
    }
}

/// The words of an option in the help, such as `--filter`.
fn long_options(help: &str) -> BTreeSet<String> {
    let words = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'));
    let options =
        words.flat_map(|line| line.split([' ', ',']).filter(|word| word.starts_with("--")));
    options
        .map(|word| word.trim_end_matches("...").to_owned())
        .collect()
}

#[test]
fn options_are_described() {
    let help = assert_cmd::Command::cargo_bin("lmrun")
        .expect("lmrun")
        .arg("--help")
        .output();
    let help = String::from_utf8(help.expect("lmrun runs").stdout).expect("text");
    let options = long_options(&help);
    assert!(options.contains("--filter"), "{help}");
    let page = text_of("book/src/reference/command-line.md");
    for option in options
        .iter()
        .filter(|option| !["--help", "--version"].contains(&option.as_str()))
    {
        assert!(
            page.contains(option.as_str()),
            "reference/command-line.md lacks `{option}`"
        );
    }
}

#[test]
fn book_parsers_can_fail() {
    let page = "a [x](y.md) `b`\n```rhai,run\n[z](w.md)\n```\n## It's `so`, here\n";
    assert_eq!(links(page), ["y.md"]);
    let found = blocks("p", page);
    assert_eq!(
        (found[0].info.as_str(), found[0].text.as_str()),
        ("rhai,run", "[z](w.md)\n")
    );
    assert_eq!(found[0].place, "p:2");
    assert_eq!(anchors(page), BTreeSet::from(["its-so-here".to_owned()]));
    let table = "\n## T\n| `a`, `b` | s |\n| c | d |\n\n## U\n| `e` | f |\n";
    assert_eq!(first_cells(table, "## T"), ["a", "b"]);
}
