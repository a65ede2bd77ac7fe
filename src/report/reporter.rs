//! The one consumer of a run's events.

use super::live::Watch;
use super::manifest::{Manifest, RunFacts};
use super::outputs::Outputs;
use super::rows::Rows;
use super::screen::{Verbosity, result_width};
use super::tables::{self, TestLine};
use crate::core::{Code, Event, ExperimentResult, Outcome, Row};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

/// The function of a script that tests nothing. What it says is its result.
pub const MAIN: &str = "main";

/// Turns events into files and onto the screen.
pub struct Reporter {
    outputs: Outputs,
    facts: RunFacts,
    watch: Watch,
    cancel: CancellationToken,
    test: Option<Test>,
    lines: Vec<TestLine>,
    warnings: Vec<String>,
    written: BTreeSet<PathBuf>,
    broken: Option<std::io::Error>,
}

/// The test that runs now.
struct Test {
    name: String,
    manifest: Manifest,
    rows: Option<Rows>,
}

impl Reporter {
    /// A reporter that cancels the run when results can no longer be written.
    ///
    /// # Errors
    /// Fails if the system gives no thread for the screen.
    pub fn new(
        outputs: Outputs,
        facts: RunFacts,
        cancel: CancellationToken,
        verbosity: Verbosity,
    ) -> std::io::Result<Self> {
        let (lines, warnings, written) = Default::default();
        let watch = Watch::new(verbosity, cancel.clone())?;
        Ok(Self {
            outputs,
            facts,
            watch,
            cancel,
            test: None,
            lines,
            warnings,
            written,
            broken: None,
        })
    }

