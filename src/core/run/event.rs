//! The events of a run, for the code that shows or stores them.

use crate::core::run::progress::EngineProgress;
use crate::core::run::send::EngineRun;
use crate::core::{EngineSpec, ExperimentResult, Row};
use crate::driver::clock::Stamp;
use crate::driver::http::Exchange;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender};

/// The only thing between running and reporting.
#[derive(Clone, Debug)]
pub enum Event {
    /// A session at a prompt begins; its experiments are kept as those of a test.
    SessionStarted {
        /// The name of its files.
        name: String,
    },
    /// The prompt waits until everything before this is shown, and then reads from the terminal.
    Awaited {
        /// Receives a message when that is so.
        shown: Sender<()>,
        /// Receives the texts to show until [`Event::Resumed`]; without it, the terminal stays free.
        aside: Option<SyncSender<String>>,
    },
    /// The prompt has read: the terminal is free again.
    Resumed,
    /// A test begins.
    TestStarted {
        /// The test function.
        test: String,
    },
    /// The process of an engine was started.
    EngineStarting {
        /// The engine.
        name: String,
        /// Its port.
        port: u16,
        /// Its command.
        argv: Vec<String>,
        /// The container that it runs in, in words.
        container: Option<String>,
        /// Its standard output.
        log: PathBuf,
    },
    /// An engine was there before; its process is not this program's.
    EngineFound {
        /// The engine.
        name: String,
        /// The URL of the engine.
        url: String,
    },
    /// An engine is still not ready.
    EngineWaiting {
        /// The engine.
        name: String,
        /// Its port.
        port: u16,
        /// Since its start, seconds.
        elapsed_s: f64,
        /// The condition that is not met yet.
        awaited: String,
        /// The last line of its log.
        last_line: Option<String>,
    },
    /// An engine is ready.
    EngineReady {
        /// The engine.
        name: String,
        /// Its port.
        port: u16,
        /// Since its start, seconds.
        after_s: f64,
    },
    /// An engine and everything that came from it has ended.
    EngineClosed {
        /// The engine.
        name: String,
        /// Its port.
        port: u16,
        /// The time that it took, seconds.
        took_s: f64,
    },
    /// An experiment was planned; its engines start next.
    ExperimentPlanned {
        /// Its number within the test, from 0.
        expr_id: usize,
        /// Its workload, in words.
        title: String,
        /// The workload's config.
        workload: serde_json::Value,
        /// Its engines.
        engines: Vec<EngineSpec>,
        /// Requests to each engine.
        requests: usize,
    },
    /// The first requests of an experiment are about to be sent.
    ExperimentStarted(ExperimentStart),
    /// The progress of a running experiment, of each engine; sent about ten times per second.
    ExperimentProgress(Vec<EngineProgress>),
    /// A request was answered or has failed.
    RequestDone {
        /// Its row in the CSV.
        row: Box<Row>,
        /// The moments of its chunks.
        exchange: Box<Exchange>,
    },
    /// All requests of an experiment have ended.
    ExperimentDone(Box<ExperimentResult>),
    /// A claim was checked.
    Checked {
        /// True if the check passed.
        passed: bool,
        /// The claim and what was seen.
        what: String,
    },
    /// A script printed.
    Printed {
        /// The text.
        text: String,
    },
    /// Something that the reader of the results must know.
    Warned {
        /// The text.
        text: String,
    },
    /// There is nothing to come.
    RunDone,
    /// A test ended.
    TestDone {
        /// The test function.
        test: String,
        /// The outcome of the test.
        outcome: Outcome,
        /// The time that it took, seconds.
        took_s: f64,
    },
}

/// An experiment whose requests are about to be sent.
#[derive(Clone, Debug)]
pub struct ExperimentStart {
    /// The workload, in words.
    pub(crate) title: String,
    /// The start.
    pub(crate) start: Stamp,
    /// The time from the start to the last planned request, seconds; `None` if answers decide it.
    pub(crate) planned_s: Option<f64>,
    /// The engines, in the order of the experiment.
    pub(crate) engines: Vec<StartedEngine>,
}

/// An engine of an experiment.
#[derive(Clone, Debug)]
pub(crate) struct StartedEngine {
    /// The engine's name.
    pub(crate) name: Arc<str>,
    /// True if the engine is a simulator.
    pub(crate) simulated: bool,
    /// The number of planned requests.
    pub(crate) planned: usize,
}

impl ExperimentStart {
    /// Describes the experiment of `runs`, which share one workload.
    pub(crate) fn new(title: &str, runs: &[EngineRun]) -> Self {
        let first = runs.first();
        let engines = runs.iter().map(|run| StartedEngine {
            name: run.context.engine.clone(),
            simulated: run.context.simulated,
            planned: run.requests.len(),
        });
        Self {
            title: title.into(),
            start: first.map_or_else(Stamp::now, |run| run.context.start),
            planned_s: first.and_then(EngineRun::planned_s),
            engines: engines.collect(),
        }
    }
}

/// The outcome of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every claim holds.
    Passed,
    /// It did not pass.
    Failed {
        /// The kind of failure.
        code: Code,
        /// The failure in a line, without its drawing.
        summary: String,
        /// The failure as it is shown.
        report: String,
    },
}

impl Outcome {
    /// A failure without a drawing.
    pub(crate) fn failed(code: Code, summary: String) -> Self {
        Self::Failed {
            code,
            summary,
            report: String::new(),
        }
    }

    /// The kind of failure, if it failed.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Passed => None,
            Self::Failed { code, .. } => Some(*code),
        }
    }
}

/// Kinds of failure, as exit codes. The largest concern of a run decides its exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A claim does not hold, or the script failed.
    Check,
    /// The measurement is invalid.
    Invalid,
    /// An engine could not be started, or died.
    Engine,
    /// The run was interrupted.
    Interrupted,
}

impl Code {
    /// The exit code.
    pub fn exit(self) -> u8 {
        match self {
            Self::Check => 1,
            Self::Engine => 3,
            Self::Invalid => 5,
            Self::Interrupted => 130,
        }
    }
}
