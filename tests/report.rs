//! `lmrun report`: the page and the PDFs, of our own results and of other people's.
#![allow(missing_docs, reason = "a test file")]

mod common;

use common::needs::{self, CHROMIUM, PDFTOTEXT, trial};
use common::{Ran, ran};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use tempfile::TempDir;

fn main() -> ExitCode {
    needs::run(vec![
        trial(the_page_begins_with_the_verdict_and_its_checks, &[]),
        trial(what_a_manifest_does_not_tell_is_not_claimed, &[]),
        trial(names_stay_text_and_nothing_is_asked_of_a_network, &[]),
        trial(ten_thousand_requests_are_less_than_three_mebibytes, &[]),
        trial(the_originals_results_have_figures_too, &[]),
        trial(what_is_no_result_is_told_with_its_place, &[]),
        trial(the_text_of_the_pdf_is_text, &[PDFTOTEXT]),
        trial(
            a_browser_shows_it_in_both_schemes_and_widths_without_a_complaint,
            &[CHROMIUM],
        ),
    ])
}

const NAME: &str = "<script>document.title='taken'</script>";

/// A CSV with two experiments on two engines, one of which has a name that wants to be a script.
fn results(requests: usize) -> TempDir {
    let mut csv = "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory,\
                   engine,simulated,status,error,tpot_s,itl_mean_s,send_lag_s,prompt_tokens,cached_tokens,later\n"
        .to_owned();
    for i in 0..requests {
        let (experiment, engine, request) = (i % 4 / 2, i % 2, i / 4);
        let name = [NAME, "plain"][engine];
        let ttft = 0.1 + (i % 13) as f64 / 50.0;
        let _ = writeln!(
            csv,
            "{experiment},{request},{engine},{request},{ttft},40,3,{},16,\"{{\"\"gpu-0\"\":40321}}\",{name},true,ok,,0.02,\
             0.02,0.0002,8208,4096,x",
            8192 * (experiment + 1)
        );
    }
    csv += "1,99,1,99999,,,,16384,16,,plain,true,failed,it <b>broke</b>,,,,,,x\n";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("test_a.csv"), csv).expect("the CSV");
    std::fs::write(folder.path().join("notes.csv"), "a,b\n1,2\n").expect("another CSV");
    folder
}

fn report(path: &Path) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lmrun"));
    ran(&command
        .arg("report")
        .arg(path)
        .env("NO_COLOR", "1")
        .output()
        .expect("lmrun"))
}

fn page(folder: &TempDir) -> String {
    let run = report(folder.path());
    assert_eq!(run.code, 0, "{}", run.stderr);
    std::fs::read_to_string(folder.path().join("report.html")).expect("the page")
}

/// The same results beside a manifest.
fn page_with(manifest: &str) -> (TempDir, String) {
    let folder = results(40);
    std::fs::write(folder.path().join("test_a.manifest.json"), manifest).expect("the manifest");
    let page = page(&folder);
    (folder, page)
}

const FAILED: &str = r#"{
    "outcome": { "passed": false, "code": 1, "summary": "1 check failed" }, "took_s": 12.34,
    "checks": [
        { "passed": true, "what": "TTFT: <i>good</i>", "expr_id": 0 },
        { "passed": false, "what": "cached: at least 0.5, seen 0.2", "expr_id": 1 }
    ],
    "warnings": ["a & b"], "experiments": [{}, {}]
}"#;

/// The words of the part of a page that tells how a test went.
fn verdict(page: &str) -> Option<String> {
    let part = page
        .split_once("<div class=\"verdict")?
        .1
        .split_once("</div>")?
        .0;
    let words = part
        .split('<')
        .filter_map(|piece| Some(piece.split_once('>')?.1));
    Some(
        words
            .collect::<String>()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    )
}

fn the_page_begins_with_the_verdict_and_its_checks() {
    let (_folder, page) = page_with(FAILED);
    assert_eq!(
        verdict(&page).expect("a verdict"),
        "FAILED: 1 check failed; exit code 1 (12.3 s) passed TTFT: &lt;i&gt;good&lt;&#x2f;i&gt; (after experiment 0) \
         FAILED cached: at least 0.5, seen 0.2 (after experiment 1) warning a &amp; b"
    );
    assert!(
        page.find("class=\"verdict") < page.find("Simulated."),
        "it stands at the top"
    );
}

