//! The progress of a run as lines. Knows neither the terminal nor the time of day.

use super::columns::{self, Column, Group};
use super::tally::{Measure, Tally};
use crate::core::result::row::engine_label;
use crate::core::{Distribution, EngineProgress, Event, ExperimentStart, StartedEngine, least_n};
use crate::driver::clock::Stamp;
use crate::driver::text::printable;

/// The current state of the run.
#[derive(Debug, Default)]
pub struct View {
    test: Option<(String, Stamp)>,
    experiment: Option<(usize, String)>,
    starting: Vec<Starting>,
    running: Option<Running>,
}

/// An engine or a helper that is not ready yet.
#[derive(Debug)]
struct Starting {
    name: String,
    port: u16,
    since: Stamp,
    awaited: String,
    last_line: Option<String>,
}

/// An experiment whose requests are under way.
#[derive(Debug)]
struct Running {
    start: ExperimentStart,
    progress: Vec<EngineProgress>,
    tallies: Vec<Tally>,
}

impl View {
    /// Notes what happened `now`.
    pub fn take(&mut self, event: &Event, now: Stamp) {
        match event {
            Event::TestStarted { test } => {
                *self = Self {
                    test: Some((test.clone(), now)),
                    ..Self::default()
                }
            }
            Event::TestDone { .. } => *self = Self::default(),
            Event::ExperimentPlanned { expr_id, title, .. } => {
                self.experiment = Some((*expr_id, title.clone()));
            }
            Event::EngineStarting { name, port, .. } => {
                self.starts(name, *port, now, "it was started", None);
            }
            Event::EngineWaiting {
                name,
                port,
                elapsed_s,
                awaited,
                last_line,
            } => {
                self.starts(
                    name,
                    *port,
                    now.plus_s(-elapsed_s),
                    awaited,
                    last_line.as_deref(),
                );
            }
            Event::EngineReady { port, .. } | Event::EngineClosed { port, .. } => {
                self.starting.retain(|engine| engine.port != *port);
            }
            Event::ExperimentStarted(start) => {
                self.starting.clear();
                self.running = Some(Running {
                    start: start.clone(),
                    progress: vec![EngineProgress::default(); start.engines.len()],
                    tallies: start.engines.iter().map(|_| Tally::default()).collect(),
                });
            }
            Event::ExperimentProgress(progress) => {
                if let Some(running) = &mut self.running {
                    running.progress.clone_from(progress);
                }
            }
            Event::RequestDone { row, .. } => {
                let tally = self
                    .running
                    .as_mut()
                    .and_then(|running| running.tallies.get_mut(row.engine_id));
                if let Some(tally) = tally {
                    tally.take(row);
                }
            }
            Event::ExperimentDone(_) => (self.running, self.experiment) = (None, None),
            _ => {}
        }
    }

    /// The lines of a terminal of this width; none while nothing goes on.
    pub fn screen(&mut self, now: Stamp, width: usize, color: bool) -> Vec<String> {
        let Some(head) = self.head(now) else {
            return Vec::new();
        };
        let mut lines = vec![console::truncate_str(&head, width, "…").into_owned()];
        lines.extend(
            self.starting
                .iter()
                .flat_map(|engine| engine.lines(now, color)),
        );
        lines.extend(
            self.running
                .iter_mut()
                .flat_map(|running| running.lines(now, width, color)),
        );
        lines
    }

    /// The same in whole lines, for where nothing can be written over.
    pub fn plain(&mut self, now: Stamp) -> Vec<String> {
        let starting = self.starting.iter().map(|engine| engine.plain(now));
        starting
            .chain(
                self.running
                    .iter_mut()
                    .flat_map(|running| running.plain(now)),
            )
            .collect()
    }

