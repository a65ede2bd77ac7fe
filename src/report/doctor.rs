//! The screen of `lmrun doctor`.

use super::screen::{Screen, Verbosity};
use crate::core::{Finding, FindingState};
use std::fmt::Write;
use tokio_util::sync::CancellationToken;

/// Returns the findings by section, each with its advice. Lines have at most `columns` columns.
pub fn draw(findings: &[Finding], color: bool, columns: Option<usize>) -> String {
    let width = findings
        .iter()
        .map(|finding| finding.name.len())
        .max()
        .unwrap_or(0);
    let margin = " ".repeat(2 + MARK + 1 + width + 2);
    let room = columns.map_or(usize::MAX, |columns| {
        columns.saturating_sub(margin.len()).max(NARROWEST)
    });
    let mut text = String::new();
    let mut section = "";
    for finding in findings {
        if finding.section != section {
            section = finding.section;
            // Writing into memory cannot fail.
            let _ = writeln!(text, "{}{section}", if text.is_empty() { "" } else { "\n" });
        }
        let remedy = finding.remedy.iter().map(|remedy| format!("→ {remedy}"));
        let texts = std::iter::once(finding.found.clone()).chain(remedy);
        let lines: Vec<String> = texts.flat_map(|text| wrap(&text, room)).collect();
        let mark = mark(finding.state, color);
        let _ = writeln!(
            text,
            "  {mark} {:width$}  {}",
            finding.name,
            lines.join(&format!("\n{margin}"))
        );
    }
    text
}

/// The width of the mark before a finding.
const MARK: usize = 4;
/// The minimum width of the text. In a narrower terminal, the terminal breaks the lines.
const NARROWEST: usize = 30;

/// Wraps a text at `room` columns. Words stay whole, so that paths can be copied.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let options = textwrap::Options::new(room).break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    let options = options.word_separator(textwrap::WordSeparator::AsciiSpace);
    textwrap::wrap(text, options)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect()
}

/// Returns the width of the terminal, if standard output is one.
pub fn columns() -> Option<usize> {
    console::Term::stdout()
        .size_checked()
        .map(|(_, columns)| columns.into())
}

/// Shows a text on the terminal until the screen is dropped.
pub fn wait(what: &str) -> Option<Screen> {
    let screen = Screen::new(Verbosity::Usual, CancellationToken::new()).ok()?;
    screen.draw(&[what.to_owned()]);
    Some(screen)
}

/// Returns the findings as JSON.
pub fn json(findings: &[Finding]) -> String {
    serde_json::to_string_pretty(findings).unwrap_or_default() // texts and names: it can be written
}

fn mark(state: FindingState, color: bool) -> String {
    let (word, code) = match state {
        FindingState::Good => ("ok  ", 32),
        FindingState::Absent => ("-   ", 2),
        FindingState::Poor => ("poor", 33),
        FindingState::Blocking => ("FAIL", 31),
    };
    if color {
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    } else {
        word.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(
        section: &'static str,
        name: &str,
        state: FindingState,
        found: &str,
        remedy: Option<&str>,
    ) -> Finding {
        Finding {
            section,
            name: name.into(),
            state,
            found: found.into(),
            remedy: remedy.map(Into::into),
        }
    }

    #[test]
    fn one_screen() {
        let findings = [
            finding("machine", "cores", FindingState::Good, "16", None),
            finding(
                "machine",
                "disk",
                FindingState::Blocking,
                "0.0 GiB free in /data",
                Some("make room"),
            ),
            finding("GPUs", "driver", FindingState::Good, "560.35", None),
            finding(
                "GPUs",
                "gpu 0",
                FindingState::Poor,
                "X, 10 of 80 MiB free",
                Some("in use by python (process 7)"),
            ),
            finding(
                "programs",
                "sglang",
                FindingState::Absent,
                "no `sglang` on the PATH",
                Some("`pip install sglang`"),
            ),
        ];
        insta::assert_snapshot!(draw(&findings, false, None), @r"
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
        assert!(draw(&findings, true, None).contains("\u{1b}[31mFAIL\u{1b}[0m disk"));
        let narrow = draw(&findings, false, Some(50));
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 50),
            "{narrow}"
        );
        assert!(
            narrow.contains("               → in use by python (process 7)\n"),
            "{narrow}"
        );
        let read: serde_json::Value = serde_json::from_str(&json(&findings)).expect("JSON");
        assert_eq!(read[1]["state"], "blocking");
        assert_eq!(read[0].get("remedy"), None);
    }
}
