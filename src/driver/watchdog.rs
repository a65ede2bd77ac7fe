//! The parent of each engine, which kills all processes that come from it.
//!
//! A watchdog is lmrun itself under a hidden verb, in its own session. It starts one program and adopts every
//! process that comes from it and loses its parent. So the processes of the program are the descendants of
//! its watchdog, whatever session, environment or parent they have left. When lmrun ends, in whatever way,
//! the socket between the two closes, and the watchdog kills all of them. It ends when it has no child left.

use super::leftovers::Record;
use super::owner::Owner;
use super::tree::{ProcessId, descendants};
use super::{clock::Stamp, container, starter};
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

/// The variable that marks a program and all processes that inherit its environment.
pub const MARK: &str = "LMRUN_FAMILY";

/// The time within which a watchdog must start its program.
const START: Duration = Duration::from_secs(30);
/// The interval at which a watchdog looks for new processes of its program, to record them.
const LOOK: Duration = Duration::from_secs(2);
/// The time for which a watchdog kills. After that only processes stuck in the kernel are left.
const KILL: Duration = Duration::from_secs(15);
/// The interval at which it kills.
const KILL_AGAIN: Duration = Duration::from_millis(10);

/// A program to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// Program and arguments; they are not passed to a shell.
    pub argv: Vec<String>,
    /// Added to the environment, also if `unset` names it.
    pub env: BTreeMap<String, String>,
    /// Removed from the inherited environment.
    pub unset: Vec<String>,
}

/// The first and only line that lmrun sends to a watchdog.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Starts a program of the lmrun with this label, and ends all processes that come from it.
    Start {
        program: Program,
        lmrun: Option<String>,
    },
    /// Removes the containers of this lmrun when it has ended.
    WatchContainers,
}

/// A line that a watchdog sends.
#[derive(Serialize, Deserialize)]
enum Report {
    /// The program runs as the process of this number.
    Started(i32),
    /// The system refuses the program, with this error number if it gave one.
    Refused(Option<i32>, String),
    /// The program has ended with this wait status.
    Ended(i32),
}

/// The reason why a program was not started.
#[derive(Debug)]
pub enum Refusal {
    /// The watchdog was not started.
    Watchdog(io::Error),
    /// The system refuses the program.
    Program(io::Error),
}

/// The watchdogs of a run.
pub struct Watchdogs {
    program: PathBuf,
    verb: &'static str,
    of_containers: Mutex<Option<(UnixStream, JoinHandle<bool>)>>,
}

/// A program that was started under a watchdog.
pub struct Watched {
    /// The program's own process, which leads a session.
    pub leader: i32,
    /// The watchdog.
    pub watchdog: ProcessId,
    /// Dropping it kills all that came from the program.
    pub leash: Leash,
    /// The watchdog's reports.
    pub reports: Reports,
}

/// The end of the socket that keeps the watchdog waiting: it kills when this closes.
pub struct Leash(OwnedWriteHalf);

/// The end of the socket that receives the watchdog's reports, and the watchdog itself.
pub struct Reports {
    lines: Lines<tokio::io::BufReader<OwnedReadHalf>>,
    /// The watchdog; its output is the program's.
    pub child: Child,
}

impl Watchdogs {
    /// Watchdogs that are started as `program verb`, which must call [`keep_watch`].
    pub fn new(program: PathBuf, verb: &'static str) -> Self {
        Self {
            program,
            verb,
            of_containers: Mutex::default(),
        }
    }