    /// Works until the run is done; returns its gravest failure.
    pub fn work(mut self, events: &Receiver<Event>) -> Option<Code> {
        while let Some(event) = self.watch.next(events) {
            self.take(event);
        }
        self.close()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::SessionStarted { name } => {
                let manifest = Manifest::of_session(self.facts.clone(), name.clone());
                self.begin(name, manifest);
            }
            Event::Awaited { shown, aside } => self.watch.screen.lend(aside, shown),
            Event::Resumed => self.watch.screen.resume(),
            Event::TestStarted { test } => self.test_started(test),
            Event::EngineStarting {
                name,
                port,
                argv,
                container,
                log,
            } => {
                self.watch
                    .screen
                    .note(&format!("  {name}: {}", shell(&argv)));
                if let Some(container) = container {
                    self.watch
                        .screen
                        .note(&format!("  {name}: in the container {container}"));
                }
                self.watch
                    .screen
                    .note(&format!("  {name}: port {port}, tail -f {}", log.display()));
                self.written.insert(log);
            }
            Event::EngineFound { name, url } => {
                self.watch.screen.note(&format!(
                    "  {name}: {url}, which is neither started nor ended"
                ));
            }
            Event::EngineReady { name, after_s, .. } => {
                self.watch
                    .screen
                    .note(&format!("  {name}: ready after {after_s:.1} s"));
            }
            Event::EngineClosed { name, took_s, .. } => {
                self.watch
                    .screen
                    .note(&format!("  {name}: closed in {took_s:.1} s"));
            }
            Event::ExperimentPlanned {
                expr_id,
                title,
                workload,
                engines,
                requests,
            } => {
                self.watch
                    .screen
                    .note(&format!("experiment {expr_id}: {title}"));
                let planned = self.on_test(|test, outputs| {
                    test.manifest.add(expr_id, workload, requests, engines);
                    // Results of an earlier run stay until a row is there to replace them.
                    if test.rows.is_none() && outputs.is_free(&test.name) {
                        test.open(outputs)?;
                    }
                    test.keep(outputs)
                });
                self.note_broken(planned);
            }
            Event::ExperimentStarted(start) => {
                let planned = start
                    .planned_s
                    .map(|planned_s| format!(" for {planned_s:.1} s"));
                self.watch
                    .screen
                    .note(&format!("  sending{}", planned.unwrap_or_default()));
            }
            Event::RequestDone { row, .. } => {
                self.keep_row(&row);
                self.watch.request(&row);
            }
            Event::ExperimentDone(seen) => {
                self.note(|manifest| manifest.end_experiment(&seen));
                self.experiment_done(&seen);
            }
            Event::Checked { passed, what } => self.checked(passed, what),
            Event::Printed { text } => self.watch.screen.result(&text),
            Event::Warned { text } => self.warned(text),
            Event::EngineWaiting { .. } | Event::ExperimentProgress(_) | Event::RunDone => {} // shown by the watch
            Event::TestDone {
                test,
                outcome,
                took_s,
            } => self.test_done(test, outcome, took_s),
        }
    }

    fn test_started(&mut self, test: String) {
        if test != MAIN {
            self.watch.screen.result(&format!("\n{test}"));
        }
        let manifest = Manifest::new(self.facts.clone(), test.clone());
        self.begin(test, manifest);
    }

    fn begin(&mut self, name: String, manifest: Manifest) {
        self.test = Some(Test {
            name,
            manifest,
            rows: None,
        });
    }

    /// Writes a row. Stops after the first failure: a file with missing rows must not look complete.
    fn keep_row(&mut self, row: &Row) {
        if self.broken.is_some() {
            return;
        }
        let mut moved = None;
        let written = self.on_test(|test, outputs| {
            if test.rows.is_none() {
                moved = outputs.move_aside(&test.name)?;
                test.open(outputs)?;
                test.keep(outputs)?;
            }
            test.rows.as_mut().map_or(Ok(()), |rows| rows.write(row))
        });
        if let Some(folder) = moved {
            self.watch.screen.note(&format!(
                "  results of an earlier run moved to {}",
                folder.display()
            ));
        }
        self.note_broken(written);
    }

    fn checked(&mut self, passed: bool, what: String) {
        let screen = &self.watch.screen;
        if !passed || !screen.is_quiet() {
            screen.result(&format!("  {}: {what}", screen.verdict(passed)));
        }
        self.note(|manifest| manifest.add_check(passed, what));
    }

    fn warned(&mut self, text: String) {
        self.watch.screen.warn(&text);
        self.warnings.push(text.clone());
        self.note(|manifest| manifest.add_warning(text));
    }

    fn experiment_done(&mut self, seen: &ExperimentResult) {
        let screen = &self.watch.screen;
        screen.result(&format!(
            "{}\n{}",
            seen.title,
            tables::experiment(seen, result_width())
        ));
        for engine in &seen.engines {
            for (failure, times) in engine.failures() {
                self.warned(format!("{}: {times} × {failure}", engine.name));
            }
        }
    }

    /// Writes into the rows of the test whether their experiments are valid.
    fn judge_rows(&mut self) {
        if self.broken.is_some() {
            return;
        }
        let judged = self.on_test(|test, _| {
            let valid = test.manifest.judged();
            test.rows.as_mut().map_or(Ok(()), |rows| rows.judge(&valid))
        });
        self.note_broken(judged);
    }

    fn test_done(&mut self, test: String, outcome: Outcome, took_s: f64) {
        self.judge_rows();
        let outcome = self.or_broken(outcome);
        self.note(|manifest| manifest.end(&outcome, took_s));
        let screen = &self.watch.screen;
        if let Outcome::Failed { report, .. } = &outcome
            && !report.is_empty()
        {
            screen.fault(report);
        }
        let Some(done) = self.test.take() else { return };
        if done.is_plain_script() && outcome == Outcome::Passed {
            return;
        }
        screen.result(&format!(
            "{} {test}",
            screen.verdict(outcome == Outcome::Passed)
        ));
        let [passed_checks, failed_checks] =
            [true, false].map(|passed| done.manifest.checks(passed));
        match &done.rows {
            Some(rows) => self
                .written
                .extend([rows.path().to_owned(), self.outputs.manifest(&test)]),
            None if done.manifest.has_experiments() => {
                let csv = self.outputs.csv(&test);
                screen.note(&format!(
                    "  no request was measured: {} is of an earlier run",
                    csv.display()
                ));
            }
            None => {}
        }
        self.lines.push(TestLine {
            test,
            outcome,
            passed_checks,
            failed_checks,
            took_s,
        });
    }

    /// Whoever cancelled a run whose results cannot be kept, it was lmrun itself.
    fn or_broken(&self, outcome: Outcome) -> Outcome {
        match (outcome, &self.broken) {
            (
                Outcome::Failed {
                    code: Code::Interrupted,
                    report,
                    ..
                },
                Some(error),
            ) => Outcome::Failed {
                code: Code::Invalid,
                summary: error.to_string(),
                report,
            },
            (outcome, _) => outcome,
        }
    }

    /// Notes something in the manifest of the test, and writes it.
    fn note(&mut self, note: impl FnOnce(&mut Manifest)) {
        let kept = self.on_test(|test, outputs| {
            note(&mut test.manifest);
            test.keep(outputs)
        });
        self.note_broken(kept);
    }

    fn on_test(
        &mut self,
        work: impl FnOnce(&mut Test, &Outputs) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        self.test
            .as_mut()
            .map_or(Ok(()), |test| work(test, &self.outputs))
    }

    /// Results that cannot be kept are not worth measuring: the run ends.
    fn note_broken(&mut self, result: std::io::Result<()>) {
        let Err(error) = result else { return };
        if self.broken.is_none() {
            let text = format!("{error}; the run ends here, earlier rows are kept");
            self.broken = Some(error);
            self.cancel.cancel();
            self.warned(text);
        }
    }

    fn close(mut self) -> Option<Code> {
        self.judge_rows(); // of a session at the prompt, which has no other end
        let is_script =
            matches!(&self.lines[..], [line] if line.test == MAIN && line.has_no_check());
        if !self.lines.is_empty() && (!is_script || !self.written.is_empty()) {
            self.conclude();
        }
        let code = |line: &TestLine| match line.outcome {
            Outcome::Passed => None,
            Outcome::Failed { code, .. } => Some(code),
        };
        let gravest = self.lines.iter().filter_map(code).max();
        if self.broken.is_some() {
            Some(Code::Invalid)
        } else {
            gravest
        }
    }

    /// Everything that a reader wants to know who has not watched.
    fn conclude(&mut self) {
        let screen = &self.watch.screen;
        screen.result(&format!("\n{}", tables::run(&self.lines, result_width())));
        if !self.warnings.is_empty() {
            let lines: Vec<String> = self
                .warnings
                .iter()
                .map(|text| format!("\n  {text}"))
                .collect();
            screen.note(&format!("warnings:{}", lines.concat()));
        }
        if !self.written.is_empty() {
            screen.result(&paths(&self.written, self.outputs.folder()));
        }
    }
}

