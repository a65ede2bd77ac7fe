//! Processes that are always owned: started in a session of their own, watched, and ended
//! with everything that came from them.

use super::family::{Family, reap};
use super::watchdog::Watchdog;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;

/// What to start, and where its output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments; no shell looks at them.
    pub argv: Vec<String>,
    /// Added to the environment, also where it is taken out of the inherited one.
    pub env: BTreeMap<String, String>,
    /// Taken out of the inherited environment.
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
    /// The system refused.
    #[error("cannot start `{program}`: {source}")]
    Refused {
        /// Its name.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No log file.
    #[error("cannot write the log {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
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
        Self { interrupt_s: 5.0, terminate_s: 5.0 }
    }
}

/// After SIGKILL only a process stuck in the kernel is left.
pub(super) const KILL_S: f64 = 10.0;

/// A started process. Dropping it kills it, and all that came from it.
pub struct Process {
    family: Mutex<Family>,
    exit: watch::Receiver<Option<ExitStatus>>,
    logs: [(PathBuf, u64); 2],
    watchdog: Arc<Watchdog>,
}

impl Process {
    /// Starts `line`. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the program or its log files are not to be had.
    pub fn start(line: &CommandLine, watchdog: &Arc<Watchdog>) -> Result<Self, StartError> {
        let program = line.argv.first().cloned().unwrap_or_default();
        let (stdout, stdout_start) = log_file(&line.stdout)?;
        let (stderr, stderr_start) = log_file(&line.stderr)?;
        let mut command = std::process::Command::new(&program);
        for name in &line.unset {
            command.env_remove(name);
        }
        command.args(&line.argv[1..]).envs(&line.env).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        in_own_session(&mut command);
        let refused = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => StartError::NotFound { program: program.clone() },
            _ => StartError::Refused { program: program.clone(), source },
        };
        let mut child = tokio::process::Command::from(command).spawn().map_err(refused)?;
        let leader = child.id().unwrap_or_default() as i32;
        watchdog.add(leader).map_err(refused)?;
        let (exited, exit) = watch::channel(None);
        tokio::spawn(async move { exited.send(child.wait().await.ok()) });
        Ok(Self {
            family: Mutex::new(Family::of(leader)),
            exit,
            logs: [(line.stdout.clone(), stdout_start), (line.stderr.clone(), stderr_start)],
            watchdog: watchdog.clone(),
        })
    }

    /// How it ended, if it did.
    pub fn exit(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for its end.
    pub async fn exited(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Ends it: interrupt, then terminate, then kill, each with its grace, until nothing that
    /// came from it lives. Returns the process ids that survived even that.
    pub async fn close(&self, graces: Graces) -> Vec<i32> {
        let ladder = [
            (Signal::SIGINT, graces.interrupt_s),
            (Signal::SIGTERM, graces.terminate_s),
            (Signal::SIGKILL, KILL_S),
        ];
        let mut members = self.alive();
        for (signal, grace_s) in ladder {
            if members.is_empty() {
                break;
            }
            self.family.lock().signal(signal);
            members = self.wait_for_end(members, grace_s).await;
        }
        if members.is_empty() {
            // Only when it can be waited for are its ports and its memory free.
            let _ = tokio::time::timeout(Duration::from_secs_f64(KILL_S), self.exited()).await;
            self.watchdog.remove(self.family.lock().leader());
        }
        members
    }

    /// The end of what it wrote since it was started: standard error where there is any, else
    /// standard output.
    pub fn log_tail(&self, lines: usize) -> String {
        let [stdout, stderr] = self.logs.each_ref().map(|(path, start)| tail_of(path, *start, lines));
        if stderr.trim().is_empty() { stdout } else { stderr }
    }

    /// The last line that it wrote, whichever way.
    pub fn last_line(&self) -> Option<String> {
        let newest =
            self.logs.iter().max_by_key(|(path, _)| path.metadata().and_then(|m| m.modified()).ok())?;
        Some(tail_of(&newest.0, newest.1, 1)).filter(|line| !line.is_empty())
    }

    fn alive(&self) -> Vec<i32> {
        self.family.lock().alive()
    }

    async fn wait_for_end(&self, mut members: Vec<i32>, grace_s: f64) -> Vec<i32> {
        let patience = Instant::now() + Duration::from_secs_f64(grace_s);
        while !members.is_empty() && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let left = self.alive();
            let leader = self.family.lock().leader();
            let gone: Vec<i32> =
                members.into_iter().filter(|pid| !left.contains(pid) && *pid != leader).collect();
            reap(&gone);
            members = left;
        }
        members
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut family = self.family.lock();
        if !family.alive().is_empty() {
            family.signal(Signal::SIGKILL);
        }
        self.watchdog.remove(family.leader());
    }
}

