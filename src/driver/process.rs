//! Processes that are always owned: started in a session of their own, watched, and ended
//! with everything that came from them.

use super::family::{Family, FamilyName, MARK, reap};
use super::logs::{Log, Logs};
use super::watchdog::Watchdog;
use super::{clock::Stamp, program, secrets, starter};
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::process::Child;
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
            Self::NoInterpreter { .. } => "install what its first line (`#!…`) names, or correct that line",
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
        Self { interrupt_s: 5.0, terminate_s: 5.0 }
    }
}

/// After SIGKILL only a process stuck in the kernel is left.
pub(super) const KILL_S: f64 = 10.0;

/// How often, and how far apart, a dropped process is looked at before it is given up.
const DROP_LOOKS: usize = 100;
const DROP_LOOK: Duration = Duration::from_millis(5);

/// A started process. Dropping it kills it, and all that came from it.
pub struct Process {
    family: Mutex<Family>,
    exit: Exit,
    logs: Logs,
    watchdog: Arc<Watchdog>,
}

/// The end of a process, for whoever watches it.
#[derive(Clone)]
pub struct Exit(watch::Receiver<Option<ExitStatus>>);

impl Exit {
    /// How it ended, if it did.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.0.borrow()
    }

    /// Waits for it.
    pub async fn wait(&mut self) -> Option<ExitStatus> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }
}

impl Process {
    /// Starts `line`. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the program or its log files are not to be had.
    pub fn start(line: &CommandLine, watchdog: &Arc<Watchdog>) -> Result<Self, StartError> {
        let program = line.argv.first().cloned().unwrap_or_default();
        secrets::learn(line.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        secrets::learn_flags(&line.argv);
        let (stdout, to_stdout) = open_log(&line.stdout)?;
        let (stderr, to_stderr) = open_log(&line.stderr)?;
        let mark = format!("{}-{}", std::process::id(), Stamp::now().0);
        let mut command = line.command();
        command.env(MARK, &mark).stdout(to_stdout).stderr(to_stderr);
        let refused = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound if is_there(&program) => {
                StartError::NoInterpreter { program: program.clone() }
            }
            std::io::ErrorKind::NotFound => StartError::NotFound { program: program.clone() },
            _ => StartError::Refused { program: program.clone(), source },
        };
        let child = starter::start(command).map_err(refused)?;
        let name = FamilyName::of(pid_of(&child), mark);
        // From here on it is ours to end, also where the watchdog is not to be had.
        let logs = Logs([stdout, stderr]);
        let process = Self {
            family: Mutex::new(Family::of(name.clone())),
            exit: watch_over(child, logs.clone()),
            logs,
            watchdog: watchdog.clone(),
        };
        watchdog.add(&name).map_err(StartError::Watchdog)?;
        Ok(process)
    }

    /// How it ended, if it did.
    pub fn exit(&self) -> Option<ExitStatus> {
        self.exit.status()
    }

    /// Its end, to be waited for apart from it.
    pub fn end(&self) -> Exit {
        self.exit.clone()
    }

    /// What it writes.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Those alive of it and of all that came from it.
    pub fn members(&self) -> Vec<i32> {
        self.family.lock().alive()
    }

    /// Ends it: interrupt, then terminate, then kill, each with its grace, until nothing that
    /// came from it lives. Returns the process ids that survived even that.
    pub async fn close(&self, graces: Graces) -> Vec<i32> {
        let ladder = [
            (Signal::SIGINT, graces.interrupt_s),
            (Signal::SIGTERM, graces.terminate_s),
            (Signal::SIGKILL, KILL_S),
        ];
        let mut members = self.members();
        for (signal, grace_s) in ladder {
            if members.is_empty() {
                break;
            }
            members = self.wait_for_end(members, signal, grace_s).await;
        }
        if members.is_empty() {
            // Only when it can be waited for are its ports and its memory free.
            let _ = tokio::time::timeout(Duration::from_secs_f64(KILL_S), self.end().wait()).await;
            self.watchdog.remove(self.family.lock().name().leader);
            self.remove_secrets().await;
        }
        members
    }

