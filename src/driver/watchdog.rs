//! The watchdog: the parent of a program, which kills all processes that come from it.
//!
//! A watchdog is lmrun itself under a hidden subcommand, in its own session. It starts one program
//! and adopts every process that comes from it and loses its parent. So the processes of the
//! program are the descendants of its watchdog, even if they change their session, environment or
//! parent. When lmrun exits for any reason, the socket between the two closes, and the watchdog
//! kills all of them. It exits when it has no child left.

use super::leftovers::ProcessRecord;
use super::owner::OwnerId;
use super::process_id::{ProcessId, descendants};
use super::{clock::Stamp, container, spawn};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::task::JoinHandle;

/// The environment variable that tags a program and all processes that inherit its environment.
pub(crate) const ENV_TAG: &str = "LMRUN_FAMILY";

/// The time within which a watchdog must start its program.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The interval at which a watchdog records the processes of its program.
const RECORD_INTERVAL: Duration = Duration::from_secs(2);
/// The time for which a watchdog kills. After that only processes stuck in the kernel are left.
const KILL_TIMEOUT: Duration = Duration::from_secs(15);
/// The interval at which it kills.
const KILL_INTERVAL: Duration = Duration::from_millis(10);

/// A program to start under a watchdog.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProgramSpec {
    /// The program and its arguments. They are not passed to a shell.
    pub(crate) argv: Vec<String>,
    /// Variables added to the environment, also if `unset` names them.
    pub(crate) env: BTreeMap<String, String>,
    /// Variables removed from the inherited environment.
    pub(crate) unset: Vec<String>,
}

/// The first and only line that lmrun sends to a watchdog.
#[derive(Serialize, Deserialize)]
enum WatchdogOrder {
    /// Starts a program for the lmrun with this label, and kills all processes that come from it.
    Start {
        program: ProgramSpec,
        lmrun: Option<String>,
    },
    /// Removes the containers of this lmrun when it has exited.
    WatchContainers,
}

/// A line that a watchdog sends.
#[derive(Serialize, Deserialize)]
enum WatchdogReport {
    /// The program runs with this PID.
    Started(i32),
    /// The system cannot start the program, with its error number if it gave one.
    Refused(Option<i32>, String),
    /// The program has exited with this wait status.
    Exited(i32),
}

/// The reason why a program was not started.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// The watchdog did not start.
    Watchdog(io::Error),
    /// The system cannot start the program.
    Program(io::Error),
}

/// The watchdogs of a run.
pub struct Watchdogs {
    program: PathBuf,
    subcommand: &'static str,
    of_containers: Mutex<Option<ContainerWatchdog>>,
}

/// The watchdog that removes containers.
struct ContainerWatchdog {
    /// The watchdog acts when this closes.
    _leash: UnixStream,
    exit: JoinHandle<bool>,
}

/// A program that was started under a watchdog.
pub(crate) struct WatchedProgram {
    /// The PID of the program, which leads a session.
    pub(crate) leader: i32,
    /// The watchdog.
    pub(crate) watchdog: ProcessId,
    /// Dropping it kills all processes that come from the program.
    pub(crate) leash: Leash,
    /// The watchdog's reports.
    pub(crate) reports: WatchdogReports,
}

/// The write end of the socket to a watchdog. The watchdog kills when it closes.
pub(crate) struct Leash(OwnedWriteHalf);

/// The read end of the socket to a watchdog, and the watchdog itself.
pub(crate) struct WatchdogReports {
    lines: Lines<tokio::io::BufReader<OwnedReadHalf>>,
    /// The watchdog. Its output is the program's.
    pub(crate) child: Child,
}

impl Watchdogs {
    /// Creates watchdogs that are started as `program subcommand`, which must call
    /// `run_watchdog`.
    pub fn new(program: PathBuf, subcommand: &'static str) -> Self {
        Self {
            program,
            subcommand,
            of_containers: Mutex::default(),
        }
    }