/// Makes orphans of our engines our children, so that they are found and collected.
pub fn adopt_orphans() {
    let _ = prctl::set_child_subreaper(true); // an old kernel: the session still tells
}

/// Lets `command` lead a session, and die with the thread that starts it.
#[expect(unsafe_code, reason = "pre_exec is the only door to setsid and prctl in the child")]
pub fn in_own_session(command: &mut std::process::Command) {
    let setup = || {
        nix::unistd::setsid()?;
        Ok(())
    };
    // SAFETY: between fork and exec only a system call is made, and nothing is allocated.
    unsafe { command.pre_exec(setup) };
}

pub(super) fn log_file(path: &Path) -> Result<(File, u64), StartError> {
    let failed = |source| StartError::Log { path: path.into(), source };
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    file.flush().map_err(failed)?;
    let start = file.metadata().map_err(failed)?.len();
    Ok((file, start))
}

/// The last `lines` lines of a log from `start` on, without control characters.
pub(super) fn tail_of(path: &Path, start: u64, lines: usize) -> String {
    const LOOKED_AT: u64 = 64 * 1024;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(end.saturating_sub(LOOKED_AT))))?;
        let mut bytes = Vec::new();
        file.take(LOOKED_AT).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = all[all.len().saturating_sub(lines)..].iter().map(|line| printable(line));
    shown.collect::<Vec<_>>().join("\n")
}

/// A line of an engine's, harmless on a terminal.
fn printable(line: &str) -> String {
    console::strip_ansi_codes(line).chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(script: &str, dir: &Path) -> CommandLine {
        CommandLine {
            argv: ["sh", "-c", script].map(String::from).to_vec(),
            env: BTreeMap::from([("GREETING".into(), "hello".into())]),
            unset: vec!["HOME".into(), "GREETING".into()],
            stdout: dir.join("out.log"),
            stderr: dir.join("err.log"),
        }
    }

    async fn eventually(mut condition: impl FnMut() -> bool) {
        for _ in 0..500 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came true");
    }

    #[tokio::test]
    async fn output_is_kept_and_its_tail_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("out.log"), "before\n").expect("a log");
        let script = "echo $GREETING-$HOME; printf '\\033[31mred\\n'; exit 3";
        let process = Process::start(&line(script, dir.path()), &Arc::new(Watchdog::absent())).expect("sh");
        let status = process.exited().await.expect("a status");
        assert_eq!(status.code(), Some(3));
        assert_eq!(process.log_tail(10), "hello-\nred");
        assert_eq!(process.last_line().as_deref(), Some("red"));
        let log = std::fs::read_to_string(dir.path().join("out.log")).expect("the log");
        assert!(log.starts_with("before\nhello-"));
    }

    #[tokio::test]
    async fn a_grandchild_that_left_the_session_is_ended_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let script = "setsid sh -c 'echo $$ > child.pid; trap \"\" INT TERM; sleep 60 & wait; wait' & wait";
        let mut line = line(script, dir.path());
        line.argv[2] = format!("cd {} && {script}", dir.path().display());
        let process = Process::start(&line, &Arc::new(Watchdog::absent())).expect("sh");
        let pid_file = dir.path().join("child.pid");
        eventually(|| std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))).await;
        let grandchild = std::fs::read_to_string(&pid_file).expect("a pid");
        let left = process.close(Graces { interrupt_s: 0.2, terminate_s: 0.2 }).await;
        assert_eq!(left, Vec::<i32>::new());
        let alive = procfs::process::Process::new(grandchild.trim().parse().expect("a pid"))
            .and_then(|process| process.stat())
            .is_ok_and(|stat| stat.state != 'Z');
        assert!(!alive, "the grandchild lives on");
    }

    #[tokio::test]
    async fn dropping_kills() {
        let dir = tempfile::tempdir().expect("a folder");
        let process =
            Process::start(&line("sleep 60", dir.path()), &Arc::new(Watchdog::absent())).expect("sh");
        let mut exit = process.exit.clone();
        drop(process);
        exit.wait_for(Option::is_some).await.expect("it was waited for");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut line = line("", dir.path());
        line.argv[0] = "no-such-engine".into();
        let error = Process::start(&line, &Arc::new(Watchdog::absent())).err().expect("an error");
        assert_eq!(error.to_string(), "the program `no-such-engine` was not found");
    }
}
