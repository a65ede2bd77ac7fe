//! Measures the error that the client of this machine adds: the real client against a simulator in
//! another process, which stamps what it writes and writes the stamps to a file.

mod calibration;
mod ground_truth;
mod result;
mod step;

pub use calibration::Calibration;
pub use result::{Conclusion, SelfCheck, StepResult};
pub use step::{Step, busy_steps, rate_steps, stream_steps};

use super::workload::{
    Arrivals, Generator, Length, Random, RequestOptions, TextOptions, WorkloadConfig,
};
use super::{Client, Engine, EngineSpec, Event, Measurement, RunError, RunOptions, TestRun};
use crate::core::engine::service::ServiceContext;
use crate::driver::limits::max_descriptors;
use crate::driver::port;
use crate::driver::process_tree::{CommandLine, Graces, ProcessTree};
use ground_truth::GroundTruth;
use result::StampedAnswers;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The parts that a check needs.
pub struct Checker {
    /// The client that is checked.
    pub(crate) client: Client,
    /// The events of the client.
    pub(crate) events: Receiver<Event>,
    /// The context of the simulator.
    pub context: ServiceContext,
    /// The folder for stamps and logs.
    pub folder: PathBuf,
    /// The path of this program.
    pub program: String,
    /// The subcommand of a process that is always busy.
    pub busy_subcommand: String,
    /// Cancels the check.
    pub cancel: CancellationToken,
}

/// The TTFT of the simulator, seconds.
const TTFT_S: f64 = 0.05;
const HOST: &str = "127.0.0.1";
const READY: Duration = Duration::from_secs(30);

impl Checker {
    /// Runs the steps of at most `max_streams` streams, one after the other. If one is not
    /// sustained, larger ones of its kind are skipped. Calls `progress` with the title of each
    /// step.
    ///
    /// # Errors
    /// Fails if the simulator does not serve.
    pub async fn check(
        &self,
        max_streams: usize,
        mut progress: impl FnMut(&str),
    ) -> Result<SelfCheck, RunError> {
        let mut check = SelfCheck::of_this_machine();
        for steps in [stream_steps(), rate_steps(), busy_steps()] {
            for step in steps.into_iter().filter(|step| step.streams <= max_streams) {
                if self.cancel.is_cancelled() {
                    return Ok(check);
                }
                if let Some(reason) = impossible(&step) {
                    check.skipped.push(format!("{}: {reason}", step.title()));
                    break;
                }
                progress(&step.title());
                let result = self.run(step).await?;
                let is_sustained = result.trouble.is_none();
                check.steps.push(result);
                if !is_sustained {
                    break;
                }
            }
        }
        Ok(check)
    }

    async fn run(&self, step: Step) -> Result<StepResult, RunError> {
        let stamps = self.folder.join("stamps.jsonl");
        let port = port::find_free(HOST, &[]).unwrap_or_default();
        let engine = Engine::start(self.simulator(&step, &stamps), port, &self.context).await?;
        engine.wait_until_ready(READY).await?;
        let busy = self.make_busy(&step).await;
        let config = workload(&step);
        let mut test = TestRun::default();
        let measurement = Measurement {
            expr_id: test.add_experiment(),
            config: &config,
            lexicon: config.lexicon.clone(),
            servers: vec![engine.server.clone()],
            options: RunOptions::default(),
            memory: None,
        };
        let measured = self.client.measure(&mut test, measurement).await;
        let mut exchanges = HashMap::new();
        for event in self.events.try_iter() {
            if let Event::RequestDone { row, exchange } = event {
                exchanges.insert(row.x_request_id, *exchange);
            }
        }
        for process in busy {
            process
                .close(Graces {
                    interrupt_s: 0.0,
                    terminate_s: 0.5,
                })
                .await;
        }
        engine.close().await?;
        let truth = GroundTruth::read(&stamps);
        let answers = StampedAnswers::new(&truth, &exchanges);
        Ok(StepResult::new(step, &measured?, &answers))
    }

    fn simulator(&self, step: &Step, stamps: &std::path::Path) -> EngineSpec {
        let seqs = 2 * step.streams + 64;
        let mut command = vec![self.program.clone()];
        command.extend(
            "sim --port {port} --model demo --max-model-len 1000"
                .split(' ')
                .map(String::from),
        );
        for (flag, value) in [
            ("--ttft-s", TTFT_S.to_string()),
            ("--itl-s", step.itl_s.to_string()),
            ("--max-num-seqs", seqs.to_string()),
            ("--gpu-kv-tokens", (seqs * 1_000).to_string()),
            ("--stamps", stamps.display().to_string()),
        ] {
            command.extend([flag.into(), value]);
        }
        let spec = json!({
            "name": "sim",
            "kind": "sim",
            "model": "demo",
            "simulated": true,
            "ignore_eos": true,
            "command": command,
        });
        serde_json::from_value(spec).expect("a complete spec")
    }

    /// Starts a busy process for each core if the step requires it.
    async fn make_busy(&self, step: &Step) -> Vec<ProcessTree> {
        let cores = if step.busy {
            std::thread::available_parallelism().map_or(1, usize::from)
        } else {
            0
        };
        let line = CommandLine {
            argv: vec![self.program.clone(), self.busy_subcommand.clone()],
            env: BTreeMap::new(),
            unset: Vec::new(),
            stdout: self.folder.join("busy.log"),
            stderr: self.folder.join("busy.log"),
        };
        let mut busy = Vec::new();
        for _ in 0..cores {
            busy.extend(ProcessTree::start(&line, &self.context.watchdogs).await);
        }
        busy
    }
}

/// The number of open files other than connections.
const OTHER_FILES: u64 = 100;

/// Returns the reason why the system does not allow a step.
fn impossible(step: &Step) -> Option<String> {
    let needed = step.streams as u64 + OTHER_FILES;
    let allowed = max_descriptors()?;
    (needed > allowed)
        .then(|| format!("it needs {needed} open files, but the limit is {allowed} (`ulimit -n`)"))
}

fn workload(step: &Step) -> WorkloadConfig {
    let generator = Generator::Random(Random {
        input_len: Length::Fixed(20),
        output_len: Some(Length::Fixed(step.tokens)),
        ..Random::default()
    });
    let arrivals = Arrivals {
        requests: Some(step.requests),
        qps: Some(step.rate),
        ..Arrivals::default()
    };
    WorkloadConfig::new(
        generator,
        arrivals,
        TextOptions::default(),
        RequestOptions::default(),
    )
    .expect("a valid workload")
}