/// The paths of what was written, and what to do with them.
fn paths(written: &BTreeSet<PathBuf>, folder: &Path) -> String {
    let lines = written.iter().map(|path| format!("  {}\n", path.display()));
    format!(
        "written:\n{}the whole report: lmrun report {}",
        lines.collect::<String>(),
        folder.display()
    )
}

impl Test {
    /// Returns true if it neither measured nor checked anything, so that its output is its result.
    fn is_plain_script(&self) -> bool {
        self.name == MAIN
            && self.rows.is_none()
            && self.manifest.checks(true) + self.manifest.checks(false) == 0
    }

    /// Creates the CSV of the test.
    fn open(&mut self, outputs: &Outputs) -> std::io::Result<()> {
        self.rows = Some(Rows::create(outputs.csv(&self.name))?);
        outputs.mark_latest();
        Ok(())
    }

    /// Writes the manifest, where the test has files at all.
    fn keep(&self, outputs: &Outputs) -> std::io::Result<()> {
        self.rows.as_ref().map_or(Ok(()), |_| {
            self.manifest.write(&outputs.manifest(&self.name))
        })
    }
}

/// A command as a shell would take it.
fn shell(argv: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    let word = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let argv = ["serve", "--json", r#"{"a": "it's"}"#, ""].map(String::from);
        assert_eq!(shell(&argv), r#"serve --json '{"a": "it'\''s"}' ''"#);
    }
}
