//! `lmrun export`: results in the words of other tools.

use super::{complain, exit, or_near};
use crate::core::result;
use crate::driver::text::is_printable;
use crate::report::export::{Run, Tool, export};
use crate::report::manifest_of;
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lmrun export outputs/latest/test_a.csv --to vllm --engine lmcache --experiment 0
  lmrun export outputs/latest/test_a.csv --to guidellm --engine plain -o plain.json

Each number has the other tool's own definition, and is computed from the moments in the rows. What the \
rows and the manifest beside them do not tell is left out; `lmrun.remarks` in the output says what.";

/// Results in the words of other tools.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// The CSV of a test.
    #[arg(value_name = "CSV")]
    csv: PathBuf,
    /// Output format.
    #[arg(long, value_enum)]
    to: To,
    /// The engine, where the CSV has several.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// The experiment, where the CSV has several: its `expr_id`.
    #[arg(long, value_name = "N")]
    experiment: Option<u64>,
    /// Where to write [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The tools.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    /// The result file of `vllm bench serve`.
    Vllm,
    /// The report of guidellm, `benchmarks.json`.
    Guidellm,
    /// The summary of aiperf, `profile_export_aiperf.json`.
    Aiperf,
}

impl From<To> for Tool {
    fn from(to: To) -> Self {
        match to {
            To::Vllm => Self::Vllm,
            To::Guidellm => Self::Guidellm,
            To::Aiperf => Self::Aiperf,
        }
    }
}

/// Writes the export; returns the exit code.
pub fn run(args: &ExportArgs) -> u8 {
    match text(args).and_then(|text| write(args, &text)) {
        Ok(()) => exit::OK,
        Err(problem) => complain(&problem),
    }
}

fn text(args: &ExportArgs) -> Result<String, String> {
    let results = result::read(&args.csv).map_err(|e| or_near(e.to_string(), &args.csv))?;
    let source = args.csv.display().to_string();
    let run = Run::of(&source, &results, args.engine.as_deref(), args.experiment)?;
    let run = match manifest_of(&args.csv) {
        Some(manifest) => run.with_manifest(&manifest),
        None => run,
    };
    serde_json::to_string_pretty(&export(&run, args.to.into())).map_err(|e| e.to_string())
}

fn write(args: &ExportArgs, text: &str) -> Result<(), String> {
    let Some(path) = &args.output else {
        let _ = writeln!(std::io::stdout(), "{}", harmless(text)); // a reader that went away has read enough
        return Ok(());
    };
    std::fs::write(path, format!("{text}\n"))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// JSON with escapes for the characters that control a terminal, which all are in its strings: names of
/// engines come from the CSV.
fn harmless(json: &str) -> String {
    let escaped = |c: char| {
        if is_printable(c) || c == '\n' {
            return c.to_string();
        }
        let units: Vec<String> = c
            .encode_utf16(&mut [0; 2])
            .iter()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect();
        units.concat()
    };
    json.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_terminal_are_escaped_in_json() {
        let json = serde_json::json!({ "engine": "a\u{1b}[31m\u{9b}\u{202e}\u{e0001}ü" });
        let pretty = serde_json::to_string_pretty(&json).expect("JSON");
        let shown = harmless(&pretty);
        assert!(
            shown.chars().all(|c| c == '\n' || is_printable(c)),
            "{shown}"
        );
        assert!(shown.contains("\\u202e") && shown.contains('ü'), "{shown}");
        let read: serde_json::Value = serde_json::from_str(&shown).expect("the same JSON");
        assert_eq!(read, json);
    }
}
