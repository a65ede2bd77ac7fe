//! `lmrun report`: the page in a browser, and the text of the PDF.

use crate::common::results::{FAILED, page, page_with, results};
use crate::common::{Finished, finish};
use crate::need::{CHROMIUM, PDFTOTEXT, trial};
use libtest_mimic::Trial;
use std::process::{Command, Stdio};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(pdf_contains_text, &[PDFTOTEXT]),
        trial(browser_shows_the_page_without_console_messages, &[CHROMIUM]),
    ]
}

/// Returns the output of a program.
fn shown_by(program: &str, args: &[&str]) -> Finished {
    finish(Command::new(program).args(args).stdin(Stdio::null()))
}

fn pdf_contains_text() {
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

fn browser_shows_the_page_without_console_messages() {
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
