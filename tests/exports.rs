//! `lmrun export`, read back with the code of the tools that it exports for.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::needs::{self, AIPERF, GUIDELLM, VLLM, trial};
use common::{Bench, engines, ran, root};
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    needs::run(vec![
        trial(vllm_computes_the_same_numbers, &[VLLM]),
        trial(
            guidellm_reads_the_report_and_computes_the_same_metrics,
            &[GUIDELLM],
        ),
        trial(
            aiperf_reads_the_result_and_computes_the_same_statistics,
            &[AIPERF],
        ),
    ])
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
    let bench = Bench::new().script("t.rhai", SCRIPT);
    let run = bench.run(&["t.rhai"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let (csv, export) = (bench.path("out/test_a.csv"), bench.path("export.json"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_lmrun"));
    command
        .arg("export")
        .arg(&csv)
        .args(["--to", tool, "-o"])
        .arg(&export);
    let exported = ran(&command.output().expect("lmrun"));
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let mut command = Command::new(python);
    command
        .arg("-I")
        .arg(root().join("tests/exports").join(reader))
        .arg(&export)
        .arg(&csv);
    let read = ran(&command.output().expect("Python"));
    assert_eq!(read.code, 0, "{}{}", read.stdout, read.stderr);
    read.stdout
}

fn vllm_computes_the_same_numbers() {
    let said = read_back("vllm", &engines().join("vllm/bin/python"), "vllm_result.py");
    assert!(said.contains("20 numbers are vLLM's own"), "{said}");
}

fn guidellm_reads_the_report_and_computes_the_same_metrics() {
    let said = read_back(
        "guidellm",
        &engines().join("guidellm/bin/python"),
        "guidellm_report.py",
    );
    assert!(said.contains("1205 numbers are guidellm's own"), "{said}");
}

fn aiperf_reads_the_result_and_computes_the_same_statistics() {
    let said = read_back(
        "aiperf",
        &engines().join("aiperf/bin/python"),
        "aiperf_result.py",
    );
    assert!(said.contains("75 numbers are aiperf's own"), "{said}");
}