    /// Takes out of its logs what it should not have written there.
    async fn remove_secrets(&self) {
        let logs = self.logs.clone();
        let work = move || logs.0.iter().for_each(Log::remove_secrets);
        let _ = tokio::task::spawn_blocking(work).await; // a runtime that ends waits for nothing
    }

    /// Sends `signal` and waits. Whoever is to be killed may have had children since it was looked at.
    async fn wait_for_end(&self, mut members: Vec<i32>, signal: Signal, grace_s: f64) -> Vec<i32> {
        let patience = Instant::now() + Duration::from_secs_f64(grace_s);
        self.family.lock().signal(signal);
        // Who was born during one look is seen by the next.
        let mut seen_none = 0;
        while seen_none < 2 && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let left = self.members();
            let leader = self.family.lock().name().leader;
            let gone: Vec<i32> =
                members.into_iter().filter(|pid| !left.contains(pid) && *pid != leader).collect();
            reap(&gone);
            members = left;
            seen_none = if members.is_empty() { seen_none + 1 } else { 0 };
            if signal == Signal::SIGKILL {
                self.family.lock().signal(signal);
            }
        }
        members
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut family = self.family.lock();
        // The dying may have children until they are dead.
        for _ in 0..DROP_LOOKS {
            if family.alive().is_empty() {
                break;
            }
            family.signal(Signal::SIGKILL);
            std::thread::sleep(DROP_LOOK);
        }
        self.watchdog.remove(family.name().leader);
    }
}

impl CommandLine {
    fn command(&self) -> Command {
        let mut command = Command::new(self.argv.first().map_or("", String::as_str));
        for name in &self.unset {
            command.env_remove(name);
        }
        command.args(self.argv.iter().skip(1)).envs(&self.env).stdin(Stdio::null());
        command
    }
}

fn pid_of(child: &Child) -> i32 {
    child.id().expect("a child that was not waited for has a process id") as i32
}

/// Collects the child when it ends, and keeps its logs short until then.
fn watch_over(mut child: Child, logs: Logs) -> Exit {
    let (exited, exit) = watch::channel(None);
    tokio::spawn(async move {
        let status = tokio::select! {
            status = child.wait() => status.ok(),
            never = logs.keep_short() => match never {},
        };
        // Without a listener nobody wants to know.
        let _ = exited.send(status);
    });
    Exit(exit)
}

/// A name without a `/` is looked for on the PATH only.
fn is_there(program: &str) -> bool {
    if program.contains('/') { Path::new(program).is_file() } else { program::find(program).is_some() }
}

