//! The one consumer of a run's events.

use super::manifest::{Manifest, RunFacts};
use super::outputs::{Outputs, Rows};
use super::screen::Screen;
use super::tables::{self, TestLine};
use crate::bench::{Code, Event, Outcome, Seen};
use std::sync::mpsc::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

/// Turns events into files and onto the screen.
pub struct Reporter {
    outputs: Outputs,
    facts: RunFacts,
    screen: Screen,
    cancel: CancellationToken,
    test: Option<Test>,
    lines: Vec<TestLine>,
    broken: Option<std::io::Error>,
}

/// The test that runs now.
struct Test {
    name: String,
    manifest: Manifest,
    rows: Option<Rows>,
    planned: usize,
    done: usize,
    failed: usize,
}

impl Reporter {
    /// A reporter that cancels the run when results can no longer be written.
    pub fn new(outputs: Outputs, facts: RunFacts, cancel: CancellationToken) -> Self {
        let (screen, lines) = (Screen::new(), Vec::new());
        Self { outputs, facts, screen, cancel, test: None, lines, broken: None }
    }

    /// Works until the run is done; returns its gravest failure.
    pub fn work(mut self, events: &Receiver<Event>) -> Option<Code> {
        for event in events.iter().take_while(|event| !matches!(event, Event::RunDone)) {
            self.take(event);
        }
        self.close()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::SessionStarted { name } => self.begin(name),
            Event::Awaited { shown } => self.all_is_shown(&shown),
            Event::TestStarted { test } => self.test_started(test),
            Event::EngineStarting { name, port, argv, container, log } => {
                self.screen.note(&format!("  {name}: {}", shell(&argv)));
                if let Some(container) = container {
                    self.screen.note(&format!("  {name}: in the container {container}"));
                }
                self.screen.note(&format!("  {name}: port {port}, tail -f {}", log.display()));
            }
            Event::EngineFound { name, url } => {
                self.screen.note(&format!("  {name}: {url}, which is neither started nor ended"));
            }
            Event::EngineWaiting { name, elapsed_s, awaited, last_line } => {
                let said = last_line.map_or_else(String::new, |line| format!("; it says: {line}"));
                self.screen.progress(&format!("  {name}: starting for {elapsed_s:.0} s, {awaited}{said}"));
            }
            Event::EngineReady { name, after_s, .. } => {
                self.screen.progress_done();
                self.screen.note(&format!("  {name}: ready after {after_s:.1} s"));
            }
            Event::EngineClosed { name, took_s, .. } => {
                self.screen.note(&format!("  {name}: closed in {took_s:.1} s"));
            }
            Event::ExperimentPlanned { expr_id, title, workload, engines, requests } => {
                self.screen.note(&format!("experiment {expr_id}: {title}"));
                let engine_count = engines.len();
                let planned = self.on_test(|test, outputs| {
                    test.manifest.add(expr_id, workload, requests, engines);
                    test.planned = requests * engine_count;
                    (test.done, test.failed) = (0, 0);
                    test.open(outputs)
                });
                self.note_broken(planned);
            }
            Event::ExperimentStarted { planned_s } => {
                let planned =
                    planned_s.map_or_else(String::new, |planned_s| format!(" for {planned_s:.1} s"));
                self.screen.note(&format!("  sending{planned}"));
                self.show_requests();
            }
            Event::RequestDone(row) => {
                // Rows behind a gap would pass for all that there were.
                let keeps = self.broken.is_none();
                let written = self.on_test(|test, _| {
                    test.done += 1;
                    test.failed += usize::from(!row.is_ok());
                    test.rows.as_mut().filter(|_| keeps).map_or(Ok(()), |rows| rows.write(&row))
                });
                self.note_broken(written);
                self.show_requests();
            }
            Event::ExperimentDone(seen) => {
                let kept = self.on_test(|test, outputs| {
                    test.manifest.add_client(seen.client.clone());
                    test.open(outputs)
                });
                self.note_broken(kept);
                self.experiment_done(&seen);
            }
            Event::Checked { passed, what } => {
                let verdict = self.screen.verdict(passed);
                self.screen.result(&format!("  {verdict}: {what}"));
            }
            Event::Printed { text } => self.screen.result(&text),
            Event::Warned { text } => self.screen.warn(&text),
            Event::RunDone => {}
            Event::TestDone { test, outcome, took_s } => self.test_done(test, outcome, took_s),
        }
    }

    fn all_is_shown(&mut self, shown: &Sender<()>) {
        self.screen.clear();
        let _ = shown.send(()); // who no longer waits needs no answer
    }

    fn test_started(&mut self, test: String) {
        self.screen.result(&format!("\n{test}"));
        self.begin(test);
    }

    fn begin(&mut self, test: String) {
        self.outputs.clear(&test);
        let manifest = Manifest::new(self.facts.clone(), test.clone());
        self.test = Some(Test { name: test, manifest, rows: None, planned: 0, done: 0, failed: 0 });
    }

    fn show_requests(&mut self) {
        if let Some(test) = &self.test {
            let text = format!("  {} of {} requests done, {} failed", test.done, test.planned, test.failed);
            self.screen.progress(&text);
        }
    }

    fn experiment_done(&mut self, seen: &Seen) {
        self.screen.progress_done();
        self.screen.result(&format!("{}\n{}", seen.title, tables::experiment(seen)));
        for engine in &seen.engines {
            for (failure, times) in engine.failures() {
                self.screen.warn(&format!("{}: {times} × {failure}", engine.name));
            }
        }
    }

    fn test_done(&mut self, test: String, outcome: Outcome, took_s: f64) {
        self.screen.progress_done();
        if let Outcome::Failed { report, .. } = &outcome
            && !report.is_empty()
        {
            self.screen.note(report);
        }
        self.screen.result(&format!("{} {test}", self.screen.verdict(outcome == Outcome::Passed)));
        let csv = self.test.take().and_then(|test| Some(test.rows?.path().to_owned()));
        self.lines.push(TestLine { test, outcome, took_s, csv });
    }

    fn on_test(
        &mut self,
        work: impl FnOnce(&mut Test, &Outputs) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        self.test.as_mut().map_or(Ok(()), |test| work(test, &self.outputs))
    }

    /// Results that cannot be kept are not worth measuring: the run ends.
    fn note_broken(&mut self, result: std::io::Result<()>) {
        let Err(error) = result else { return };
        if self.broken.is_none() {
            self.screen.warn(&format!("{error}; the run ends here, earlier rows are kept"));
            self.broken = Some(error);
            self.cancel.cancel();
        }
    }

    fn close(self) -> Option<Code> {
        if !self.lines.is_empty() {
            self.screen.result(&format!("\n{}", tables::run(&self.lines)));
        }
        let code = |line: &TestLine| match line.outcome {
            Outcome::Passed => None,
            Outcome::Failed { code, .. } => Some(code),
        };
        let gravest = self.lines.iter().filter_map(code).max();
        if self.broken.is_some() { Some(Code::Invalid) } else { gravest }
    }
}

impl Test {
    /// Makes the test's files, before its first engine starts.
    fn open(&mut self, outputs: &Outputs) -> std::io::Result<()> {
        if self.rows.is_none() {
            self.rows = Some(Rows::create(outputs.csv(&self.name))?);
        }
        self.manifest.write(&outputs.manifest(&self.name))
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
