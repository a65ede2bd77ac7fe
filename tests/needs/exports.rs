//! `lmrun export`, read back with the code of the tools that it exports for.

use crate::common::{Sandbox, finish, lmrun, root};
use crate::need::{AIPERF, GUIDELLM, VLLM, engines, trial};
use libtest_mimic::Trial;
use std::path::Path;
use std::process::Command;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(vllm_computes_equal_numbers, &[VLLM]),
        trial(guidellm_computes_equal_metrics, &[GUIDELLM]),
        trial(aiperf_computes_equal_statistics, &[AIPERF]),
    ]
}

/// Answers of 1 to 20 tokens, several at a time.
const SCRIPT: &str = r#"
import "std/load" as load;
import "std/sim" as sim;
fn test_a() {
    let flags = #{ "ttft-s": 0.1, "itl-s": 0.01 };
    let work = load::random(#{ requests: 30, qps: 10, arrivals: "poisson", input_len: 200, output_len: #{ uniform: [1, 20] } });
    run(work, [sim::engine(#{ flags: flags })]);
}
"#;

/// Exports a run to a tool's format; returns what the tool's Python says of the file and of the rows.
fn read_back(tool: &str, python: &Path, reader: &str) -> String {
    let sandbox = Sandbox::new().file("t.rhai", SCRIPT);
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    let (csv, export) = (sandbox.path("out/test_a.csv"), sandbox.path("export.json"));
    let mut command = lmrun();
    command
        .arg("export")
        .arg(&csv)
        .args(["--to", tool, "-o"])
        .arg(&export);
    let exported = finish(&mut command);
    exported.assert_code(0);
    let mut command = Command::new(python);
    command
        .arg("-I")
        .arg(root().join("tests/needs/exports").join(reader))
        .arg(&export)
        .arg(&csv);
    let read = finish(&mut command);
    read.assert_code(0);
    read.stdout
}

fn vllm_computes_equal_numbers() {
    let said = read_back("vllm", &engines().join("vllm/bin/python"), "vllm_result.py");
    assert!(said.contains("20 numbers are vLLM's own"), "{said}");
}

fn guidellm_computes_equal_metrics() {
    let said = read_back(
        "guidellm",
        &engines().join("guidellm/bin/python"),
        "guidellm_report.py",
    );
    assert!(said.contains("1205 numbers are guidellm's own"), "{said}");
}

fn aiperf_computes_equal_statistics() {
    let said = read_back(
        "aiperf",
        &engines().join("aiperf/bin/python"),
        "aiperf_result.py",
    );
    assert!(said.contains("75 numbers are aiperf's own"), "{said}");
}