pub(super) fn open_log(path: &Path) -> Result<(Log, File), StartError> {
    Log::open(path).map_err(|source| StartError::Log { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

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
        let status = process.end().wait().await.expect("a status");
        assert_eq!(status.code(), Some(3));
        assert_eq!(process.logs().tail(10), "hello-\nred");
        assert_eq!(process.logs().last_line().as_deref(), Some("red"));
        let log = std::fs::read_to_string(dir.path().join("out.log")).expect("the log");
        assert!(log.starts_with("before\nhello-"));
    }

    #[tokio::test]
    async fn a_grandchild_that_left_the_session_is_ended_too() {
        // One whose parent lives, and one of which no living parent leads here.
        for how in ["setsid", "setsid --fork"] {
            let script =
                format!("{how} sh -c 'echo $$ >child.pid; trap \"\" INT TERM; sleep 60 & wait; wait' & wait");
            assert!(!what_is_left(&script).await, "the grandchild lives on: {how}");
        }
    }

    /// Whether the process lives whose id `script` has written to `child.pid`.
    async fn what_is_left(script: &str) -> bool {
        let dir = tempfile::tempdir().expect("a folder");
        let mut line = line(script, dir.path());
        line.argv[2] = format!("cd {} && {script}", dir.path().display());
        let process = Process::start(&line, &Arc::new(Watchdog::absent())).expect("sh");
        let pid_file = dir.path().join("child.pid");
        eventually(|| std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))).await;
        let grandchild = std::fs::read_to_string(&pid_file).expect("a pid");
        let left = process.close(Graces { interrupt_s: 0.2, terminate_s: 0.2 }).await;
        assert_eq!(left, Vec::<i32>::new());
        procfs::process::Process::new(grandchild.trim().parse().expect("a pid"))
            .and_then(|process| process.stat())
            .is_ok_and(|stat| stat.state != 'Z')
    }

    #[tokio::test]
    async fn a_stopped_process_can_still_end_in_order() {
        // Where tests run in the background, interrupts are ignored, and a shell that inherits that cannot trap
        // them. With a handler here, it inherits the default.
        let _heeded = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
        let dir = tempfile::tempdir().expect("a folder");
        let script = "trap 'echo bye; exit 0' INT; kill -STOP $$; sleep 60 & wait";
        let process = Process::start(&line(script, dir.path()), &Arc::new(Watchdog::absent())).expect("sh");
        let stopped = |pid: i32| {
            let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
            stat.is_ok_and(|stat| stat.state == 'T')
        };
        eventually(|| process.members().iter().any(|pid| stopped(*pid))).await;
        assert_eq!(process.close(Graces::default()).await, Vec::<i32>::new());
        assert_eq!(process.logs().tail(1), "bye");
    }

    #[tokio::test]
    async fn secrets_are_taken_out_of_the_log_at_the_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut line = line("echo the token is $HF_TOKEN", dir.path());
        line.env.insert("HF_TOKEN".into(), "hf_very_secret".into());
        let process = Process::start(&line, &Arc::new(Watchdog::absent())).expect("sh");
        process.end().wait().await.expect("its end");
        process.close(Graces::default()).await;
        assert_eq!(process.logs().tail(1), "the token is **************");
    }

    #[tokio::test]
    async fn dropping_kills() {
        let dir = tempfile::tempdir().expect("a folder");
        let process =
            Process::start(&line("sleep 60", dir.path()), &Arc::new(Watchdog::absent())).expect("sh");
        let mut end = process.end();
        drop(process);
        end.wait().await.expect("it was waited for");
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let orphaned = dir.path().join("engine").display().to_string();
        std::fs::write(&orphaned, "#!/no/such/python\n").expect("a program");
        std::fs::set_permissions(&orphaned, PermissionsExt::from_mode(0o755)).expect("executable");
        let interpreter =
            format!("the interpreter that the first line of `{orphaned}` names is not on this machine");
        for (program, said) in
            [("no-such-engine", "the program `no-such-engine` was not found"), (&orphaned, &interpreter)]
        {
            let mut line = line("", dir.path());
            line.argv[0] = program.into();
            let error = Process::start(&line, &Arc::new(Watchdog::absent())).err().expect("an error");
            assert_eq!(error.to_string(), said);
        }
        let nowhere = Arc::new(Watchdog::new("/no/such/lmrun".into(), "watch"));
        let error = Process::start(&line("sleep 60", dir.path()), &nowhere).err().expect("an error");
        assert!(error.to_string().starts_with("lmrun cannot start its watchdog: No such file"), "{error}");
    }

    /// Twenty chains of which each link leaves the session, has one like itself, and dies a moment later:
    /// some are born between the look at all and the kill.
    #[tokio::test]
    async fn what_is_born_while_it_is_killed_dies_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let link = dir.path().join("link").display().to_string();
        let next = format!("sleep 0.05; [ $1 -lt 400 ] && setsid sh {link} $(($1 + 1)) &");
        std::fs::write(&link, next).expect("a script");
        let script = format!("trap '' INT TERM; for i in $(seq 20); do setsid sh {link} 0 & done; sleep 60");
        let process = Process::start(&line(&script, dir.path()), &Arc::new(Watchdog::absent())).expect("sh");
        let links = || {
            let all = procfs::process::all_processes().expect("/proc").filter_map(Result::ok);
            all.filter(|process| process.cmdline().is_ok_and(|line| line.contains(&link))).count()
        };
        eventually(|| links() > 10).await;
        let left = process.close(Graces { interrupt_s: 0.1, terminate_s: 0.1 }).await;
        assert_eq!((left, links()), (Vec::new(), 0));
    }
}
