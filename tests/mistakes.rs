//! What a mistake is answered with: the place, the remedy, the exit code, and no engine left.

use crate::common::{Finished, Sandbox, Simulator, finish};

const IMPORTS: &str = r#"
import "std/load" as load;
import "std/sim" as sim;
import "std/vllm" as vllm;
"#;

/// Runs one test whose body is `body`, with the usual imports.
fn failing(body: &str) -> (Sandbox, Finished) {
    let body = body.trim();
    let sandbox = Sandbox::new().file(
        "t.rhai",
        &format!("{IMPORTS}fn test_a() {{\n    {body}\n}}\n"),
    );
    let run = sandbox.run(&["t.rhai", "--engine", "sim"]);
    sandbox.assert_nothing_runs();
    (sandbox, run)
}

/// The drawing of the error, without the lines around it.
fn drawing(run: &Finished) -> String {
    let start = run
        .stderr
        .find("  ×")
        .unwrap_or_else(|| panic!("no error drawn: {}", run.stderr));
    run.stderr[start..].trim_end().to_owned()
}

fn plain(args: &[&str], code: i32, stderr: &str) {
    let sandbox = Sandbox::new().file("t.rhai", "fn test_prefix_cache() {}\n");
    let run = sandbox.run(args);
    assert_eq!((run.code, run.stderr.trim_end()), (code, stderr));
}

#[test]
fn missing_script() {
    plain(
        &["tt.rhai"],
        2,
        "  × cannot read the script `tt.rhai`: No such file or directory (os error 2)\n  help: did you mean `t.rhai`?",
    );
}

#[test]
fn missing_script_argument() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&[]);
    run.assert_code(2);
    assert!(
        run.stderr
            .starts_with("error: missing script, such as `lmrun scripts/tests.rhai`"),
        "{}",
        run.stderr
    );
}

#[test]
fn invalid_filter() {
    let run = Sandbox::new()
        .file("t.rhai", "fn test_a() {}")
        .run(&["t.rhai", "-f", "("]);
    run.assert_code(2);
    assert!(
        run.stderr
            .starts_with("error: `-f (` is not a regular expression: "),
        "{}",
        run.stderr
    );
}

#[test]
fn filter_without_matches() {
    plain(
        &["t.rhai", "-f", "test_prefix_cash"],
        4,
        "error: no test matches `test_prefix_cash`; did you mean `test_prefix_cache`?",
    );
}

