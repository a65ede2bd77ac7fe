//! Process trees: a program and all processes that come from it, started in a session, watched
//! and closed together.

use super::logs::{LogFile, Logs};
use super::process_id::{ProcessId, descendants};
use super::watchdog::{Leash, ProgramSpec, SpawnError, WatchdogReports, Watchdogs, WatchedProgram};
use super::{leftovers, orphans, program, secrets, spawn};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgid};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;

/// A program to start, and the files for its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments. They are not passed to a shell.
    pub argv: Vec<String>,
    /// Variables added to the environment, also if `unset` names them.
    pub env: BTreeMap<String, String>,
    /// Variables removed from the inherited environment: names, and prefixes of names with a `*` at
    /// the end.
    pub unset: Vec<String>,
    /// The file that standard output is appended to.
    pub stdout: PathBuf,
    /// The file that standard error is appended to.
    pub stderr: PathBuf,
}

/// The reason why a process could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The program does not exist.
    #[error("the program `{program}` was not found")]
    NotFound {
        /// The program.
        program: String,
    },
    /// The program exists, but its interpreter does not.
    #[error("the interpreter in the first line of `{program}` was not found")]
    NoInterpreter {
        /// The program.
        program: String,
    },
    /// The system cannot run the program.
    #[error("the system cannot run `{program}`: {source}")]
    Refused {
        /// The program.
        program: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The watchdog did not start. Without it the program would survive a kill of lmrun.
    #[error("its watchdog did not start: {0}")]
    Watchdog(std::io::Error),
    /// A log file cannot be written.
    #[error("cannot write the log {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl StartError {
    /// Returns advice for the user.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => {
                "install it, add it to the PATH, or name another program; `lmrun doctor` lists \
                 what is installed"
            }
            Self::NoInterpreter { .. } => {
                "install the interpreter that the first line (`#!…`) names, or correct that line"
            }
            Self::Refused { .. } => {
                "name an executable file (`chmod +x`) that is built for this machine"
            }
            Self::Watchdog(_) => "check the limits on processes and memory",
            Self::Log { .. } => "choose another folder with `--log-dir`",
        }
    }
}

/// The grace periods of a shutdown, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Graces {
    /// The time between the interrupt and the next signal.
    pub interrupt_s: f64,
    /// The time between the request to terminate and the kill.
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

/// The time to wait after SIGKILL, seconds. Only processes stuck in the kernel take longer.
pub(super) const KILL_S: f64 = 10.0;

/// The maximum number of times that a drop checks for the watchdog's exit, and the pause between
/// two. After that the watchdog goes on alone.
const DROP_CHECKS: usize = 100;
const DROP_PAUSE: Duration = Duration::from_millis(5);

/// A started program and all processes that come from it. Dropping it kills all of them.
pub struct ProcessTree {
    leader: i32,
    watchdog: ProcessId,
    leash: Mutex<Option<Leash>>,
    exit: watch::Receiver<Option<String>>,
    all_exited: watch::Receiver<bool>,
    logs: Logs,
}