    /// Starts `program` under a watchdog. Its output goes to `stdout` and `stderr`. Must be called on a tokio
    /// runtime.
    ///
    /// # Errors
    /// Fails if the watchdog or the program does not start.
    pub async fn start(
        &self,
        mut program: Program,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Watched, Refusal> {
        program.env.insert(
            MARK.into(),
            format!("{}-{}", std::process::id(), Stamp::now().0),
        );
        let lmrun = Owner::this().map(|owner| owner.label());
        let (mut leash, mut reports) = self.open(stdout, stderr).map_err(Refusal::Watchdog)?;
        let start = Order::Start { program, lmrun };
        let ordered = tokio::time::timeout(START, order(&start, &mut leash, &mut reports)).await;
        match ordered.unwrap_or_else(|_| Err(Refusal::Watchdog(ErrorKind::TimedOut.into()))) {
            Ok((leader, watchdog)) => Ok(Watched {
                leader,
                watchdog,
                leash,
                reports,
            }),
            Err(refusal) => {
                tokio::spawn(starter::collect(reports.child));
                Err(refusal)
            }
        }
    }

    /// Makes one watchdog remove this lmrun's containers when lmrun has ended. Must be called on a tokio
    /// runtime.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn watch_containers(&self) -> io::Result<()> {
        let mut running = self.of_containers.lock();
        if running.as_ref().is_some_and(|(_, end)| !end.is_finished()) {
            return Ok(());
        }
        let (child, mut socket) = self.spawn(Stdio::null(), Stdio::null())?;
        let end = tokio::spawn(starter::collect(child));
        socket.write_all(&line(&Order::WatchContainers))?;
        *running = Some((socket, end));
        Ok(())
    }

    fn open(&self, stdout: Stdio, stderr: Stdio) -> io::Result<(Leash, Reports)> {
        let (child, socket) = self.spawn(stdout, stderr)?;
        socket.set_nonblocking(true)?;
        let (read, write) = tokio::net::UnixStream::from_std(socket)?.into_split();
        Ok((
            Leash(write),
            Reports {
                lines: tokio::io::BufReader::new(read).lines(),
                child,
            },
        ))
    }

    fn spawn(&self, stdout: Stdio, stderr: Stdio) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.program);
        command
            .arg(self.verb)
            .stdin(OwnedFd::from(theirs))
            .stdout(stdout)
            .stderr(stderr);
        Ok((starter::start(command)?, ours))
    }
}

/// Sends an order; returns the program's process id and the watchdog.
async fn order(
    order: &Order,
    leash: &mut Leash,
    reports: &mut Reports,
) -> Result<(i32, ProcessId), Refusal> {
    leash
        .0
        .write_all(&line(order))
        .await
        .map_err(Refusal::Watchdog)?;
    let watchdog = reports.child.id().and_then(|pid| ProcessId::of(pid as i32));
    match (reports.next().await, watchdog) {
        (Some(Report::Started(leader)), Some(watchdog)) => Ok((leader, watchdog)),
        (Some(Report::Refused(Some(number), _)), _) => {
            Err(Refusal::Program(io::Error::from_raw_os_error(number)))
        }
        (Some(Report::Refused(None, text)), _) => Err(Refusal::Program(io::Error::other(text))),
        _ => Err(Refusal::Watchdog(ErrorKind::UnexpectedEof.into())),
    }
}

impl Reports {
    async fn next(&mut self) -> Option<Report> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    /// Waits until the program has ended; returns its status. Returns `None` if the watchdog was killed: then
    /// the kernel kills the program.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        match self.next().await {
            Some(Report::Ended(status)) => Some(ExitStatus::from_raw(status)),
            _ => None,
        }
    }
}

fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default(); // texts and numbers: always JSON
    line.push(b'\n');
    line
}

/// Runs the watchdog, from its order to its end.
pub fn keep_watch() {
    // `pkill -9 lmrun` is to leave it alive.
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
        Ok(Order::Start {
            program,
            lmrun: owner,
        }) => start_and_watch(&program, owner, lmrun),
        Ok(Order::WatchContainers) => {
            ignore_signals();
            let _ = (&lmrun).read(&mut [0]); // until lmrun has ended
            container::remove_orphans_now();
        }
        Err(_) => {} // lmrun has ended before it gave an order
    }
}

