//! Results read back: by scripts, with figures, and in the words of other tools.

use crate::common::{Finished, Sandbox, finish, root};

/// Two experiments of the Python tests; a request that failed has -1 three times.
const ORIGINAL: &str = r#"expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory
0,0.0,0,0,0.5,20.0,1.5,8192,16,"{""gpu-0"": 2048, ""gpu-1"": 1024}"
0,0.0,1,0,1.0,10.0,3.0,8192,16,"{""gpu-0"": 2048, ""gpu-1"": 1024}"
0,1.0,0,1,0.1,40.0,0.5,8192,16,"{""gpu-0"": 2048, ""gpu-1"": 1024}"
0,1.0,1,1,-1,-1,-1,8192,16,"{""gpu-0"": 2048, ""gpu-1"": 1024}"
1,0.0,0,0,0.7,20.0,1.7,16384,16,"{""gpu-0"": 4096, ""gpu-1"": 1024}"
1,0.0,1,0,2.0,10.0,4.0,16384,16,"{""gpu-0"": 4096, ""gpu-1"": 1024}"
"#;

fn sandbox() -> Sandbox {
    Sandbox::new().file("original.csv", ORIGINAL)
}

fn shipped(name: &str) -> String {
    root().join("outputs").join(name).display().to_string()
}

