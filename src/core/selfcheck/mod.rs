//! How much the client of this machine adds to what it measures: the real client against a
//! simulator in a process of its own, which stamps what it writes and hands the stamps over.

mod known;
mod result;
mod step;
mod truth;

pub use known::Known;
pub use result::{Conclusion, Found, SelfCheck};
pub use step::{Step, rates, streams};

use super::workload::{
    Arrivals, Generator, Length, Random, RequestOptions, TextOptions, WorkloadConfig,
};
use super::{Engine, EngineError, EngineSpec, MAX_SEND_LAG_S, Readiness, RequestLimits};
use crate::core::engine::service::Site;
use crate::core::run::load;
use crate::driver::http::Shards;
use crate::driver::limits::max_descriptors;
use crate::driver::port;
use crate::driver::process_tree::{CommandLine, Graces, ProcessTree};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use truth::Truth;

/// What a check needs.
pub struct Checker {
    /// The client that is checked.
    pub shards: Shards,
    /// Who looks after the simulator.
    pub site: Site,
    /// Where stamps and logs go meanwhile.
    pub folder: PathBuf,
    /// This program.
    pub program: String,
    /// The word that makes it a process that is always busy.
    pub busy_word: String,
    /// Ends the check.
    pub cancel: CancellationToken,
}

/// Seconds to every first token.
const TTFT_S: f64 = 0.05;
const HOST: &str = "127.0.0.1";
const READY: Duration = Duration::from_secs(30);

impl Checker {
    /// Takes the steps of at most `up_to` streams, one after the other. After one that was not held, larger
    /// ones of its kind are left out. `tell` hears what is done next.
    ///
    /// # Errors
    /// When the simulator does not serve.
    pub async fn check(
        &self,
        up_to: usize,
        mut tell: impl FnMut(&str),
    ) -> Result<SelfCheck, EngineError> {
        let mut check = SelfCheck::of_this_machine();
        for steps in [streams(false), rates(), streams(true)] {
            for step in steps.into_iter().filter(|step| step.streams <= up_to) {
                if self.cancel.is_cancelled() {
                    return Ok(check);
                }
                if let Some(reason) = out_of_reach(&step) {
                    check.left_out.push(format!("{}: {reason}", step.title()));
                    break;
                }
                tell(&step.title());
                let found = self.take(step).await?;
                let held = found.trouble.is_none();
                check.found.push(found);
                if !held {
                    break;
                }
            }
        }
        Ok(check)
    }

    async fn take(&self, step: Step) -> Result<Found, EngineError> {
        let stamps = self.folder.join("stamps.jsonl");
        let port = port::find_free(HOST, &[]).unwrap_or_default();
        let engine =
            Engine::start(self.simulator(&step, &stamps), port, &self.site, Vec::new()).await?;
        if let Readiness::NotReady(error) = engine.wait_until_ready(READY).await {
            return Err(error);
        }
        let busy = self.make_busy(&step).await;
        let mut exchanges = HashMap::new();
        let server = engine.server(RequestLimits::default());
        let give_up = |reason: &str| engine.give_up(reason);
        let run_id = format!("selfcheck-{}", std::process::id());
        let config = workload(&step);
        let load = load::Load {
            config: &config,
            server,
            run_id,
            max_send_lag_s: MAX_SEND_LAG_S,
        };
        let seen = load::run(load, &self.shards, &self.cancel, give_up, |told| {
            if let load::Told::Ended(row, seen) = told {
                exchanges.insert(row.x_request_id.clone(), seen.clone());
            }
        })
        .await;
        for process in busy {
            process
                .close(Graces {
                    interrupt_s: 0.0,
                    terminate_s: 0.5,
                })
                .await;
        }
        engine.close().await?;
        Ok(Found::of(step, &seen, &Truth::read(&stamps), &exchanges))
    }

    fn simulator(&self, step: &Step, stamps: &std::path::Path) -> EngineSpec {
        let seqs = 2 * step.streams + 64;
        let command = format!(
            "sim --port {{port}} --model demo --ttft-s {TTFT_S} --itl-s {} --max-num-seqs {seqs} --gpu-kv-tokens {}",
            step.itl_s,
            seqs * 1_000
        );
        let mut command: Vec<String> = command.split(' ').map(Into::into).collect();
        command.insert(0, self.program.clone());
        command.extend(["--max-model-len".into(), "1000".into()]);
        command.extend(["--stamps".into(), stamps.display().to_string()]);
        let spec = json!({ "name": "sim", "kind": "sim", "model": "demo", "simulated": true, "ignore_eos": true, "command": command });
        serde_json::from_value(spec).expect("a spec in full")
    }

    /// A process for each core that never rests, where the step wants it.
    async fn make_busy(&self, step: &Step) -> Vec<ProcessTree> {
        let cores = if step.busy {
            std::thread::available_parallelism().map_or(1, usize::from)
        } else {
            0
        };
        let line = CommandLine {
            argv: vec![self.program.clone(), self.busy_word.clone()],
            env: BTreeMap::new(),
            unset: Vec::new(),
            stdout: self.folder.join("busy.log"),
            stderr: self.folder.join("busy.log"),
        };
        let mut busy = Vec::new();
        for _ in 0..cores {
            busy.extend(ProcessTree::start(&line, &self.site.watchdogs).await);
        }
        busy
    }
}

/// Files that are open beside the connections.
const BESIDE: u64 = 100;

fn out_of_reach(step: &Step) -> Option<String> {
    let (needed, allowed) = (step.streams as u64 + BESIDE, max_descriptors()?);
    (needed > allowed).then(|| {
        format!(
            "it takes {needed} open files, and the system lets lmrun have {allowed} (`ulimit -n`)"
        )
    })
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
    .expect("a workload that needs nothing")
}