fn start_and_watch(program: &Program, owner: Option<String>, mut lmrun: UnixStream) {
    let _ = prctl::set_child_subreaper(true); // on an old kernel only the record tells of orphans
    let started = start(program).and_then(|leader| Ok((leader, ends_of_children()?)));
    let (leader, ends) = match started {
        Ok(started) => started,
        Err(e) => {
            let _ = lmrun.write_all(&line(&Report::Refused(e.raw_os_error(), e.to_string())));
            return;
        }
    };
    // Not earlier: the program would inherit it.
    ignore_signals();
    let mut record = Record::new(program, owner);
    record.update(descendants([us()]));
    let _ = lmrun.write_all(&line(&Report::Started(leader))); // a failure is the end of lmrun, which is seen below
    Watch {
        leader,
        lmrun,
        ends,
        record,
        look: Instant::now() + LOOK,
        kill_until: None,
    }
    .until_nothing_is_left();
}

/// A running watchdog.
struct Watch {
    leader: i32,
    lmrun: UnixStream,
    ends: SignalFd,
    record: Record,
    /// The time at which it next looks for processes.
    look: Instant,
    /// The time until which it kills; `None` as long as lmrun holds the leash.
    kill_until: Option<Instant>,
}

impl Watch {
    fn until_nothing_is_left(mut self) {
        while self.collect() {
            let now = Instant::now();
            match self.kill_until {
                // Processes stuck in the kernel stay in the record.
                Some(limit) if now > limit => return,
                Some(_) => kill_descendants(),
                None if now >= self.look => {
                    self.record.update(descendants([us()]));
                    self.look = now + LOOK;
                }
                None => {}
            }
            self.wait(now);
        }
        self.record.remove();
    }

    /// Collects the children that have ended, and reports the end of the program. Returns false when there is
    /// no child left.
    fn collect(&mut self) -> bool {
        while let Ok(Some(_)) = self.ends.read_signal() {}
        loop {
            match ended_child() {
                Ok(None) => return true,
                Ok(Some((pid, status))) if pid == self.leader => {
                    let _ = self.lmrun.write_all(&line(&Report::Ended(status)));
                }
                Ok(Some(_)) | Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Waits until a child ends, lmrun ends, or there is something to do.
    fn wait(&mut self, now: Instant) {
        let pause = if self.kill_until.is_some() {
            KILL_AGAIN
        } else {
            self.look.duration_since(now)
        };
        let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
        let mut waits = [
            PollFd::new(self.ends.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.lmrun.as_fd(), PollFlags::POLLIN),
        ];
        let watched = if self.kill_until.is_some() { 1 } else { 2 };
        let _ = poll(&mut waits[..watched], pause);
        if waits[1].any() == Some(true) {
            self.kill_until = Some(now + KILL);
        }
    }
}

fn kill_descendants() {
    for process in descendants([us()]) {
        let _ = process.signal(Signal::SIGKILL); // one that has ended is what we want
    }
}

fn us() -> i32 {
    std::process::id() as i32
}

fn start(program: &Program) -> io::Result<i32> {
    let mut command = Command::new(program.argv.first().map_or("", String::as_str));
    for name in &program.unset {
        command.env_remove(name);
    }
    command
        .args(program.argv.iter().skip(1))
        .envs(&program.env)
        .stdin(Stdio::null());
    starter::in_own_session(&mut command);
    starter::when_we_end(&mut command, Signal::SIGKILL);
    Ok(command.spawn()?.id() as i32)
}

/// A descriptor that is readable when a child has ended.
fn ends_of_children() -> io::Result<SignalFd> {
    let ends = SigSet::from(Signal::SIGCHLD);
    ends.thread_block()?;
    Ok(SignalFd::with_flags(
        &ends,
        SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
    )?)
}

/// Collects a child that has ended; returns its process id and wait status.
#[expect(
    unsafe_code,
    reason = "nix refuses the status of a process that a real-time signal has ended"
)]
fn ended_child() -> nix::Result<Option<(i32, i32)>> {
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