fn what_a_manifest_does_not_tell_is_not_claimed() {
    let told = |manifest: &str| verdict(&page_with(manifest).1);
    let passed = r#"{ "checks": [], "outcome": { "passed": true }, "took_s": 1.0 }"#;
    assert_eq!(
        told(passed).as_deref(),
        Some("passed: nothing was checked (1.0 s)")
    );
    let killed = r#"{ "checks": [{ "passed": true, "what": "a" }] }"#;
    assert_eq!(
        told(killed).as_deref(),
        Some("did not end: lmrun still runs, or was killed passed a")
    );
    let session = r#"{ "checks": [{ "passed": true, "what": "a" }], "outcome": null }"#;
    assert_eq!(told(session).as_deref(), Some("passed a"));
    assert_eq!(told(r#"{ "checks": [], "outcome": null }"#), None);
    assert_eq!(
        told(r#"{ "lmrun": "0.1.0", "experiments": [] }"#),
        None,
        "an older manifest"
    );
    assert_eq!(verdict(&page(&results(40))), None, "no manifest");
}

/// Returns the output of a program.
fn shown_by(program: &str, args: &[&str]) -> Ran {
    ran(&Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect(program))
}

fn names_stay_text_and_nothing_is_asked_of_a_network() {
    let page = page(&results(40));
    assert!(
        !page.contains("<script>document") && !page.contains("<b>broke"),
        "a name became markup"
    );
    assert!(
        page.contains("it &lt;b&gt;broke&lt;&#x2f;b&gt;")
            || page.contains("it &lt;b&gt;broke&lt;/b&gt;")
    );
    assert!(
        !page
            .replace("http://www.w3.org/2000/svg", "")
            .contains("http://")
            && !page.contains("https://")
    );
    let (svgs, tags) = (
        page.matches("<svg").count(),
        page.matches(">simulated</text>").count(),
    );
    assert!(
        svgs >= 18 && svgs == tags && svgs == page.matches("As a table").count(),
        "{svgs} {tags}"
    );
    for link in page
        .split("href=\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("a link"))
    {
        assert!(page.contains(&format!("id={link}>")), "no row for {link}");
    }
}

fn ten_thousand_requests_are_less_than_three_mebibytes() {
    let page = page(&results(10_000));
    assert!(page.len() < 3 << 20, "{}", page.len());
}

fn the_originals_results_have_figures_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = folder.path().join("test_old.csv");
    let rows =
        "0,0.0,0,0,0.5,30.0,4.0,8192,16,\"{\"\"gpu-0\"\": 40321}\"\n0,8.0,0,1,-1,-1,-1,8192,16,\n";
    let header = "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory\n";
    std::fs::write(&csv, format!("{header}{rows}")).expect("the CSV");
    let page = page(&folder);
    assert!(
        page.contains("engine 0")
            && page.contains("Throughput over time")
            && !page.contains("imulated.")
    );
    assert!(page.contains("no reason was recorded"));
}

fn what_is_no_result_is_told_with_its_place() {
    let folder = results(4);
    let run = report(&folder.path().join("notes.csv"));
    assert_eq!(run.code, 2);
    assert!(
        run.stderr
            .contains("notes.csv holds no results: it has no column `expr_id`"),
        "{}",
        run.stderr
    );
    let empty = tempfile::tempdir().expect("a folder");
    let run = report(empty.path());
    assert_eq!(run.code, 2);
    assert!(
        run.stderr
            .contains("expected a CSV that a run wrote, or a folder with some"),
        "{}",
        run.stderr
    );
}

fn the_text_of_the_pdf_is_text() {
    let (folder, _) = page_with(FAILED);
    let pdf = folder.path().join("test_a.pdf");
    let text = shown_by(
        "pdftotext",
        &["-layout", pdf.to_str().expect("a path"), "-"],
    );
    for words in [
        "GPU memory by experiment",
        "TTFT (s)",
        "simulated",
        "plain (simulated)",
        "<script>",
        "Requests that failed",
        "1 check failed; exit code 1 (12.3 s)",
        "TTFT: <i>good</i> (after experiment 0)",
    ] {
        assert!(
            text.stdout.contains(words),
            "no `{words}` in {}",
            text.stdout
        );
    }
}

fn a_browser_shows_it_in_both_schemes_and_widths_without_a_complaint() {
    let folder = results(40);
    page(&folder);
    let url = format!("file://{}", folder.path().join("report.html").display());
    let profile = format!(
        "--user-data-dir={}",
        folder.path().join("profile").display()
    );
    for (width, scheme) in [("400", "0"), ("400", "1"), ("1400", "0"), ("1400", "1")] {
        let size = format!("--window-size={width},900");
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let fixed = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000",
        ];
        let args = [&fixed[..], &[&profile, &size, &scheme, "--dump-dom", &url]].concat();
        let seen = shown_by("chromium", &args);
        assert!(!seen.stderr.contains("CONSOLE"), "{}", seen.stderr);
        assert!(
            seen.stdout.contains("<title>test_a</title>"),
            "a name became a script"
        );
        assert!(
            seen.stdout.matches("</svg>").count() >= 18,
            "{}",
            seen.stdout.len()
        );
    }
}