#[test]
fn script_without_tests_runs_main() {
    let script = r#"
import "std/results" as results;

fn main() {
    let rows = results::read(param("file", "original.csv"));
    print(`${rows.count} rows, ${results::answered(rows).count} answered`);
    for group in rows.group("expr_id") { print(`${group.key}: ${group.rows.measure("TTFT").p50}`); }
    let cached = rows.filter(|row| row.engine_id == 0);
    let plain = rows.filter(|row| row.engine_id == 1);
    let both = cached.join(plain, ["expr_id", "request_id"]);
    let both = both.add_column("times", |row| if row.TTFT_other == () { () } else { row.TTFT_other / row.TTFT });
    print(both.column("times"));
    print((cached + plain).sorted("latency").rows[1].latency);
    print(results::read_all(["original.csv", "original.csv"]).count);
}
"#;
    let sandbox = sandbox().file("a.rhai", script);
    let ran = sandbox.run(&["a.rhai"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let expected = "6 rows, 5 answered\n0: 0.5\n1: 1.35\n[2.0, 2.857142857142857]\n0.5\n12\n";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn error_in_main_is_shown_at_its_line() {
    let script = r#"
        import "std/results" as results;
        fn main() { results::read("original.csv").column("TTTF") }
    "#;
    let ran = sandbox().file("a.rhai", script).run(&["a.rhai"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "FAILED main\n"));
    ran.assert_stderr("unknown column `TTTF`");
    ran.assert_stderr("did you mean `TTFT`?");
    let missing = sandbox()
        .file("a.rhai", &script.replace("original", "other"))
        .run(&["a.rhai"]);
    missing.assert_stderr("No such file");
}

#[test]
fn script_with_tests_does_not_run_main() {
    let script = r#"
        fn main() { print("main"); }
        fn test_a() { print("a"); }
    "#;
    let sandbox = Sandbox::new().file("a.rhai", script);
    let ran = sandbox.run(&["a.rhai"]);
    assert!(
        ran.stdout.contains("passed test_a") && !ran.stdout.contains("main"),
        "{}",
        ran.stdout
    );
    assert_eq!(sandbox.run(&["a.rhai", "-f", "nothing"]).code, 4);
}

#[test]
fn process_result_draws_the_figures_of_the_python_tests() {
    let sandbox = sandbox();
    let ran = sandbox.run(&[&shipped("process_result.rhai"), "-P", "file=original.csv"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "5 figures of 6 requests in original.pdf\n"),
        "{}",
        ran.stderr
    );
    let pdf = std::fs::read(sandbox.path("original.pdf")).expect("the PDF");
    assert!(pdf.starts_with(b"%PDF-"), "a PDF");
}

#[test]
fn process_redis_compares_with_and_without_cache() {
    let ran = sandbox().run(&[&shipped("process_redis.rhai"), "-P", "file=original.csv"]);
    // Latencies 1.5, 0.5, 1.7 and 3.0, 4.0; TTFTs 0.5, 0.1, 0.7 and 1.0, 2.0; 1 / throughput.
    let expected = "latency mean s, cache; latency mean s, none; latency p90 s, cache; latency p90 s, none; \
        TTFT mean s, cache; TTFT mean s, none; ITL mean s, cache; ITL mean s, none\n\
        1.2333; 3.5; 1.66; 3.9; 0.4333; 1.5; 0.0417; 0.1\n";
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, expected),
        "{}",
        ran.stderr
    );
}

#[test]
fn plot_save_chooses_the_format_by_extension() {
    let script = r#"
import "std/plot" as plot;
fn figure() { plot::bars(#{ names: ["8k", "16k"], y: "TTFT (s)", series: [#{ name: "a<b", y: [1.5, ()] }] }) }
fn test_svg() { plot::save("a.svg", figure()); }
fn test_two() { plot::save("a.svg", [figure(), figure()]); }
fn test_png() { plot::save("a.png", figure()); }
fn test_lengths() { plot::lines(#{ series: [#{ name: "a", x: [1, 2], y: [1] }] }); }
fn test_option() { plot::cdf(#{ tilte: "a", series: [] }); }
"#;
    let sandbox = Sandbox::new().file("a.rhai", &script.replace("fn figure", "private fn figure"));
    let ran = sandbox.run(&["a.rhai"]);
    ran.assert_code(1);
    let svg = sandbox.read("a.svg");
    assert!(
        svg.starts_with("<svg ") && svg.contains("a&lt;b") && svg.contains("1.5"),
        "{svg}"
    );
    for problem in [
        "cannot write a.svg: expected one figure, found 2",
        "unsupported format of `a.png`: expected .svg or .pdf",
        "series `a`: `x` has length 2 but `y` has length 1",
        "unknown option `tilte` of `plot::cdf`",
    ] {
        assert!(ran.stderr.contains(problem), "{problem}: {}", ran.stderr);
    }
}

#[test]
fn export_of_a_run() {
    let script = r#"
import "std/load" as load;
import "std/sim" as sim;
fn test_exported() {
    run(load::dummy(#{ requests: 3, context_len: 50, query_len: 8, gap_s: 0.05, max_tokens: 4 }), [sim::engine()]);
}
"#;
    let sandbox = Sandbox::new().file("a.rhai", script);
    assert_eq!(sandbox.run(&["a.rhai"]).code, 0);
    let ran = exported(&sandbox, &["out/test_exported.csv", "--to", "vllm"]);
    let export: serde_json::Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr));
    let rows = sandbox.rows("out/test_exported.csv");
    let number = |row: &std::collections::HashMap<String, String>, column: &str| {
        row[column].parse::<f64>().expect("a number")
    };
    let mean = rows
        .iter()
        .map(|row| number(row, "first_chunk_s") - number(row, "sent_s"))
        .sum::<f64>()
        / 3.0
        * 1e3;
    assert!(
        (export["mean_ttft_ms"].as_f64().expect("a mean") - mean).abs() < 1e-6,
        "{mean} in {export}"
    );
    assert_eq!(
        (&export["completed"], &export["lmrun"]["simulated"]),
        (&3.into(), &true.into())
    );
    // From the manifest beside the CSV.
    assert_eq!(
        (&export["request_rate"], &export["backend"]),
        (&20.0.into(), &"openai-chat".into())
    );
    assert_eq!(export["max_concurrency"], serde_json::Value::Null);
    let ran = exported(
        &sandbox,
        &[
            "out/test_exported.csv",
            "--to",
            "aiperf",
            "-o",
            "aiperf.json",
        ],
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert!(sandbox.read("aiperf.json").contains(r#""request_latency""#));
    let ran = exported(
        &sandbox,
        &["out/test_exported.csv", "--to", "guidellm", "--engine", "x"],
    );
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            2,
            "error: out/test_exported.csv has no engine `x`; `--engine` takes `sim`\n"
        )
    );
    assert_eq!(exported(&sandbox, &["absent.csv", "--to", "vllm"]).code, 2);
}

fn exported(sandbox: &Sandbox, args: &[&str]) -> Finished {
    finish(sandbox.lmrun(&["export"]).args(args))
}
