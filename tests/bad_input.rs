//! What a mistake is answered with: the place, the remedy, the exit code, and no engine left.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::{Bench, Ran, Sim, ran};

const IMPORTS: &str =
    "import \"std/load\" as load;\nimport \"std/sim\" as sim;\nimport \"std/vllm\" as vllm;\n";

/// Runs one test whose body is `body`, with the usual imports.
fn failing(body: &str) -> (Bench, Ran) {
    let bench = Bench::new().script("t.rhai", &format!("{IMPORTS}fn test_a() {{\n    {body}\n}}\n"));
    let run = bench.run(&["t.rhai", "--engine", "sim"]);
    assert_eq!(bench.left_running(), Vec::<String>::new());
    (bench, run)
}

/// The drawing of the error, without the lines around it.
fn drawing(run: &Ran) -> String {
    let start = run.stderr.find("  ×").unwrap_or_else(|| panic!("no error drawn: {}", run.stderr));
    run.stderr[start..].trim_end().to_owned()
}

fn plain(args: &[&str], code: i32, stderr: &str) {
    let bench = Bench::new().script("t.rhai", "fn test_prefix_cache() {}\n");
    let run = bench.run(args);
    assert_eq!((run.code, run.stderr.trim_end()), (code, stderr));
}

#[test]
fn no_such_script() {
    plain(
        &["tt.rhai"],
        2,
        "  × cannot read the script `tt.rhai`: No such file or directory (os error 2)\n  help: did you mean `t.rhai`?",
    );
}