impl ProcessTree {
    /// Starts a program under a watchdog. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// Fails if the program cannot be started or its log files cannot be written.
    pub async fn start(line: &CommandLine, watchdogs: &Watchdogs) -> Result<Self, StartError> {
        secrets::register(
            line.env
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        secrets::register_flags(&line.argv);
        let (stdout, to_stdout) = open_log(&line.stdout)?;
        let (stderr, to_stderr) = open_log(&line.stderr)?;
        let WatchedProgram {
            leader,
            watchdog,
            leash,
            reports,
        } = watchdogs
            .start(line.program(), to_stdout.into(), to_stderr.into())
            .await
            .map_err(|error| line.start_error(error))?;
        let logs = Logs([stdout, stderr]);
        let (exit_sender, exit) = watch::channel(None);
        let (all_exited_sender, all_exited) = watch::channel(false);
        let follower = Follower {
            watchdog,
            reports,
            exit: exit_sender,
        };
        let shortened = logs.clone();
        tokio::spawn(async move {
            // Processes may write to the logs until the last of them has exited.
            tokio::select! {
                () = follower.follow() => {}
                never = shortened.keep_short() => match never {},
            }
            let _ = all_exited_sender.send(true);
        });
        Ok(Self {
            leader,
            watchdog,
            leash: Mutex::new(Some(leash)),
            exit,
            all_exited,
            logs,
        })
    }

    /// Returns a receiver of the program's exit status, as text. It does not borrow the tree.
    pub fn exit(&self) -> watch::Receiver<Option<String>> {
        self.exit.clone()
    }

    /// Returns the log files.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Returns the PIDs of the living processes.
    pub fn members(&self) -> Vec<i32> {
        descendants([self.watchdog.pid])
            .into_iter()
            .map(|process| process.pid)
            .collect()
    }

    /// Sends SIGINT, then SIGTERM, then SIGKILL, each with its grace period, until all processes
    /// have exited. Returns the PIDs that survived SIGKILL.
    pub async fn close(&self, graces: Graces) -> Vec<i32> {
        for (signal, grace_s) in [
            (Signal::SIGINT, graces.interrupt_s),
            (Signal::SIGTERM, graces.terminate_s),
        ] {
            if *self.all_exited.borrow() {
                break;
            }
            self.signal(signal);
            self.all_exit_within(grace_s).await;
        }
        self.leash.lock().take(); // now the watchdog kills
        let all_exited = self.all_exit_within(KILL_S).await;
        self.logs.remove_secrets().await;
        if all_exited {
            Vec::new()
        } else {
            self.members()
        }
    }

    /// Waits until all processes have exited. Returns false after `limit_s` seconds.
    async fn all_exit_within(&self, limit_s: f64) -> bool {
        let mut all_exited = self.all_exited.clone();
        let exits = all_exited.wait_for(|all_exited| *all_exited);
        tokio::time::timeout(Duration::from_secs_f64(limit_s), exits)
            .await
            .is_ok()
    }

    /// Sends `signal` to the leader's group and to every member outside it. Then continues those
    /// that are stopped, and the watchdog, as a stopped process does not receive the signal.
    fn signal(&self, signal: Signal) {
        let (inside, outside): (Vec<ProcessId>, Vec<ProcessId>) = descendants([self.watchdog.pid])
            .into_iter()
            .partition(|process| self.is_in_group(process.pid));
        for signal in [signal, Signal::SIGCONT] {
            // A group without a member may be another program's. Signals to exited members fail.
            if !inside.is_empty() {
                let _ = killpg(Pid::from_raw(self.leader), signal);
            }
            for process in &outside {
                let _ = process.signal(signal);
            }
        }
        let _ = self.watchdog.signal(Signal::SIGCONT);
    }

    fn is_in_group(&self, pid: i32) -> bool {
        getpgid(Some(Pid::from_raw(pid))) == Ok(Pid::from_raw(self.leader))
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.leash.lock().take(); // now the watchdog kills
        for _ in 0..DROP_CHECKS {
            if !self.watchdog.is_alive() {
                break;
            }
            std::thread::sleep(DROP_PAUSE);
        }
    }
}

impl CommandLine {
    /// Returns the names of the inherited variables that the program does not get, sorted.
    pub fn withheld(&self) -> Vec<String> {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut withheld: Vec<String> = names.filter(|name| self.withholds(name)).collect();
        withheld.sort();
        withheld
    }

    fn withholds(&self, name: &str) -> bool {
        !self.env.contains_key(name)
            && self
                .unset
                .iter()
                .any(|pattern| match pattern.strip_suffix('*') {
                    Some(prefix) => name.starts_with(prefix),
                    None => name == pattern,
                })
    }

    fn program(&self) -> ProgramSpec {
        ProgramSpec {
            argv: self.argv.clone(),
            env: self.env.clone(),
            unset: self.withheld(),
        }
    }

    fn start_error(&self, error: SpawnError) -> StartError {
        let program = self.argv.first().cloned().unwrap_or_default();
        match error {
            SpawnError::Watchdog(source) => StartError::Watchdog(source),
            SpawnError::Program(source) if source.kind() != std::io::ErrorKind::NotFound => {
                StartError::Refused { program, source }
            }
            SpawnError::Program(_) if exists(&program) => StartError::NoInterpreter { program },
            SpawnError::Program(_) => StartError::NotFound { program },
        }
    }
}

/// The task that waits for the exits of a program and of all processes that come from it.
struct Follower {
    watchdog: ProcessId,
    reports: WatchdogReports,
    /// Receives the program's exit status, as text.
    exit: watch::Sender<Option<String>>,
}

impl Follower {
    async fn follow(mut self) {
        let text = match self.reports.exit_status().await {
            Some(status) => status.to_string(),
            None => "its watchdog was killed, and the kernel killed it".into(),
        };
        let _ = self.exit.send(Some(text));
        if !spawn::reap(self.reports.child).await {
            // The processes that the watchdog had adopted are now children of this process.
            leftovers::kill_of(self.watchdog).await;
            orphans::kill_all().await;
        }
    }
}

/// Returns true if the program's file exists. Names without a `/` are searched for in the PATH.
fn exists(program: &str) -> bool {
    if program.contains('/') {
        Path::new(program).is_file()
    } else {
        program::find(program).is_some()
    }
}

pub(super) fn open_log(path: &Path) -> Result<(LogFile, File), StartError> {
    LogFile::open(path).map_err(|source| StartError::Log {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_withholds_names_and_prefixes_except_those_in_env() {
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
