//! How a test went, as its manifest tells it: for the page and for the PDF.

use crate::figure::{Sheet, SheetLine};
use serde::Serialize;
use serde_json::Value;

/// A verdict, and what led to it.
#[derive(Serialize)]
pub struct Verdict {
    /// The verdict itself; a session at the prompt has none.
    pub head: Option<Said>,
    /// Each check, and behind them the warnings.
    pub lines: Vec<Said>,
}

/// Something that is marked by a word.
#[derive(Serialize)]
pub struct Said {
    /// The word.
    pub word: &'static str,
    /// Whether it is bad news.
    pub bad: bool,
    /// What it is about.
    pub text: String,
    /// Where, or how much; less important.
    pub aside: Option<String>,
}

impl Verdict {
    /// What a manifest tells; `None` where it has nothing to tell.
    pub fn of(manifest: &Value) -> Option<Self> {
        let checks = manifest.get("checks")?.as_array()?;
        let several = manifest["experiments"]
            .as_array()
            .is_some_and(|all| all.len() > 1);
        let warnings = manifest["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let lines = checks
            .iter()
            .map(|check| of_check(check, several))
            .chain(warnings.map(of_warning));
        let verdict = Self {
            head: head(manifest, checks.len()),
            lines: lines.collect(),
        };
        Some(verdict).filter(|verdict| verdict.head.is_some() || !verdict.lines.is_empty())
    }

    /// The same as a sheet of paper.
    pub fn sheet(&self, title: &str) -> Sheet {
        let line = |said: &Said| {
            let aside = said
                .aside
                .as_ref()
                .map_or_else(String::new, |aside| format!(" ({aside})"));
            SheetLine {
                word: said.word.into(),
                is_strong: said.bad,
                text: format!("{}{aside}", said.text),
            }
        };
        Sheet {
            title: title.into(),
            lines: self.head.iter().chain(&self.lines).map(line).collect(),
        }
    }
}

fn head(manifest: &Value, checks: usize) -> Option<Said> {
    let took = manifest["took_s"]
        .as_f64()
        .map(|took_s| format!("{took_s:.1} s"));
    let said = |word, bad, text| {
        Some(Said {
            word,
            bad,
            text,
            aside: took,
        })
    };
    let Some(outcome) = manifest.get("outcome") else {
        return said(
            "did not end",
            true,
            "lmrun still runs, or was killed".into(),
        );
    };
    match (outcome["passed"].as_bool()?, checks) {
        (true, 0) => said("passed", false, "nothing was checked".into()),
        (true, _) => said("passed", false, "every check holds".into()),
        (false, _) => {
            let summary = outcome["summary"].as_str().unwrap_or_default();
            said(
                "FAILED",
                true,
                format!("{summary}; exit code {}", outcome["code"]),
            )
        }
    }
}

fn of_check(check: &Value, several: bool) -> Said {
    let passed = check["passed"] == true;
    let after = check["expr_id"]
        .as_u64()
        .filter(|_| several)
        .map(|id| format!("after experiment {id}"));
    let text = check["what"].as_str().unwrap_or_default().to_owned();
    Said {
        word: if passed { "passed" } else { "FAILED" },
        bad: !passed,
        text,
        aside: after,
    }
}

fn of_warning(text: &str) -> Said {
    Said {
        word: "warning",
        bad: true,
        text: text.into(),
        aside: None,
    }
}