#[test]
fn no_script_at_all() {
    let bench = Bench::new();
    let run = bench.run(&[]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.starts_with("error: which script? For example `lmrun scripts/tests.rhai`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_bad_regex() {
    let run = Bench::new().script("t.rhai", "fn test_a() {}").run(&["t.rhai", "-f", "("]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.starts_with("error: `-f (` is not a regular expression: "), "{}", run.stderr);
}

#[test]
fn no_test_matches() {
    plain(
        &["t.rhai", "-f", "test_prefix_cash"],
        4,
        "error: no test matches `test_prefix_cash`; did you mean `test_prefix_cache`?",
    );
}

/// The answer of the program in a folder with `scripts/tests.rhai` and `outputs/test_a.csv`.
fn answer(args: &[&str]) -> (i32, String) {
    let script = "fn test_prefix_cache() {}\nfn test_local_cpu() {}\nfn test_local_disk() {}\n";
    let bench = Bench::new().script("scripts/tests.rhai", script).script("outputs/test_a.csv", "a\n");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lmrun"));
    let run =
        ran(&command.args(args).current_dir(bench.dir.path()).env("NO_COLOR", "1").output().expect("lmrun"));
    (
        run.code,
        run.stderr
            .split("\n\nUsage")
            .next()
            .unwrap_or_default()
            .replace("\n\nFor more information, try '--help'.", "")
            .trim_end()
            .to_owned(),
    )
}

#[test]
fn every_name_on_the_command_line_has_its_nearest() {
    for (args, code, said) in [
        (
            &["scripts/tests.rhai", "-f", "cash"][..],
            4,
            "error: no test matches `cash`; did you mean `test_prefix_cache`?",
        ),
        (
            &["scripts/tests.rhai", "-f", "cash|^disc$"],
            4,
            "error: no test matches `cash`; did you mean `test_prefix_cache`?\n\
             error: no test matches `^disc$`; did you mean `test_local_disk`?",
        ),
        (
            &["scripts/tests.rhai", "-f", "local_cpu|cash", "-l"],
            0,
            "warning: no test matches `cash`; did you mean `test_prefix_cache`?",
        ),
        (
            &["scripts/tests.rhai", "-f", "zzz"],
            4,
            "error: no test matches `zzz`; the script has `test_prefix_cache`, `test_local_cpu`, `test_local_disk`",
        ),
        (
            &["scripts/test.rhai"],
            2,
            "  × cannot read the script `scripts/test.rhai`: No such file or directory (os error 2)\n  \
             help: did you mean `scripts/tests.rhai`?",
        ),
        (
            &["scrpts/tests.rhai"],
            2,
            "  × cannot read the script `scrpts/tests.rhai`: No such file or directory (os error 2)\n  \
             help: did you mean `scripts/tests.rhai`?",
        ),
        (
            &["zzz.rhai"],
            2,
            "  × cannot read the script `zzz.rhai`: No such file or directory (os error 2)\n  \
             help: give the path of a script; `lmrun new test NAME` makes one to start from",
        ),
        (
            &["reprot"],
            2,
            "  × cannot read the script `reprot`: No such file or directory (os error 2)\n  \
             help: did you mean `lmrun report`?",
        ),
        (&["reprot", "outputs/"], 2, "error: there is no verb `reprot`; did you mean `lmrun report`?"),
        (
            &["scripts/tests.rhai", "scripts/tests.rhai"],
            2,
            "error: one script a run: `scripts/tests.rhai` is one too many",
        ),
        (
            &["scripts/tests.rhai", "--filtr", "a"],
            2,
            "error: unexpected argument '--filtr' found\n\n  tip: a similar argument exists: '--filter'",
        ),
        (
            &["new", "tst", "a"],
            2,
            "error: unrecognized subcommand 'tst'\n\n  tip: a similar subcommand exists: 'test'",
        ),
        (
            &["report", "outputs/test_b.csv"],
            2,
            "error: cannot read outputs/test_b.csv: No such file or directory (os error 2); did you mean \
             `outputs/test_a.csv`?",
        ),
        (
            &["export", "output/test_a.csv", "--to", "vllm"],
            2,
            "error: cannot read output/test_a.csv: No such file or directory (os error 2); did you mean \
             `outputs/test_a.csv`?",
        ),
        (&["api", "load::dumy"], 2, "error: scripts have no `load::dumy`; did you mean `load::dummy`?"),
    ] {
        assert_eq!(answer(args), (code, said.to_owned()), "{args:?}");
    }
}

#[test]
fn of_many_tests_only_the_number_is_told() {
    let script: String = (0..9).map(|i| format!("fn test_{i}() {{}}\n")).collect();
    let run = Bench::new().script("t.rhai", &script).run(&["t.rhai", "-f", "zzz"]);
    assert_eq!(
        (run.code, run.stderr.trim_end()),
        (4, "error: no test matches `zzz`; `lmrun t.rhai -l` lists the script's 9 tests")
    );
}

#[test]
fn every_flag_says_what_it_takes() {
    const RESULTS: &str = "error: outputs/test_a.csv holds no results: it has no column `expr_id`; give a CSV of a \
                           run, with at least expr_id, timestamp, engine_id, request_id, TTFT, throughput, latency, \
                           context_len, query_len, gpu_memory";
    let url = "http://127.0.0.1:9";
    for (args, said) in [
        (
            &["t.rhai", "-p", "8000", "x"][..],
            "error: invalid value 'x' for '--ports <P1> <P2>': expected a port, from 1 to 65535",
        ),
        (&["t.rhai", "-p", "8000"], "error: 2 values required for '--ports <P1> <P2>' but 1 was provided"),
        (
            &["t.rhai", "-P", "gap"],
            "error: invalid value 'gap' for '-P <NAME=VALUE>': expected NAME=VALUE, such as gap_s=0.5",
        ),
        (
            &["t.rhai", "--max-send-lag-s", "x"],
            "error: invalid value 'x' for '--max-send-lag-s <S>': expected a number of seconds, zero or more",
        ),
        (
            &["t.rhai", "--seed", "x"],
            "error: invalid value 'x' for '--seed <SEED>': expected a whole number, zero or more",
        ),
        (
            &["scripts/tests.rhai", "--log-dir", "scripts/tests.rhai"],
            "error: cannot write to the folder of logs `scripts/tests.rhai`: File exists (os error 17); choose \
             another with `--log-dir DIR`",
        ),
        (&["report", "outputs/test_a.csv"], RESULTS),
        (
            &["report", "scripts"],
            "error: no results in scripts: expected a CSV that a run wrote, or a folder with some",
        ),
        (&["export", "outputs/test_a.csv", "--to", "vllm"], RESULTS),
        (
            &["new", "test", "a b"],
            "error: `a b` cannot name a test: letters, digits and `_` can, such as `prefix_cache`",
        ),
        (
            &["new", "test", "a", "-o", "nowhere/a.rhai"],
            "error: cannot write `nowhere/a.rhai`: No such file or directory (os error 2); choose another with `-o FILE`",
        ),
        (
            &["load", "--url", url, "--model", "m", "--rate", "1", "--rows", "nowhere/x"],
            "error: cannot write the rows to `nowhere/x`: No such file or directory (os error 2); choose another \
             with `--rows FILE`",
        ),
        (&["load", "--url", url, "--rate", "0"], "error: `--rate` must be greater than zero"),
        (
            &["load", "--url", url, "--rate", "1", "--requests", "0"],
            "error: `--requests` must be at least one",
        ),
    ] {
        assert_eq!(answer(args), (2, said.to_owned()), "{args:?}");
    }
}

#[test]
fn the_simulator_says_what_its_flags_take() {
    for (args, said) in [
        (&["--jitter", "-1"][..], "error: `jitter` is -1, expected 0 or more"),
        (&["--gpu-memory-utilization", "2"], "error: `gpu_memory_utilization` is 2, expected at most 1"),
        (&["--max-num-seqs", "0"], "error: `max_num_seqs` is 0, expected above 0"),
        (
            &["--lmcache", "a.yaml"],
            "error: cannot read the LMCache configuration `a.yaml`: No such file or directory (os error 2)",
        ),
        (
            &["--lmcache", "a.yaml", "--lmcache-mp-l1-gb", "3"],
            "error: `lmcache` and `lmcache_mp_l1_gb` are two ways to run LMCache: give one of them",
        ),
        (
            &["--host", "192.0.2.1"],
            "error: cannot listen on 192.0.2.1:8000: Cannot assign requested address (os error 99); choose others \
             with `--host` and `--port`",
        ),
        (&["--port", "99999"], "error: invalid value '99999' for '--port <PORT>': 99999 is not in 0..=65535"),
        (
            &["--prot", "1"],
            "error: unexpected argument '--prot' found\n\n  tip: a similar argument exists: '--port'",
        ),
        (
            &["--fault", "no-don"],
            "error: invalid value 'no-don' for '--fault <FAULT>': did you mean `no-done`?",
        ),
        (
            &["--fault", "refuse=200"],
            "error: invalid value 'refuse=200' for '--fault <FAULT>': expected an HTTP status of 400 to 599 after `refuse=`",
        ),
        (
            &["--fault", "never-ready/2"],
            "error: invalid value 'never-ready/2' for '--fault <FAULT>': expected no `/N`: this fault is not one of a \
             single answer",
        ),
    ] {
        let (code, answered) = answer(&[&["sim"], args].concat());
        assert_eq!((code, answered.as_str()), (2, said), "{args:?}");
    }
}

#[test]
fn a_script_that_does_not_compile() {
    let bench = Bench::new().script("t.rhai", "fn test_a() {\n    let x = ;\n}\n");
    let run = bench.run(&["t.rhai"]);
    assert_eq!(run.code, 2);
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
fn an_unwritable_output_folder_is_found_before_any_engine_starts() {
    let bench = Bench::new().script("t.rhai", "fn test_a() {}\n").script("out", "a file stands in the way\n");
    let run = bench.run(&["t.rhai"]);
    assert_eq!(run.code, 2);
    assert_eq!(
        run.stderr.trim_end(),
        "error: cannot write to the output folder `out`: File exists (os error 17); choose another with `-o DIR`"
    );
}

#[test]
fn an_unknown_engine() {
    plain(
        &["t.rhai", "--engine", "vlm"],
        2,
        "error: there is no engine `vlm`: `--engine` takes auto, llamacpp, openai, sglang, sim, tgi, transformers, trtllm, vllm; did you mean `vllm`?",
    );
}

#[test]
fn a_runtime_error_deep_in_an_import() {
    let bench = Bench::new()
        .script("t.rhai", "import \"lib/inner\" as inner;\nfn test_a() {\n    inner::outer(3);\n}\n")
        .script(
            "lib/inner.rhai",
            "fn outer(x) {\n    deepest(x)\n}\nfn deepest(x) {\n    x + #{ a: 1 }.b\n}\n",
        );
    let run = bench.run(&["t.rhai"]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(drawing(&run));
}

#[test]
fn an_error_in_the_library_is_drawn_at_the_users_line() {
    let (_, run) = failing("let w = load::dummy(#{ contxt_len: 100 });");
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(drawing(&run));
}

#[test]
fn a_function_that_is_not_there() {
    let (_, run) = failing("load::dumy(#{});");
    insta::assert_snapshot!(drawing(&run));
}

#[test]
fn a_module_that_is_not_there() {
    let bench = Bench::new().script("t.rhai", "import \"std/lod\" as load;\nfn test_a() {}\n");
    insta::assert_snapshot!(drawing(&bench.run(&["t.rhai"])));
}

#[test]
fn modules_that_import_each_other() {
    let bench = Bench::new()
        .script("t.rhai", "import \"a\" as a;\nfn test_a() {}\n")
        .script("a.rhai", "import \"b\" as b;\n")
        .script("b.rhai", "import \"a\" as a;\n");
    insta::assert_snapshot!(drawing(&bench.run(&["t.rhai"])));
}

#[test]
fn an_engine_command_that_does_not_exist() {
    let (_, run) =
        failing("run(load::dummy(), [vllm::engine(#{ program: \"no-such-vllm\", model: \"m\" })]);");
    assert_eq!(run.code, 3);
    insta::assert_snapshot!(drawing(&run));
}

#[test]
fn an_engine_that_dies_during_start_shows_the_end_of_its_log() {
    let (bench, run) = failing(
        "run(load::dummy(), [vllm::engine(#{ program: [\"sh\", \"-c\", \"echo no such model; exit 7\"], model: \"m\" })]);",
    );
    assert_eq!(run.code, 3);
    insta::assert_snapshot!(drawing(&run).replace(&bench.ports[0].to_string(), "PORT1"));
    let log =
        std::fs::read_to_string(bench.path(&format!("out/{}-stdout.log", bench.ports[0]))).expect("the log");
    assert_eq!(log, "no such model\n");
}

#[test]
fn an_engine_that_never_gets_ready() {
    let (bench, run) = failing(
        "run(load::dummy(), [vllm::engine(#{ program: [\"sh\", \"-c\", \"echo loading; sleep 60\"], model: \"m\", ready_timeout_s: 1 })]);",
    );
    assert_eq!(run.code, 3);
    insta::assert_snapshot!(drawing(&run).replace(&bench.ports[0].to_string(), "PORT1"));
}

#[test]
fn a_port_that_another_server_has() {
    let other = Sim::start(&[]);
    let (_, run) = failing(&format!("run(load::dummy(), [sim::engine(#{{ port: {} }})]);", other.port));
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("is in use by an HTTP server that serves `m`"), "{}", run.stderr);
}

#[test]
fn a_port_in_use_is_found_before_the_engine_starts() {
    let bench = Bench::new();
    let _listener = std::net::TcpListener::bind(("127.0.0.1", bench.ports[0])).expect("the port");
    let bench =
        bench.script("t.rhai", &format!("{IMPORTS}fn test_a() {{ run(load::dummy(), [sim::engine()]); }}"));
    let run = bench.run(&["t.rhai"]);
    assert_eq!(run.code, 3);
    let expected = format!(
        "cannot start engine `sim`: port {} is in use by a process that does not speak HTTP",
        bench.ports[0]
    );
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    assert!(run.stderr.contains("stop it, or choose other ports with `-p P1 P2`"), "{}", run.stderr);
}

#[test]
fn a_lmcache_config_that_is_not_there() {
    let (_, run) = failing("sim::engine(#{ lmcache: \"nowhere.yaml\" });");
    assert!(drawing(&run).contains("there is no file `nowhere.yaml`"), "{}", run.stderr);
}

#[test]
fn requests_that_fail_fail_the_test() {
    let (bench, run) = failing(
        "run(load::dummy(#{ requests: 2, gap_s: 0, context_len: 5000, max_tokens: 2 }), [sim::engine(#{ max_model_len: 1000 })]);",
    );
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(
        run.stdout.contains("FAILED: `sim` answers every request: 2 of 2 failed: HTTP 400: "),
        "{}",
        run.stdout
    );
    let rows = bench.rows("out/test_a.csv");
    assert!(rows.iter().all(|row| row["TTFT"].is_empty() && row["http_status"] == "400"), "{rows:?}");
}