    /// Starts `program` under a watchdog, with its output in `stdout` and `stderr`. Must be called
    /// on a tokio runtime.
    ///
    /// # Errors
    /// Fails if the watchdog or the program does not start.
    pub(crate) async fn start(
        &self,
        mut program: ProgramSpec,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<WatchedProgram, SpawnError> {
        program.env.insert(
            ENV_TAG.into(),
            format!("{}-{}", std::process::id(), Stamp::now().0),
        );
        let order = WatchdogOrder::Start {
            program,
            lmrun: OwnerId::current().map(|owner| owner.label()),
        };
        let (mut leash, mut reports) = self.open(stdout, stderr).map_err(SpawnError::Watchdog)?;
        let start = send_order(&order, &mut leash, &mut reports);
        let started = tokio::time::timeout(START_TIMEOUT, start).await;
        match started.unwrap_or_else(|_| Err(SpawnError::Watchdog(ErrorKind::TimedOut.into()))) {
            Ok((leader, watchdog)) => Ok(WatchedProgram {
                leader,
                watchdog,
                leash,
                reports,
            }),
            Err(error) => {
                tokio::spawn(spawn::reap(reports.child));
                Err(error)
            }
        }
    }

    /// Starts one watchdog that removes this lmrun's containers when lmrun has exited, unless it
    /// runs already. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// Fails if the watchdog does not start.
    pub(crate) fn watch_containers(&self) -> io::Result<()> {
        let mut running = self.of_containers.lock();
        if running
            .as_ref()
            .is_some_and(|watchdog| !watchdog.exit.is_finished())
        {
            return Ok(());
        }
        let (child, mut leash) = self.spawn(Stdio::null(), Stdio::null())?;
        let exit = tokio::spawn(spawn::reap(child));
        leash.write_all(&json_line(&WatchdogOrder::WatchContainers))?;
        *running = Some(ContainerWatchdog {
            _leash: leash,
            exit,
        });
        Ok(())
    }

    fn open(&self, stdout: Stdio, stderr: Stdio) -> io::Result<(Leash, WatchdogReports)> {
        let (child, socket) = self.spawn(stdout, stderr)?;
        socket.set_nonblocking(true)?;
        let (read, write) = tokio::net::UnixStream::from_std(socket)?.into_split();
        let reports = WatchdogReports {
            lines: tokio::io::BufReader::new(read).lines(),
            child,
        };
        Ok((Leash(write), reports))
    }

    fn spawn(&self, stdout: Stdio, stderr: Stdio) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command
            .arg(self.subcommand)
            .stdin(OwnedFd::from(theirs))
            .stdout(stdout)
            .stderr(stderr);
        Ok((spawn::spawn(command)?, ours))
    }
}

/// Sends an order. Returns the PID of the program, and the watchdog.
async fn send_order(
    order: &WatchdogOrder,
    leash: &mut Leash,
    reports: &mut WatchdogReports,
) -> Result<(i32, ProcessId), SpawnError> {
    leash
        .0
        .write_all(&json_line(order))
        .await
        .map_err(SpawnError::Watchdog)?;
    let pid = reports.child.id();
    let watchdog = pid.and_then(|pid| ProcessId::find(pid as i32));
    match (reports.next().await, watchdog) {
        (Some(WatchdogReport::Started(leader)), Some(watchdog)) => Ok((leader, watchdog)),
        (Some(WatchdogReport::Refused(Some(number), _)), _) => {
            Err(SpawnError::Program(io::Error::from_raw_os_error(number)))
        }
        (Some(WatchdogReport::Refused(None, text)), _) => {
            Err(SpawnError::Program(io::Error::other(text)))
        }
        _ => Err(SpawnError::Watchdog(ErrorKind::UnexpectedEof.into())),
    }
}

impl WatchdogReports {
    async fn next(&mut self) -> Option<WatchdogReport> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    /// Waits until the program has exited, and returns its status. Returns `None` if the watchdog
    /// was killed: then the kernel kills the program.
    pub(crate) async fn exit_status(&mut self) -> Option<ExitStatus> {
        match self.next().await {
            Some(WatchdogReport::Exited(status)) => Some(ExitStatus::from_raw(status)),
            _ => None,
        }
    }
}

fn json_line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("texts and numbers are valid JSON");
    line.push(b'\n');
    line
}

/// Runs the watchdog, from its order to its exit.
pub(crate) fn run_watchdog() {
    // `pkill -9 lmrun` must leave it alive.
    let _ = prctl::set_name(c"engine-watchdog");
    let Ok(lmrun) = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from)
    else {
        return;
    };
    let mut line = String::new();
    if BufReader::new(&lmrun).read_line(&mut line).is_err() {
        return;
    }
    match serde_json::from_str(&line) {
        Ok(WatchdogOrder::Start {
            program,
            lmrun: owner,
        }) => start_and_watch(&program, owner, lmrun),
        Ok(WatchdogOrder::WatchContainers) => {
            ignore_signals();
            let _ = (&lmrun).read(&mut [0]); // returns when lmrun has exited
            container::remove_orphans_blocking();
        }
        Err(_) => {} // lmrun has exited before it gave an order
    }
}

