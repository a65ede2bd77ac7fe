//! The outcome of a test in its manifest, for the page and for the PDF.

use crate::figure::{Sheet, SheetLine};
use serde::Serialize;
use serde_json::Value;

/// The outcome of a test, its checks and its warnings.
#[derive(Serialize)]
pub(crate) struct TestOutcome {
    /// The outcome; a session at the prompt has none.
    pub(crate) head: Option<OutcomeLine>,
    /// The checks, and after them the warnings.
    pub(crate) lines: Vec<OutcomeLine>,
}

/// A line that begins with a word.
#[derive(Serialize)]
pub(crate) struct OutcomeLine {
    /// The word, such as `passed`.
    word: &'static str,
    /// True if the word is emphasized.
    bad: bool,
    /// The text.
    text: String,
    /// A less important addition to the text.
    aside: Option<String>,
}

impl TestOutcome {
    /// Reads the outcome from a manifest; `None` if it has none.
    pub(crate) fn from_manifest(manifest: &Value) -> Option<Self> {
        let checks = manifest.get("checks")?.as_array()?;
        let experiments = manifest["experiments"].as_array();
        let has_several = experiments.is_some_and(|experiments| experiments.len() > 1);
        let mut lines = Vec::new();
        for check in checks {
            let mut line = check_line(check);
            line.aside = line.aside.filter(|_| has_several);
            lines.push(line);
        }
        let warnings = manifest["warnings"].as_array().into_iter().flatten();
        for warning in warnings.filter_map(Value::as_str) {
            lines.push(OutcomeLine {
                word: "warning",
                bad: true,
                text: warning.into(),
                aside: None,
            });
        }
        let head = head(manifest, checks.len());
        (head.is_some() || !lines.is_empty()).then_some(Self { head, lines })
    }

    /// Returns the outcome as pages under a title.
    pub(crate) fn sheet(&self, title: &str) -> Sheet {
        let mut lines = Vec::new();
        for line in self.head.iter().chain(&self.lines) {
            lines.push(SheetLine {
                word: line.word.into(),
                is_strong: line.bad,
                text: match &line.aside {
                    Some(aside) => format!("{} ({aside})", line.text),
                    None => line.text.clone(),
                },
            });
        }
        Sheet {
            title: title.into(),
            lines,
        }
    }
}

fn head(manifest: &Value, checks: usize) -> Option<OutcomeLine> {
    let took_s = manifest["took_s"].as_f64();
    let mut head = OutcomeLine {
        word: "passed",
        bad: false,
        text: "every check holds".into(),
        aside: took_s.map(|took_s| format!("{took_s:.1} s")),
    };
    let Some(outcome) = manifest.get("outcome") else {
        head.word = "did not end";
        head.bad = true;
        head.text = "lmrun still runs, or was killed".into();
        return Some(head);
    };
    if !outcome["passed"].as_bool()? {
        let summary = outcome["summary"].as_str().unwrap_or_default();
        head.word = "FAILED";
        head.bad = true;
        head.text = format!("{summary}; exit code {}", outcome["code"]);
    } else if checks == 0 {
        head.text = "nothing was checked".into();
    }
    Some(head)
}

fn check_line(check: &Value) -> OutcomeLine {
    let passed = check["passed"] == true;
    OutcomeLine {
        word: if passed { "passed" } else { "FAILED" },
        bad: !passed,
        text: check["what"].as_str().unwrap_or_default().to_owned(),
        aside: check["expr_id"]
            .as_u64()
            .map(|id| format!("after experiment {id}")),
    }
}
