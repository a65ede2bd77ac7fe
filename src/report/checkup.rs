//! What was found on a machine, on one screen.

use super::screen::{Screen, Verbosity};
use crate::core::{Finding, State};
use std::fmt::Write;
use tokio_util::sync::CancellationToken;

/// The findings under their sections, with a remedy below each that needs one; lines no longer than
/// `columns`, where there is a terminal.
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
        let said = std::iter::once(finding.found.clone()).chain(remedy);
        let lines: Vec<String> = said.flat_map(|said| broken(&said, room)).collect();
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

/// Columns of the mark before a finding.
const MARK: usize = 4;
/// A column of text that is narrower is worse than lines that the terminal breaks.
const NARROWEST: usize = 30;

/// A text in lines of at most `room` columns. Words stay whole: paths are there to be copied.
fn broken(text: &str, room: usize) -> Vec<String> {
    let options = textwrap::Options::new(room).break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    let options = options.word_separator(textwrap::WordSeparator::AsciiSpace);
    textwrap::wrap(text, options)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect()
}

/// The width of the terminal, if standard output is one.
pub fn columns() -> Option<usize> {
    console::Term::stdout()
        .size_checked()
        .map(|(_, columns)| columns.into())
}

/// Says what is waited for on the terminal, if there is one, until it is dropped.
pub fn wait(what: &str) -> Option<Screen> {
    let screen = Screen::new(Verbosity::Usual, CancellationToken::new()).ok()?;
    screen.draw(&[what.to_owned()]);
    Some(screen)
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
        state: State,
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
            finding("machine", "cores", State::Good, "16", None),
            finding(
                "machine",
                "disk",
                State::Blocking,
                "0.0 GiB free in /data",
                Some("make room"),
            ),
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