fn start_and_watch(program: &ProgramSpec, owner: Option<String>, mut lmrun: UnixStream) {
    let _ = prctl::set_child_subreaper(true); // on an old kernel only the record finds orphans
    let started = start(program).and_then(|leader| Ok((leader, child_exits()?)));
    let (leader, child_exits) = match started {
        Ok(started) => started,
        Err(e) => {
            let report = WatchdogReport::Refused(e.raw_os_error(), e.to_string());
            let _ = lmrun.write_all(&json_line(&report));
            return;
        }
    };
    // Not earlier: the program would inherit it.
    ignore_signals();
    let mut record = ProcessRecord::new(program, owner);
    record.update(descendants([this_pid()]));
    // It fails if lmrun has exited, which the loop below notices.
    let _ = lmrun.write_all(&json_line(&WatchdogReport::Started(leader)));
    WatchdogLoop {
        leader,
        lmrun,
        child_exits,
        record,
        next_record: Instant::now() + RECORD_INTERVAL,
        kill_until: None,
    }
    .run();
}

/// The state of a running watchdog.
struct WatchdogLoop {
    leader: i32,
    lmrun: UnixStream,
    child_exits: SignalFd,
    record: ProcessRecord,
    /// The time at which it next records the processes.
    next_record: Instant,
    /// The time until which it kills; `None` as long as lmrun holds the leash.
    kill_until: Option<Instant>,
}

impl WatchdogLoop {
    /// Watches until there is no child left.
    fn run(mut self) {
        while self.reap_children() {
            let now = Instant::now();
            match self.kill_until {
                // Processes stuck in the kernel stay in the record.
                Some(deadline) if now > deadline => return,
                Some(_) => kill_descendants(),
                None if now >= self.next_record => {
                    self.record.update(descendants([this_pid()]));
                    self.next_record = now + RECORD_INTERVAL;
                }
                None => {}
            }
            self.wait(now);
        }
        self.record.remove();
    }

    /// Reaps the children that have exited, and reports the exit of the program. Returns false if
    /// there is no child left.
    fn reap_children(&mut self) -> bool {
        while let Ok(Some(_)) = self.child_exits.read_signal() {}
        loop {
            match reap_child() {
                Ok(None) => return true,
                Ok(Some((pid, status))) if pid == self.leader => {
                    let report = WatchdogReport::Exited(status);
                    let _ = self.lmrun.write_all(&json_line(&report));
                }
                Ok(Some(_)) | Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Waits until a child exits, lmrun exits, or the next record or kill is due.
    fn wait(&mut self, now: Instant) {
        let pause = if self.kill_until.is_some() {
            KILL_INTERVAL
        } else {
            self.next_record.duration_since(now)
        };
        let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
        let mut events = [
            PollFd::new(self.child_exits.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.lmrun.as_fd(), PollFlags::POLLIN),
        ];
        let watched = if self.kill_until.is_some() { 1 } else { 2 };
        let _ = poll(&mut events[..watched], pause);
        if events[1].any() == Some(true) {
            self.kill_until = Some(now + KILL_TIMEOUT);
        }
    }
}

fn kill_descendants() {
    for process in descendants([this_pid()]) {
        let _ = process.signal(Signal::SIGKILL); // fails if it has exited
    }
}

fn this_pid() -> i32 {
    std::process::id() as i32
}

fn start(program: &ProgramSpec) -> io::Result<i32> {
    let mut command = Command::new(program.argv.first().map_or("", String::as_str));
    for name in &program.unset {
        command.env_remove(name);
    }
    command
        .args(program.argv.iter().skip(1))
        .envs(&program.env)
        .stdin(Stdio::null());
    spawn::start_session(&mut command);
    spawn::signal_on_parent_death(&mut command, Signal::SIGKILL);
    Ok(command.spawn()?.id() as i32)
}

/// Returns a descriptor that is readable when a child has exited.
fn child_exits() -> io::Result<SignalFd> {
    let signals = SigSet::from(Signal::SIGCHLD);
    signals.thread_block()?;
    Ok(SignalFd::with_flags(
        &signals,
        SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
    )?)
}

/// Reaps a child that has exited. Returns its PID and wait status.
#[expect(
    unsafe_code,
    reason = "nix rejects the status of a process that a real-time signal has killed"
)]
fn reap_child() -> nix::Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let pid = unsafe { nix::libc::waitpid(-1, &raw mut status, nix::libc::WNOHANG) };
    Errno::result(pid).map(|pid| (pid > 0).then_some((pid, status)))
}

#[expect(
    unsafe_code,
    reason = "signal(2) with SIG_IGN installs no handler that could misbehave"
)]
fn ignore_signals() {
    for ignored in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        // SAFETY: SIG_IGN runs no code of ours.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
}
