//! `lmrun check`: what it finds in each script of `tests/check/`, as people see it, and its exit codes.

use crate::common::{Finished, Sandbox, finish, lmrun, root};

/// Checks scripts of `tests/check/`.
fn check(args: &[&str]) -> Finished {
    let mut command = lmrun();
    command
        .current_dir(root().join("tests/check"))
        .arg("check")
        .args(args)
        .env("NO_COLOR", "1");
    finish(&mut command)
}

fn seen(script: &str) -> String {
    let ran = check(&[script]);
    format!("{}{}exit code {}", ran.stderr, ran.stdout, ran.code)
}

#[test]
fn unknown_functions_and_modules() {
    insta::assert_snapshot!(seen("functions.rhai"));
}

#[test]
fn wrong_arguments() {
    insta::assert_snapshot!(seen("arguments.rhai"));
}

#[test]
fn unknown_options() {
    insta::assert_snapshot!(seen("keys.rhai"));
}

#[test]
fn invalid_values() {
    insta::assert_snapshot!(seen("values.rhai"));
}

#[test]
fn warnings_of_unused_and_clashing_names() {
    insta::assert_snapshot!(seen("warnings.rhai"));
}

#[test]
fn compile_errors_and_shadowed_names() {
    insta::assert_snapshot!(format!(
        "{}\n{}",
        seen("broken.rhai"),
        seen("shadowing.rhai")
    ));
}

#[test]
fn integer_divisions() {
    insta::assert_snapshot!(seen("divisions.rhai"));
}

#[test]
fn valid_script_has_no_warnings() {
    let ran = check(&["-D", "right.rhai"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str(), ran.stdout.as_str()),
        (0, "", "no mistakes found\n")
    );
}

#[test]
fn deny_warnings_fails_the_check() {
    let allowed = check(&["warnings.rhai"]);
    assert_eq!(
        (allowed.code, allowed.stdout.as_str()),
        (0, "no mistakes found, 10 warnings\n")
    );
    let denied = check(&["--deny-warnings", "warnings.rhai", "right.rhai"]);
    assert_eq!((denied.code, denied.stdout.as_str()), (2, ""));
    assert!(
        denied
            .stderr
            .ends_with("error: no mistakes found, 10 warnings\n"),
        "{}",
        denied.stderr
    );
}

#[test]
fn function_used_by_another_script_is_not_unused() {
    let sandbox = Sandbox::new()
        .file("a.rhai", "fn test_a() {}\nfn twice(x) { x * 2 }\n")
        .file(
            "b.rhai",
            r#"
            import "a" as a;
            fn test_b() { a::twice(1) }
            "#,
        );
    let check = |scripts: &[&str]| {
        let mut command = lmrun();
        command
            .current_dir(sandbox.dir.path())
            .arg("check")
            .args(scripts);
        finish(&mut command).stdout
    };
    assert_eq!(check(&["a.rhai"]), "no mistakes found, 1 warning\n");
    assert_eq!(check(&["b.rhai"]), "no mistakes found\n");
    assert_eq!(check(&["a.rhai", "b.rhai"]), "no mistakes found\n");
}

#[test]
fn shared_import_is_reported_once() {
    let both = check(&["functions.rhai", "warnings.rhai"]);
    assert_eq!(
        both.stderr.matches("unused import `std/gpus`").count(),
        1,
        "{}",
        both.stderr
    );
    assert!(
        both.stderr.ends_with("error: 9 mistakes, 10 warnings\n"),
        "{}",
        both.stderr
    );
}

/// What `check` calls a mistake in a value, a run calls the same.
#[test]
fn run_fails_where_check_reports_invalid_values() {
    let text = std::fs::read_to_string(root().join("tests/check/values.rhai")).expect("the script");
    let (head, body) = text.split_once("fn test_values() {\n").expect("the test");
    let calls: Vec<&str> = body
        .trim_end()
        .trim_end_matches('}')
        .split_inclusive(");\n")
        .collect();
    let tests = calls
        .iter()
        .enumerate()
        .map(|(i, call)| format!("fn test_{i}() {{ {call} }}\n"));
    let sandbox = Sandbox::new().file("t.rhai", &format!("{head}{}", tests.collect::<String>()));
    let run = sandbox.run(&["t.rhai", "-q"]);
    let failed = run.stderr.matches("  × ").count();
    assert_eq!((run.code, failed), (1, calls.len()), "{}", run.stderr);
}

#[test]
fn run_warns_of_integer_division() {
    let script = "fn test_a() { let m = #{ failed: 5 }; m.failed / [1, 2].len() }";
    let run = Sandbox::new().file("t.rhai", script).run(&["t.rhai"]);
    let warning = "warning: t.rhai:1:48: dividing whole numbers fails if a remainder is left (`error_rate` is the share \
                   of failed requests)";
    assert_eq!(
        (run.code, run.stderr.contains(warning)),
        (1, true),
        "{}",
        run.stderr
    );
}

/// A script and a module of its own that call functions named alike, and how they are run.
fn twins() -> Sandbox {
    Sandbox::new()
        .file(
            "half.rhai",
            "fn half(x) { part(x) }\nprivate fn part(x) { x / 2 }\n",
        )
        .file(
            "t.rhai",
            r#"
        import "half" as half;
        fn test_a() { part(half::half(12)); }
        fn part(x) { x / 3 }
        "#,
        )
}

#[test]
fn run_warns_once_of_a_name_clash() {
    let run = twins().run(&["t.rhai"]);
    let told = "warning: `part` at half.rhai:1:14 and at t.rhai:2:15 may be confused, because Rhai \
                caches calls without a module by name only: rename one of the two functions (`lmrun \
                check` lists all such calls)";
    assert_eq!(
        (run.code, run.stderr.matches("warning: `part`").count()),
        (0, 1),
        "{}",
        run.stderr
    );
    run.assert_stderr(told);
    let prompt = twins().run(&["repl", "t.rhai"]);
    prompt.assert_code(0);
    prompt.assert_stderr("half.rhai:1:14 and at t.rhai:2:15 may be confused");
}

#[test]
fn run_without_name_clash_does_not_warn() {
    let sandbox = twins().file(
        "t.rhai",
        r#"
        import "half" as half;
        fn test_a() { other(half::half(12)); }
        fn other(x) { x / 3 }
        "#,
    );
    let run = sandbox.run(&["t.rhai"]);
    assert_eq!(
        (run.code, run.stderr.contains("warning")),
        (0, false),
        "{}",
        run.stderr
    );
}