    fn head(&mut self, now: Stamp) -> Option<String> {
        const SPIN: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        const TURN_S: f64 = 0.25;
        let since = self.test.as_ref().map(|(_, since)| *since);
        let passed_s = now
            .since_s(since.or(self.running.as_ref().map(|running| running.start.start))?)
            .max(0.0);
        let spin = SPIN[(passed_s / TURN_S) as usize % SPIN.len()];
        let test = self.test.as_ref().map(|(test, _)| test.clone());
        let experiment = self
            .experiment
            .as_ref()
            .map(|(id, _)| format!("experiment {id}"));
        let state = match (&mut self.running, &self.experiment) {
            (Some(running), _) => running.left(now),
            (None, Some(_)) if self.starting.is_empty() => Some("getting ready to send".into()),
            _ => None,
        };
        let title = match (&self.running, &self.experiment) {
            (Some(running), _) => Some(running.start.title.clone()),
            (None, experiment) => experiment.as_ref().map(|(_, title)| title.clone()),
        };
        let parts = [
            test,
            experiment,
            Some(format!("{passed_s:.0} s")),
            state,
            title,
        ];
        Some(format!(
            "{spin} {}",
            parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
        ))
    }

    fn starts(
        &mut self,
        name: &str,
        port: u16,
        since: Stamp,
        awaited: &str,
        last_line: Option<&str>,
    ) {
        let last_line = last_line.map(printable);
        match self.starting.iter_mut().find(|engine| engine.port == port) {
            Some(engine) => (engine.awaited, engine.last_line) = (printable(awaited), last_line),
            None => self.starting.push(Starting {
                name: name.into(),
                port,
                since,
                awaited: printable(awaited),
                last_line,
            }),
        }
    }
}

impl Starting {
    fn lines(&self, now: Stamp, color: bool) -> Vec<String> {
        let said = self
            .last_line
            .as_ref()
            .map(|line| dim(&format!("    {line}"), color));
        std::iter::once(self.state(now)).chain(said).collect()
    }

    fn plain(&self, now: Stamp) -> String {
        let said = self
            .last_line
            .as_ref()
            .map_or_else(String::new, |line| format!("; it says: {line}"));
        self.state(now) + said.as_str()
    }

    fn state(&self, now: Stamp) -> String {
        format!(
            "  {}: starting for {:.0} s, {}",
            self.name,
            now.since_s(self.since).max(0.0),
            self.awaited
        )
    }
}

impl Running {
    /// Returns the remaining time, if it can be estimated.
    fn left(&mut self, now: Stamp) -> Option<String> {
        let left_s = self.left_s(now.since_s(self.start.start).max(0.0))?;
        let rounded = || format!("about {left_s:.0} s left");
        Some(if left_s > 0.0 {
            rounded()
        } else {
            "waiting for the last answers".into()
        })
    }

    /// Returns the seconds until the last request is sent, and then until it is answered, if
    /// requests have planned times.
    fn left_s(&mut self, passed_s: f64) -> Option<f64> {
        /// Fewer say little of how many are answered in a second.
        const ENOUGH: usize = 10;
        let ended: usize = self.tallies.iter().map(Tally::ended).sum();
        let each_s = passed_s / ended as f64;
        let Some(planned_s) = self.start.planned_s else {
            let planned: usize = self.start.engines.iter().map(|engine| engine.planned).sum();
            return (ended > 0).then(|| each_s * planned.saturating_sub(ended) as f64);
        };
        if ended >= ENOUGH {
            let running: usize = self
                .progress
                .iter()
                .map(|progress| progress.in_flight)
                .sum();
            return Some((planned_s - passed_s).max(0.0) + each_s * running as f64);
        }
        let latencies_s = self
            .tallies
            .iter_mut()
            .filter_map(|tally| tally.latency.values().percentile(50.0));
        Some(planned_s - passed_s + latencies_s.fold(0.0, f64::max))
    }

    fn lines(&mut self, now: Stamp, width: usize, color: bool) -> Vec<String> {
        let names: Vec<String> = self.start.engines.iter().map(name).collect();
        let lines = columns::draw(&names, self.groups(now.since_s(self.start.start)), width);
        let failed: Vec<bool> = self.tallies.iter().map(|tally| tally.failed > 0).collect();
        let painted = lines.into_iter().map(|(row, line)| match row {
            None => dim(&line, color),
            Some(row) if failed[row] => paint(&line, 31, color),
            Some(_) => line,
        });
        painted.collect()
    }