#[test]
fn syntax_error() {
    let sandbox = Sandbox::new().file("t.rhai", "fn test_a() {\n    let x = ;\n}\n");
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(2);
    insta::assert_snapshot!(run.stderr.trim_end(), @r"
      × unexpected ';'
       ╭─[t.rhai:2:13]
     1 │ fn test_a() {
     2 │     let x = ;
       ·             ─
     3 │ }
       ╰────
    ");
}

#[test]
fn unwritable_output_folder_is_reported_before_start() {
    let sandbox = Sandbox::new()
        .file("t.rhai", "fn test_a() {}\n")
        .file("out", "a file stands in the way\n");
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(2);
    assert_eq!(
        run.stderr.trim_end(),
        "error: cannot write to the output folder `out`: File exists (os error 17); choose another with `-o DIR`"
    );
}

#[test]
fn unknown_engine() {
    plain(
        &["t.rhai", "--engine", "vlm"],
        2,
        "error: there is no engine `vlm`: `--engine` takes auto, llamacpp, openai, sglang, sim, tgi, transformers, trtllm, vllm; did you mean `vllm`?",
    );
}

#[test]
fn runtime_error_in_an_import() {
    let sandbox = Sandbox::new()
        .file(
            "t.rhai",
            r#"
            import "lib/inner" as inner;
            fn test_a() {
                inner::outer(3);
            }
            "#,
        )
        .file(
            "lib/inner.rhai",
            "fn outer(x) {\n    deepest(x)\n}\nfn deepest(x) {\n    x + #{ a: 1 }.b\n}\n",
        );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(1);
    insta::assert_snapshot!(drawing(&run));
}

#[test]
fn library_error_is_drawn_at_the_users_line() {
    let (_, run) = failing("let w = load::dummy(#{ contxt_len: 100 });");
    run.assert_code(1);
    insta::assert_snapshot!(drawing(&run));
}

#[test]
fn error_in_a_long_line_is_drawn_with_its_surroundings() {
    let long = "x".repeat(60_000);
    let (_, run) = failing(&format!(r#"let a = "{long}" + nope(1) + "{long}";"#));
    let drawing = drawing(&run);
    assert!(drawing.contains("[t.rhai:5:60018]"), "{drawing}");
    assert!(
        drawing.contains(&format!(r#"…{}" + nope(1) + "x"#, &long[..146])),
        "{drawing}"
    );
    assert!(
        drawing.lines().all(|line| line.chars().count() < 320),
        "{drawing}"
    );
}

#[test]
fn unknown_function() {
    let (_, run) = failing("load::dumy(#{});");
    insta::assert_snapshot!(drawing(&run));
}

#[test]
fn unknown_module() {
    let sandbox = Sandbox::new().file(
        "t.rhai",
        r#"
        import "std/lod" as load;
        fn test_a() {}
    "#,
    );
    insta::assert_snapshot!(drawing(&sandbox.run(&["t.rhai"])));
}

#[test]
fn circular_imports() {
    let sandbox = Sandbox::new()
        .file(
            "t.rhai",
            r#"
            import "a" as a;
            fn test_a() {}
        "#,
        )
        .file(
            "a.rhai",
            r#"
            import "b" as b;
        "#,
        )
        .file(
            "b.rhai",
            r#"
            import "a" as a;
        "#,
        );
    insta::assert_snapshot!(drawing(&sandbox.run(&["t.rhai"])));
}

#[test]
fn missing_engine_program() {
    let (_, run) =
        failing(r#"run(load::dummy(), [vllm::engine(#{ program: "no-such-vllm", model: "m" })]);"#);
    run.assert_code(3);
    insta::assert_snapshot!(drawing(&run));
}

#[test]
fn engine_exit_during_start_shows_the_log() {
    let (sandbox, run) = failing(
        r#"
        run(load::dummy(), [vllm::engine(#{ program: ["sh", "-c", "echo no such model; exit 7"], model: "m" })]);
        "#,
    );
    run.assert_code(3);
    insta::assert_snapshot!(drawing(&run).replace(&sandbox.ports[0].to_string(), "PORT1"));
    let log = sandbox.read(&format!("out/{}-stdout.log", sandbox.ports[0]));
    assert_eq!(log, "no such model\n");
}

#[test]
fn engine_ready_timeout() {
    let (sandbox, run) = failing(
        r#"
        run(load::dummy(), [vllm::engine(#{ program: ["sh", "-c", "echo loading; sleep 60"], model: "m", ready_timeout_s: 1 })]);
        "#,
    );
    run.assert_code(3);
    insta::assert_snapshot!(drawing(&run).replace(&sandbox.ports[0].to_string(), "PORT1"));
}

#[test]
fn port_of_another_server() {
    let other = Simulator::start(&[]);
    let (_, run) = failing(&format!(
        "run(load::dummy(), [sim::engine(#{{ port: {} }})]);",
        other.port
    ));
    run.assert_code(3);
    run.assert_stderr("is in use by an HTTP server that serves `m`");
}

#[test]
fn port_in_use_is_reported_before_start() {
    let sandbox = Sandbox::new();
    let _listener = std::net::TcpListener::bind(("127.0.0.1", sandbox.ports[0])).expect("the port");
    let sandbox = sandbox.file(
        "t.rhai",
        &format!("{IMPORTS}fn test_a() {{ run(load::dummy(), [sim::engine()]); }}"),
    );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(3);
    let expected = format!(
        "cannot start engine `sim`: port {} is in use by a process that does not speak HTTP",
        sandbox.ports[0]
    );
    run.assert_stderr(&expected);
    run.assert_stderr("stop it, or choose other ports with `-p P1 P2`");
}

#[test]
fn missing_lmcache_configuration() {
    let (_, run) = failing(r#"sim::engine(#{ lmcache: "nowhere.yaml" });"#);
    assert!(
        drawing(&run).contains("missing file `nowhere.yaml`"),
        "{}",
        run.stderr
    );
}

#[test]
fn failed_requests_fail_the_test() {
    let (sandbox, run) = failing(
        "run(load::dummy(#{ requests: 2, gap_s: 0, context_len: 5000, max_tokens: 2 }), [sim::engine(#{ max_model_len: 1000 })]);",
    );
    run.assert_code(1);
    run.assert_stdout("FAILED: `sim` answers every request: 2 of 2 failed: HTTP 400: ");
    let rows = sandbox.rows("out/test_a.csv");
    assert!(
        rows.iter()
            .all(|row| row["TTFT"].is_empty() && row["http_status"] == "400"),
        "{rows:?}"
    );
}

#[test]
fn missing_docker_daemon_has_a_remedy() {
    let script = r#"
        import "std/load" as load;
        import "std/sim" as sim;
        fn test_a() { run(load::dummy(#{ requests: 1 }), [sim::engine(#{ container: "no-such/image" })]); }
    "#;
    let sandbox = Sandbox::new().file("t.rhai", script);
    let nowhere = format!("unix://{}", sandbox.path("no.sock").display());
    let run = finish(sandbox.command(&["t.rhai"]).env("DOCKER_HOST", &nowhere));
    run.assert_code(3);
    let said = "no Docker daemon answers at";
    run.assert_stderr(said);
    let advice = "DOCKER_HOST";
    run.assert_stderr(advice);
}
