//! What was found on a machine, on one screen.

use crate::bench::{Finding, State};
use std::fmt::Write;

/// The findings under their sections, with a remedy below each that needs one.
pub fn draw(findings: &[Finding], color: bool) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut section = "";
    for finding in findings {
        if finding.section != section {
            section = finding.section;
            // Writing into memory cannot fail.
            let _ = writeln!(text, "{}{section}", if text.is_empty() { "" } else { "\n" });
        }
        let mark = mark(finding.state, color);
        let _ = writeln!(text, "  {mark} {:width$}  {}", finding.name, finding.found);
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(text, "       {:width$}  → {remedy}", "");
        }
    }
    text
}

/// The findings as JSON.
pub fn json(findings: &[Finding]) -> String {
    serde_json::to_string_pretty(findings).unwrap_or_default() // texts and names: it can be written
}

fn mark(state: State, color: bool) -> String {
    let (word, code) = match state {
        State::Good => ("ok  ", 32),
        State::Absent => ("-   ", 2),
        State::Poor => ("poor", 33),
        State::Blocking => ("FAIL", 31),
    };
    if color { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(
        section: &'static str,
        name: &str,
        state: State,
        found: &str,
        remedy: Option<&str>,
    ) -> Finding {
        Finding { section, name: name.into(), state, found: found.into(), remedy: remedy.map(Into::into) }
    }

    #[test]
    fn one_screen() {
        let findings = [
            finding("machine", "cores", State::Good, "16", None),
            finding("machine", "disk", State::Blocking, "0.0 GiB free in /data", Some("make room")),
            finding("GPUs", "driver", State::Good, "560.35", None),
            finding(
                "GPUs",
                "gpu 0",
                State::Poor,
                "X, 10 of 80 MiB free",
                Some("in use by python (process 7)"),
            ),
            finding(
                "programs",
                "sglang",
                State::Absent,
                "no `sglang` on the PATH",
                Some("`pip install sglang`"),
            ),
        ];
        insta::assert_snapshot!(draw(&findings, false), @r"
        machine
          ok   cores   16
          FAIL disk    0.0 GiB free in /data
                       → make room

        GPUs
          ok   driver  560.35
          poor gpu 0   X, 10 of 80 MiB free
                       → in use by python (process 7)

        programs
          -    sglang  no `sglang` on the PATH
                       → `pip install sglang`
        ");
        assert!(draw(&findings, true).contains("\u{1b}[31mFAIL\u{1b}[0m disk"));
        let read: serde_json::Value = serde_json::from_str(&json(&findings)).expect("JSON");
        assert_eq!(read[1]["state"], "blocking");
        assert_eq!(read[0].get("remedy"), None);
    }
}
