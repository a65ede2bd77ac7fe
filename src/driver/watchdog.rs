//! What ends the engines when lmrun itself is killed.
//!
//! A small process of our own, in a session of its own, holds the reading end of a pipe.
//! When lmrun ends, however it ends, the pipe closes, and whatever is still on the list is
//! killed, with everything that came from it.

use super::family::{Family, FamilyName};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Result, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// lmrun's end of the pipe. The watchdog is started with the first entry, and again where it was
/// killed.
pub struct Watchdog {
    command: Option<(PathBuf, &'static str)>,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    process: Option<Child>,
    families: BTreeMap<i32, FamilyName>,
}

impl Watchdog {
    /// A watchdog that is started as `program word`, which must call [`keep_watch`].
    pub fn new(program: PathBuf, word: &'static str) -> Self {
        Self { command: Some((program, word)), list: Mutex::default() }
    }

    /// None at all: nothing outlives a test process that is killed but its engines.
    pub fn absent() -> Self {
        Self { command: None, list: Mutex::default() }
    }

    /// Puts a family on the list.
    ///
    /// # Errors
    /// When the watchdog cannot be started.
    pub fn add(&self, family: &FamilyName) -> Result<()> {
        let mut list = self.list.lock();
        list.families.insert(family.leader, family.clone());
        self.tell(&mut list, &format!("+{family}"))
    }

    /// Starts the watchdog, if it was not: it has more to end than families.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn wake(&self) -> Result<()> {
        self.tell(&mut self.list.lock(), "?") // not an entry of the list
    }

    /// Takes the family of `leader`, which has ended, off the list.
    pub fn remove(&self, leader: i32) {
        let mut list = self.list.lock();
        list.families.remove(&leader);
        // A watchdog that is not to be had has nothing to take it off.
        let _ = self.tell(&mut list, &format!("-{leader}"));
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.list.lock().process.as_ref().map(|process| process.id() as i32)
    }

    fn tell(&self, list: &mut List, line: &str) -> Result<()> {
        let Some(command) = &self.command else { return Ok(()) };
        let told = list.pipe().map(|pipe| writeln!(pipe, "{line}"));
        if !matches!(told, Some(Ok(()))) {
            // One that was killed is to be collected.
            let _ = list.process.take().map(|mut killed| killed.kill().and_then(|()| killed.wait()));
            list.process = Some(start(command)?);
            let families = list.families.clone();
            let Some(pipe) = list.pipe() else { return Ok(()) };
            families.values().try_for_each(|family| writeln!(pipe, "+{family}"))?;
        }
        Ok(())
    }
}

impl List {
    fn pipe(&mut self) -> Option<&mut ChildStdin> {
        self.process.as_mut()?.stdin.as_mut()
    }
}

fn start((program, word): &(PathBuf, &'static str)) -> Result<Child> {
    let mut command = Command::new(program);
    command.arg(word).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    super::starter::in_own_session(&mut command);
    command.spawn()
}

/// How often new relatives of the watched are looked for: one that leaves the session and
/// whose parent then dies can only be known from before.
const LOOK_MS: u16 = 2_000;

/// The watchdog's whole life: reads the list from standard input, and ends what is on it when
/// the input ends.
pub fn keep_watch() {
    // `pkill -9 lmrun` is to leave it alive.
    let _ = prctl::set_name(c"engine-watchdog");
    for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        ignore(ignored);
    }
    let stdin = std::io::stdin();
    let mut lines = BufReader::new(stdin.lock());
    let mut watched: Vec<Family> = Vec::new();
    let mut line = String::new();
    loop {
        if lines.buffer().is_empty() && !readable() {
            for family in &mut watched {
                family.alive();
            }
            continue;
        }
        line.clear();
        match lines.read_line(&mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => update(&mut watched, line.trim()),
        }
    }
    end_all(&mut watched);
}

fn update(watched: &mut Vec<Family>, line: &str) {
    let Some((sign, family)) = line.split_at_checked(1) else { return };
    if sign == "+" {
        watched.extend(family.parse().map(Family::of));
    } else if let Ok(leader) = family.parse::<i32>() {
        watched.retain(|family| family.name().leader != leader);
    }
}

/// Waits until there is something to read, [`LOOK_MS`] at most.
fn readable() -> bool {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    !matches!(poll(&mut fds, PollTimeout::from(LOOK_MS)), Ok(0))
}

fn end_all(watched: &mut [Family]) {
    let patience = Instant::now() + Duration::from_secs(10);
    while Instant::now() < patience {
        let mut left = 0;
        for family in watched.iter_mut() {
            left += family.alive().len();
            family.signal(Signal::SIGKILL);
        }
        if left == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[expect(unsafe_code, reason = "signal(2) with SIG_IGN installs no handler that could misbehave")]
fn ignore(ignored: Signal) {
    // SAFETY: SIG_IGN runs no code of ours.
    let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
}
