//! Processes that are always owned: started in a session of their own, watched, and ended
//! with everything that came from them.

use super::logs::{Log, Logs};
use super::tree::{ProcessId, descendants};
use super::watchdog::{Leash, Program, Refusal, Reports, Watchdogs, Watched};
use super::{leftovers, program, secrets, starter, strays};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;

/// What to start, and where its output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments; no shell looks at them.
    pub argv: Vec<String>,
    /// Added to the environment, also where it is taken out of the inherited one.
    pub env: BTreeMap<String, String>,
    /// Taken out of the inherited environment: names, and starts of names that end in `*`.
    pub unset: Vec<String>,
    /// Where standard output goes; appended to.
    pub stdout: PathBuf,
    /// Where standard error goes; appended to.
    pub stderr: PathBuf,
}

/// Why a process could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// No such program.
    #[error("the program `{program}` was not found")]
    NotFound {
        /// Its name.
        program: String,
    },
    /// The program is there, and what runs it is not.
    #[error("the interpreter that the first line of `{program}` names is not on this machine")]
    NoInterpreter {
        /// Its name.
        program: String,
    },
    /// The system refused.
    #[error("the system refuses `{program}`: {source}")]
    Refused {
        /// Its name.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody would end it if this program were killed.
    #[error("lmrun cannot start its watchdog: {0}")]
    Watchdog(std::io::Error),
    /// No log file.
    #[error("cannot write the log {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StartError {
    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => {
                "install it, put it on the PATH, or name another: `lmrun doctor` says what this machine has"
            }
            Self::NoInterpreter { .. } => {
                "install what its first line (`#!…`) names, or correct that line"
            }
            Self::Refused { .. } => {
                "give a program that may be run: a file, executable (`chmod +x`), of this machine"
            }
            Self::Watchdog(_) => "see what the system says: too many processes, or no memory?",
            Self::Log { .. } => "choose another folder with `--log-dir`",
        }
    }
}

/// How long a process may take over each step of its end, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Graces {
    /// After the interrupt.
    pub interrupt_s: f64,
    /// After the request to terminate.
    pub terminate_s: f64,
}

impl Default for Graces {
    fn default() -> Self {
        Self {
            interrupt_s: 5.0,
            terminate_s: 5.0,
        }
    }
}

/// After SIGKILL only a process stuck in the kernel is left.
pub(super) const KILL_S: f64 = 10.0;

/// The number of times that a dropped process is checked before it is left to its watchdog, and the time
/// between two.
const DROP_LOOKS: usize = 100;
const DROP_LOOK: Duration = Duration::from_millis(5);

/// A started process. Dropping it kills it, and all that came from it.
pub struct Process {
    leader: i32,
    watchdog: ProcessId,
    leash: Mutex<Option<Leash>>,
    end: watch::Receiver<Option<String>>,
    is_gone: watch::Receiver<bool>,
    logs: Logs,
}

