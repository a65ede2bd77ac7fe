//! `lmrun report`: the page, of our own results and of other people's.

use crate::common::results::{FAILED, page, page_with, report, results};

/// The words of the part of a page that tells how a test went.
fn verdict(page: &str) -> Option<String> {
    let part = page
        .split_once(r#"<div class="verdict"#)?
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

#[test]
fn page_begins_with_outcome_and_checks() {
    let (_folder, page) = page_with(FAILED);
    assert_eq!(
        verdict(&page).expect("a verdict"),
        "FAILED: 1 check failed; exit code 1 (12.3 s) passed TTFT: &lt;i&gt;good&lt;&#x2f;i&gt; (after experiment 0) \
         FAILED cached: 0.2 (required at least 0.5) (after experiment 1) warning a &amp; b"
    );
    assert!(
        page.find(r#"class="verdict"#) < page.find("Simulated."),
        "it stands at the top"
    );
}

#[test]
fn outcome_is_omitted_if_the_manifest_has_none() {
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

#[test]
fn names_are_escaped_and_no_network_is_used() {
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

#[test]
fn page_of_10000_requests_is_below_3_mib() {
    let page = page(&results(10_000));
    assert!(page.len() < 3 << 20, "{}", page.len());
}

#[test]
fn results_of_the_python_tests_have_figures() {
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

#[test]
fn report_of_other_files_is_refused() {
    let folder = results(4);
    let run = report(&folder.path().join("notes.csv"));
    run.assert_code(2);
    run.assert_stderr("notes.csv holds no results: it has no column `expr_id`");
    let empty = tempfile::tempdir().expect("a folder");
    let run = report(empty.path());
    run.assert_code(2);
    run.assert_stderr("expected a CSV that a run wrote, or a folder with some");
}
