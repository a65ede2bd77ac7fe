//! `lmrun export`: converts results to the formats of other tools.

use super::{complain, exit, or_near, print};
use crate::core::result;
use crate::driver::text::is_printable;
use crate::report::export::{Run, Tool, export};
use crate::report::read_manifest;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  lmrun export outputs/latest/test_a.csv --to vllm --engine lmcache --experiment 0
  lmrun export outputs/latest/test_a.csv --to guidellm --engine plain -o plain.json

Each number follows the definition of the other tool and is computed from the rows of the CSV.
Values that neither the rows nor the manifest contain are omitted; `lmrun.remarks` lists them.";

/// Arguments of `lmrun export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// CSV of a test.
    #[arg(value_name = "CSV")]
    csv: PathBuf,
    /// Output format.
    #[arg(long, value_enum)]
    to: To,
    /// Engine to convert, if the CSV has several.
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Experiment to convert, by its `expr_id`, if the CSV has several.
    #[arg(long, value_name = "N")]
    experiment: Option<usize>,
    /// File to write [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The formats.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    /// Result file of `vllm runner serve`.
    Vllm,
    /// Report of guidellm, `benchmarks.json`.
    Guidellm,
    /// Summary of aiperf, `profile_export_aiperf.json`.
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

/// Writes the converted results and returns the exit code.
pub(super) fn run(args: &ExportArgs) -> u8 {
    match text(args).and_then(|text| write(args, &text)) {
        Ok(()) => exit::OK,
        Err(problem) => complain(&problem),
    }
}

fn text(args: &ExportArgs) -> Result<String, String> {
    let results = result::read(&args.csv).map_err(|e| or_near(e.to_string(), &args.csv))?;
    let source = args.csv.display().to_string();
    let run = Run::of(&source, &results, args.engine.as_deref(), args.experiment)?;
    let run = match read_manifest(&args.csv) {
        Some(manifest) => run.with_manifest(&manifest),
        None => run,
    };
    serde_json::to_string_pretty(&export(&run, args.to.into())).map_err(|e| e.to_string())
}

fn write(args: &ExportArgs, text: &str) -> Result<(), String> {
    let Some(path) = &args.output else {
        print::line(&escape_controls(text));
        return Ok(());
    };
    std::fs::write(path, format!("{text}\n"))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Escapes the characters in strings of JSON that control a terminal. The names of engines come
/// from the CSV and may contain some.
fn escape_controls(json: &str) -> String {
    let mut escaped = String::new();
    for c in json.chars() {
        if is_printable(c) || c == '\n' {
            escaped.push(c);
            continue;
        }
        let mut buffer = [0; 2];
        let units = c.encode_utf16(&mut buffer).iter();
        escaped.extend(units.map(|unit| format!("\\u{unit:04x}")));
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_in_json() {
        let json = serde_json::json!({ "engine": "a\u{1b}[31m\u{9b}\u{202e}\u{e0001}ü" });
        let pretty = serde_json::to_string_pretty(&json).expect("JSON");
        let shown = escape_controls(&pretty);
        assert!(
            shown.chars().all(|c| c == '\n' || is_printable(c)),
            "{shown}"
        );
        assert!(shown.contains("\\u202e") && shown.contains('ü'), "{shown}");
        let read: serde_json::Value = serde_json::from_str(&shown).expect("the same JSON");
        assert_eq!(read, json);
    }
}
