//! What is shown where there is no terminal: results apart from the rest, in whole lines.

use crate::common::{Finished, Sandbox};

const SCRIPT: &str = r#"
import "std/check" as check;
import "std/load" as load;
import "std/sim" as sim;

fn test_shown() {
    let engines = [sim::engine(#{ name: "a", fault: "refuse=503/3" }), sim::engine(#{ name: "b", gpu: 1 })];
    let workload = load::dummy(#{ requests: 3, context_len: 50, query_len: 8, gap_s: 0.05, max_tokens: 4 });
    let seen = run(workload, engines, #{ may_fail: true });
    check::that(true, "one is one");
    check::that(false, "one is two");
}
"#;

fn shown(flags: &[&str]) -> (Sandbox, Finished) {
    let sandbox = Sandbox::new().file("shown.rhai", SCRIPT);
    let ran = sandbox.run(&[&["shown.rhai"], flags].concat());
    ran.assert_code(1);
    for text in [&ran.stdout, &ran.stderr] {
        assert!(
            text.chars().all(|c| !c.is_control() || c == '\n'),
            "{text:?}"
        );
    }
    (sandbox, ran)
}

#[test]
fn results_go_to_stdout_and_progress_to_stderr() {
    let (sandbox, ran) = shown(&[]);
    for part in [
        "TTFT p50 s",
        "b / a",
        "  passed: one is one",
        "  FAILED: one is two",
        "FAILED test_shown",
    ] {
        assert!(ran.stdout.contains(part), "`{part}` in {}", ran.stdout);
    }
    for part in [
        "a: ready after",
        "sending for 0.1 s",
        "warning: a: 1 × HTTP 503",
    ] {
        assert!(ran.stderr.contains(part), "`{part}` in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("a 0: "), "{}", ran.stderr);
    let written = ran
        .stdout
        .lines()
        .skip_while(|line| *line != "written:")
        .skip(1);
    let (paths, rest): (Vec<&str>, Vec<&str>) = written.partition(|line| line.starts_with("  "));
    assert_eq!(paths.len(), 4, "two logs, rows and manifest: {paths:?}");
    assert!(
        paths.iter().all(|path| sandbox.path(path.trim()).exists()),
        "{paths:?}"
    );
    assert_eq!(rest, ["the whole report: lmrun report out"]);
}

#[test]
fn quiet_shows_results_and_failures() {
    let (_, ran) = shown(&["-q"]);
    assert!(
        ran.stdout.contains("TTFT p50 s") && ran.stdout.contains("  FAILED: one is two"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("one is one"), "{}", ran.stdout);
    assert!(
        ran.stderr.starts_with("warning: a: 1 × HTTP 503"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        ran.stderr
            .lines()
            .filter(|line| line.starts_with("warning:"))
            .count(),
        1,
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("ready"), "{}", ran.stderr);
}

#[test]
fn verbose_shows_every_request() {
    let (_, ran) = shown(&["-v"]);
    let requests = |engine: &str| {
        ran.stderr
            .lines()
            .filter(|line| line.starts_with(&format!("  {engine} ")))
            .count()
    };
    assert_eq!((requests("a"), requests("b")), (3, 3), "{}", ran.stderr);
    ran.assert_stderr(": failed: HTTP 503");
    ran.assert_stderr(" s, 4 tokens");
}

#[test]
fn quiet_conflicts_with_verbose() {
    let ran = Sandbox::new().run(&["x.rhai", "-q", "-v"]);
    ran.assert_code(2);
    ran.assert_stderr("cannot be used with");
}