    fn groups(&mut self, passed_s: f64) -> Vec<Group> {
        let planned = self.start.engines.iter();
        let planned = planned.map(|engine| engine.planned.to_string()).collect();
        let mut sent = Vec::new();
        let mut in_flight = Vec::new();
        let mut gpu_mib = Vec::new();
        for progress in &self.progress {
            sent.push(progress.sent.to_string());
            in_flight.push(progress.in_flight.to_string());
            gpu_mib.push(progress.gpu_mib.map_or_else(none, |mib| mib.to_string()));
        }
        let tallies = &mut self.tallies;
        vec![
            vec![
                Column::new("planned", planned),
                Column::new("sent", sent),
                Column::new("running", in_flight),
                column("done", tallies, |tally| tally.ok.to_string()),
                column("failed", tallies, |tally| tally.failed.to_string()),
            ],
            vec![
                column("TTFT p50", tallies, |tally| median(tally.ttft.values())),
                tail(["p99", "max"], tallies, |tally| &mut tally.ttft, seconds),
                column("latency p50", tallies, |tally| {
                    median(tally.latency.values())
                }),
                tail(["p99", "max"], tallies, |tally| &mut tally.latency, seconds),
            ],
            vec![
                column("total tokens/s", tallies, |tally| {
                    rate(tally.output_tokens, passed_s)
                }),
                column("cached", tallies, |tally| {
                    percent(tally.cached_share.value())
                }),
                Column::new("GPU MiB", gpu_mib),
                tail(
                    ["lag p99", "lag max"],
                    tallies,
                    |tally| &mut tally.send_lag,
                    milliseconds,
                ),
            ],
        ]
    }

    fn plain(&mut self, now: Stamp) -> Vec<String> {
        let left = self
            .left(now)
            .map_or_else(String::new, |left| format!("; {left}"));
        let engines = self.start.engines.iter().zip(&self.progress);
        let mut lines = Vec::new();
        for ((engine, progress), tally) in engines.zip(&mut self.tallies) {
            lines.push(format!(
                "  {}: {} of {} sent, {} running, {} done, {} failed; TTFT p50 {}, latency p50 \
                 {}{left}",
                name(engine),
                progress.sent,
                engine.planned,
                progress.in_flight,
                tally.ok,
                tally.failed,
                median(tally.ttft.values()),
                median(tally.latency.values()),
            ));
        }
        lines
    }
}

/// The engine's name, marked if it is simulated.
fn name(engine: &StartedEngine) -> String {
    engine_label(&engine.name, engine.simulated)
}

fn none() -> String {
    "-".into()
}

/// Three digits, as far as they are behind the point.
fn seconds(value: f64) -> String {
    let decimals = if value < 10.0 { 3 } else { 1 };
    format!("{value:.decimals$} s")
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

fn median(seen: &Distribution) -> String {
    seen.percentile(50.0).map_or_else(none, seconds)
}

fn column(head: &'static str, tallies: &mut [Tally], of: impl Fn(&mut Tally) -> String) -> Column {
    Column::new(head, tallies.iter_mut().map(of).collect())
}

/// The 99th percentiles of one measure; the maxima of all engines if one has too few values.
fn tail(
    heads: [&'static str; 2],
    tallies: &mut [Tally],
    measure: fn(&mut Tally) -> &mut Measure,
    number: fn(f64) -> String,
) -> Column {
    let are_enough = tallies
        .iter_mut()
        .all(|tally| measure(tally).values().count() >= least_n(99.0));
    let [p99, max] = heads;
    let (head, p) = if are_enough {
        (p99, 99.0)
    } else {
        (max, 100.0)
    };
    column(head, tallies, |tally| {
        measure(tally)
            .values()
            .percentile(p)
            .map_or_else(none, number)
    })
}

/// Before the first request is due there is none.
fn rate(tokens: u64, passed_s: f64) -> String {
    if passed_s > 0.0 {
        format!("{:.0}", tokens as f64 / passed_s)
    } else {
        none()
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(none, |value| format!("{:.0} %", value * 100.0))
}

fn dim(text: &str, color: bool) -> String {
    paint(text, 2, color)
}

fn paint(text: &str, code: u8, color: bool) -> String {
    if color {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests;