impl Process {
    /// Starts `line`. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the program or its log files are not to be had.
    pub async fn start(line: &CommandLine, watchdogs: &Watchdogs) -> Result<Self, StartError> {
        let program = line.argv.first().cloned().unwrap_or_default();
        secrets::learn(
            line.env
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        secrets::learn_flags(&line.argv);
        let (stdout, to_stdout) = open_log(&line.stdout)?;
        let (stderr, to_stderr) = open_log(&line.stderr)?;
        let refused = |refusal| match refusal {
            Refusal::Watchdog(source) => StartError::Watchdog(source),
            Refusal::Program(source) if source.kind() == std::io::ErrorKind::NotFound => {
                if is_there(&program) {
                    StartError::NoInterpreter {
                        program: program.clone(),
                    }
                } else {
                    StartError::NotFound {
                        program: program.clone(),
                    }
                }
            }
            Refusal::Program(source) => StartError::Refused {
                program: program.clone(),
                source,
            },
        };
        let started = watchdogs
            .start(line.program(), to_stdout.into(), to_stderr.into())
            .await;
        let Watched {
            leader,
            watchdog,
            leash,
            reports,
        } = started.map_err(refused)?;
        let logs = Logs([stdout, stderr]);
        let (ended, end) = watch::channel(None);
        let (gone, is_gone) = watch::channel(false);
        tokio::spawn(follow(watchdog, reports, logs.clone(), ended, gone));
        Ok(Self {
            leader,
            watchdog,
            leash: Mutex::new(Some(leash)),
            end,
            is_gone,
            logs,
        })
    }

    /// The end of the process, once it has ended. A caller can wait for it without holding the process.
    pub fn end(&self) -> watch::Receiver<Option<String>> {
        self.end.clone()
    }

    /// What it writes.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Those alive of it and of all that came from it.
    pub fn members(&self) -> Vec<i32> {
        descendants([self.watchdog.pid])
            .into_iter()
            .map(|process| process.pid)
            .collect()
    }

    /// Ends it: interrupt, then terminate, then kill, each with its grace, until nothing that
    /// came from it lives. Returns the process ids that survived even that.
    pub async fn close(&self, graces: Graces) -> Vec<i32> {
        let ladder = [
            (Signal::SIGINT, graces.interrupt_s),
            (Signal::SIGTERM, graces.terminate_s),
        ];
        for (signal, grace_s) in ladder.into_iter().take_while(|_| !*self.is_gone.borrow()) {
            self.signal(signal);
            self.is_gone_within(grace_s).await;
        }
        self.leash.lock().take(); // now the watchdog kills
        let is_gone = self.is_gone_within(KILL_S).await;
        self.remove_secrets().await;
        if is_gone { Vec::new() } else { self.members() }
    }

    /// Waits until all processes that came from it have ended; returns false after `limit_s` seconds.
    async fn is_gone_within(&self, limit_s: f64) -> bool {
        let mut is_gone = self.is_gone.clone();
        let gone = is_gone.wait_for(|is_gone| *is_gone);
        tokio::time::timeout(Duration::from_secs_f64(limit_s), gone)
            .await
            .is_ok()
    }

    /// Takes out of its logs what it should not have written there.
    async fn remove_secrets(&self) {
        let logs = self.logs.clone();
        let work = move || logs.0.iter().for_each(Log::remove_secrets);
        let _ = tokio::task::spawn_blocking(work).await; // a runtime that ends waits for nothing
    }

    /// Sends `signal` to the leader's group and to every member outside it, and continues those that are
    /// stopped, as they would not receive it. The watchdog does so, too.
    fn signal(&self, signal: Signal) {
        let group_of = |pid: i32| nix::unistd::getpgid(Some(Pid::from_raw(pid))).map(Pid::as_raw);
        let (inside, outside): (Vec<ProcessId>, Vec<ProcessId>) = descendants([self.watchdog.pid])
            .into_iter()
            .partition(|process| group_of(process.pid) == Ok(self.leader));
        for signal in [signal, Signal::SIGCONT] {
            // A member that has ended already needs no signal. A group without a member is not ours.
            if !inside.is_empty() {
                let _ = killpg(Pid::from_raw(self.leader), signal);
            }
            for process in &outside {
                let _ = process.signal(signal);
            }
        }
        let _ = self.watchdog.signal(Signal::SIGCONT);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.leash.lock().take(); // now the watchdog kills
        for _ in 0..DROP_LOOKS {
            if !self.watchdog.is_alive() {
                break;
            }
            std::thread::sleep(DROP_LOOK);
        }
    }
}

impl CommandLine {
    /// The variables of the inherited environment that are taken out of it.
    pub fn withheld(&self) -> Vec<String> {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut withheld: Vec<String> = names.filter(|name| self.withholds(name)).collect();
        withheld.sort();
        withheld
    }

    fn withholds(&self, name: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        self.unset.iter().any(matches) && !self.env.contains_key(name)
    }

    fn program(&self) -> Program {
        Program {
            argv: self.argv.clone(),
            env: self.env.clone(),
            unset: self.withheld(),
        }
    }
}

/// Reads the reports of a watchdog, and keeps the logs short until no process is left that writes to them.
async fn follow(
    watchdog: ProcessId,
    mut reports: Reports,
    logs: Logs,
    ended: watch::Sender<Option<String>>,
    gone: watch::Sender<bool>,
) {
    let followed = async {
        let status = reports.ended().await;
        let killed = || "its watchdog was killed, and the kernel killed it".into();
        let _ = ended.send(Some(
            status.map_or_else(killed, |status| status.to_string()),
        ));
        if !starter::collect(reports.child).await {
            // The processes that the watchdog had adopted are now children of this one.
            leftovers::end_of(watchdog).await;
            strays::end_all().await;
        }
    };
    tokio::select! {
        () = followed => {}
        never = logs.keep_short() => match never {},
    }
    let _ = gone.send(true);
}

/// A name without a `/` is looked for on the PATH only.
fn is_there(program: &str) -> bool {
    if program.contains('/') {
        Path::new(program).is_file()
    } else {
        program::find(program).is_some()
    }
}

pub(super) fn open_log(path: &Path) -> Result<(Log, File), StartError> {
    Log::open(path).map_err(|source| StartError::Log {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_withholds_names_and_prefixes_that_env_does_not_give() {
        let line = CommandLine {
            argv: Vec::new(),
            env: BTreeMap::from([("VLLM_GIVEN".into(), "1".into())]),
            unset: ["VLLM_*", "http_proxy"].map(String::from).to_vec(),
            stdout: PathBuf::new(),
            stderr: PathBuf::new(),
        };
        let withheld = ["VLLM_PORT", "VLLM_", "http_proxy"];
        assert!(withheld.iter().all(|name| line.withholds(name)));
        let kept = ["VLLM_GIVEN", "MY_VLLM_PORT", "http_proxy_2", "vllm_port"];
        assert!(!kept.iter().any(|name| line.withholds(name)));
    }
}
