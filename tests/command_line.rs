//! What mistakes on the command line are answered with: the nearest names, and what a flag takes.

use crate::common::{Sandbox, finish, lmrun};

/// The answer of the program in a folder with `scripts/tests.rhai` and `outputs/test_a.csv`.
fn answer(args: &[&str]) -> (i32, String) {
    let script = "fn test_prefix_cache() {}\nfn test_local_cpu() {}\nfn test_local_disk() {}\n";
    let sandbox = Sandbox::new()
        .file("scripts/tests.rhai", script)
        .file("outputs/test_a.csv", "a\n");
    let mut command = lmrun();
    let run = finish(
        command
            .args(args)
            .current_dir(sandbox.dir.path())
            .env("NO_COLOR", "1"),
    );
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

/// Whether each of these command lines is answered with its exit code and text.
fn are_answered(cases: &[(&[&str], i32, &str)]) {
    for (args, code, said) in cases {
        assert_eq!(answer(args), (*code, (*said).to_owned()), "{args:?}");
    }
}

#[test]
fn unknown_test_has_a_suggestion() {
    are_answered(&[
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
    ]);
}

#[test]
fn unknown_verb_script_or_file_has_a_suggestion() {
    are_answered(&[
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
             help: give the path of a script; `lmrun new test NAME` creates one",
        ),
        (
            &["reprot"],
            2,
            "  × cannot read the script `reprot`: No such file or directory (os error 2)\n  \
             help: did you mean `lmrun report`?",
        ),
        (
            &["reprot", "outputs/"],
            2,
            "error: unknown verb `reprot`; did you mean `lmrun report`?",
        ),
        (
            &["scripts/tests.rhai", "scripts/tests.rhai"],
            2,
            "error: expected one script, found also `scripts/tests.rhai`",
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
        (
            &["api", "load::dumy"],
            2,
            "error: unknown name `load::dumy`; did you mean `load::dummy`?",
        ),
    ]);
}

#[test]
fn many_tests_are_counted_and_not_listed() {
    let script = (0..9)
        .map(|i| format!("fn test_{i}() {{}}"))
        .collect::<Vec<_>>()
        .join("\n");
    let run = Sandbox::new()
        .file("t.rhai", &script)
        .run(&["t.rhai", "-f", "zzz"]);
    assert_eq!(
        (run.code, run.stderr.trim_end()),
        (
            4,
            "error: no test matches `zzz`; `lmrun t.rhai -l` lists the 9 tests of the script"
        )
    );
}

#[test]
fn invalid_flag_values_show_what_is_expected() {
    const RESULTS: &str = "error: outputs/test_a.csv holds no results: it has no column `expr_id`; give a CSV of a \
                           run, with at least expr_id, timestamp, engine_id, request_id, TTFT, throughput, latency, \
                           context_len, query_len, gpu_memory";
    let url = "http://127.0.0.1:9";
    for (args, said) in [
        (
            &["t.rhai", "-p", "8000", "x"][..],
            "error: invalid value 'x' for '--ports <P1> <P2>': expected a port from 1 to 65535",
        ),
        (
            &["t.rhai", "-p", "8000"],
            "error: 2 values required for '--ports <P1> <P2>' but 1 was provided",
        ),
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
            "error: invalid value 'x' for '--seed <SEED>': expected a whole number from 0 to 9223372036854775807",
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
            "error: invalid test name `a b`: expected letters, digits and `_`, such as `prefix_cache`",
        ),
        (
            &["new", "test", "a", "-o", "nowhere/a.rhai"],
            "error: cannot write `nowhere/a.rhai`: No such file or directory (os error 2); choose another file with `-o FILE`",
        ),
        (
            &[
                "load",
                "--url",
                url,
                "--model",
                "m",
                "--rate",
                "1",
                "--rows",
                "nowhere/x",
            ],
            "error: cannot write the rows to `nowhere/x`: No such file or directory (os error 2); choose \
             another file with `--rows FILE`",
        ),
        (
            &["load", "--url", url, "--rate", "0"],
            "error: `--rate` must be greater than zero",
        ),
        (
            &["load", "--url", url, "--rate", "1", "--requests", "0"],
            "error: `--requests` must be at least one",
        ),
    ] {
        assert_eq!(answer(args), (2, said.to_owned()), "{args:?}");
    }
}

#[test]
fn invalid_sim_flags_show_what_is_expected() {
    for (args, said) in [
        (
            &["--jitter", "-1"][..],
            "error: `jitter` is -1, expected 0 or more",
        ),
        (
            &["--gpu-memory-utilization", "2"],
            "error: `gpu_memory_utilization` is 2, expected at most 1",
        ),
        (
            &["--max-num-seqs", "0"],
            "error: `max_num_seqs` is 0, expected above 0",
        ),
        (
            &["--lmcache", "a.yaml"],
            "error: cannot read the LMCache configuration `a.yaml`: No such file or directory (os error 2)",
        ),
        (
            &["--lmcache", "a.yaml", "--lmcache-mp-l1-gb", "3"],
            "error: `lmcache` and `lmcache_mp_l1_gb` exclude each other: use only one of them",
        ),
        (
            &["--host", "192.0.2.1"],
            "error: cannot listen on 192.0.2.1:8000: Cannot assign requested address (os error 99); choose others \
             with `--host` and `--port`",
        ),
        (
            &["--port", "99999"],
            "error: invalid value '99999' for '--port <PORT>': 99999 is not in 0..=65535",
        ),
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
            "error: invalid value 'refuse=200' for '--fault <FAULT>': expected an HTTP status from 400 to 599 after `refuse=`",
        ),
        (
            &["--fault", "never-ready/2"],
            "error: invalid value 'never-ready/2' for '--fault <FAULT>': expected no `/N`: this is not a fault of \
             answers",
        ),
    ] {
        let (code, answered) = answer(&[&["sim"], args].concat());
        assert_eq!((code, answered.as_str()), (2, said), "{args:?}");
    }
}
