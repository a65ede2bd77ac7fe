//! Leftovers: the processes of an engine that remain if both lmrun and the engine's watchdog were
//! killed.
//!
//! Each watchdog keeps a record of its engine's processes in the user's cache folder, and removes
//! it when all have exited. If a watchdog and its lmrun have exited, its record tells a later run
//! which processes to kill. A process belongs to the engine if its PID and start are recorded, if
//! it has the engine's tag in its environment, or if it descends from such a process; and only if
//! the record is of this boot, process-id namespace and user.

use super::files;
use super::machine::cache_folder;
use super::owner::{OwnerId, OwnerState};
use super::process_id::{ProcessId, descendants, processes_with_variable, program_name};
use super::text::printable;
use super::watchdog::{ENV_TAG, ProgramSpec};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The maximum number of attempts to kill the processes of a record, and the pause between two.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);
/// The age at which the record of another boot is removed. Machines may share the cache folder, so
/// it may be another machine's.
const OLD: Duration = Duration::from_hours(30 * 24);

/// The processes of an engine, as its watchdog records them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    /// The label of the lmrun that started the engine.
    lmrun: Option<String>,
    /// The label of the watchdog.
    watchdog: Option<String>,
    /// The engine's program.
    program: String,
    /// The value of [`ENV_TAG`] in its environment.
    #[serde(rename = "mark")]
    tag: String,
    /// Its processes when the record was last updated.
    processes: BTreeSet<ProcessId>,
}

impl ProcessRecord {
    /// Creates the record of this process, a watchdog whose lmrun has this label.
    pub(crate) fn new(program: &ProgramSpec, lmrun: Option<String>) -> Self {
        Self {
            lmrun,
            watchdog: OwnerId::current().map(|owner| owner.label()),
            program: program.argv.first().cloned().unwrap_or_default(),
            tag: program.env.get(ENV_TAG).cloned().unwrap_or_default(),
            processes: BTreeSet::new(),
        }
    }

    /// Sets the processes, and writes the record if they have changed.
    pub(crate) fn update(&mut self, processes: Vec<ProcessId>) {
        let processes = processes.into_iter().collect();
        if self.processes != processes {
            self.processes = processes;
            if let Some(file) = self.file() {
                let _ = self.write(&file); // the engine runs without a record as well
            }
        }
    }

    /// Removes its file.
    pub(crate) fn remove(&self) {
        if let Some(file) = self.file() {
            let _ = std::fs::remove_file(file);
        }
    }

    fn write(&self, file: &Path) -> std::io::Result<()> {
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        files::replace(file, &serde_json::to_vec(self)?)
    }

    fn file(&self) -> Option<PathBuf> {
        Some(file_of(&folder()?, self.watchdog.as_deref()?))
    }

    /// Returns the living processes that belong to the engine.
    fn living(&self) -> BTreeSet<ProcessId> {
        let mut living: BTreeSet<ProcessId> = self.processes.clone();
        living.retain(|process| process.is_alive());
        living.extend(processes_with_variable(ENV_TAG, &self.tag));
        living.extend(descendants(living.iter().map(|process| process.pid)));
        living
    }

    /// Kills the processes until all have exited. Returns the names of those that were killed, and
    /// those that are still alive.
    async fn kill(&mut self) -> (BTreeSet<String>, BTreeSet<ProcessId>) {
        let mut killed = BTreeSet::new();
        for _ in 0..ATTEMPTS {
            let living = self.living();
            if living.is_empty() {
                break;
            }
            killed.extend(living.iter().map(named));
            for process in &living {
                let _ = process.signal(Signal::SIGKILL); // without permission it stays alive
            }
            // A child whose parent exits descends from none of them any more.
            self.processes.extend(living);
            tokio::time::sleep(PAUSE).await;
        }
        (killed, self.living())
    }
}

/// The remaining processes of an engine.
#[derive(Debug)]
pub(crate) struct Leftover {
    record: ProcessRecord,
    file: PathBuf,
}

impl Leftover {
    /// Returns the engine's program.
    pub(crate) fn program(&self) -> String {
        printable(&self.record.program)
    }

    /// Returns the names and PIDs of its living processes.
    pub(crate) fn processes(&self) -> String {
        joined(self.record.living().iter().map(named))
    }

    /// Kills the processes. Returns a message about them.
    async fn kill(mut self) -> String {
        let (killed, survivors) = self.record.kill().await;
        let program = self.program();
        if survivors.is_empty() {
            let _ = std::fs::remove_file(&self.file); // if this fails, a later run removes it
            let killed = joined(killed);
            return format!("killed processes of `{program}`, left by a killed lmrun: {killed}");
        }
        let survivors = joined(survivors.iter().map(named));
        format!("cannot kill processes of `{program}`, left by a killed lmrun: {survivors}")
    }
}

fn joined(names: impl IntoIterator<Item = String>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Returns the leftovers of earlier runs.
pub(crate) fn find() -> Vec<Leftover> {
    folder().map(|folder| find_in(&folder)).unwrap_or_default()
}

/// Kills the leftovers of earlier runs. Returns a message about each.
pub(crate) async fn kill_all() -> Vec<String> {
    let mut messages = Vec::new();
    for leftover in find() {
        messages.push(leftover.kill().await);
    }
    messages
}

/// Kills the processes of a watchdog that was started by this process and was killed.
pub(crate) async fn kill_of(watchdog: ProcessId) {
    let Some((folder, owner)) = folder().zip(OwnerId::new(watchdog)) else {
        return;
    };
    let file = file_of(&folder, &owner.label());
    if let Some(record) = read(&file) {
        Leftover { record, file }.kill().await;
    }
}

fn find_in(folder: &Path) -> Vec<Leftover> {
    let Some(this) = OwnerId::current() else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| leftover_of(entry.path(), &this))
        .collect()
}

/// Returns the leftover that a record describes, if its watchdog and its lmrun have exited. Removes
/// records that are of no use any more.
fn leftover_of(file: PathBuf, this: &OwnerId) -> Option<Leftover> {
    let record = read(&file)?;
    match [&record.watchdog, &record.lmrun].map(|label| state_of(label.as_deref(), this)) {
        [OwnerState::Exited, OwnerState::Exited] => {}
        [OwnerState::OtherBoot, _] => {
            if age(&file).is_some_and(|age| age > OLD) {
                let _ = std::fs::remove_file(&file);
            }
            return None;
        }
        _ => return None,
    }
    let living = record.living();
    if living.is_empty() {
        let _ = std::fs::remove_file(&file); // if this fails, the next run tries again
        return None;
    }
    // A run that was started by one of them would otherwise kill itself.
    let is_among_them = living.iter().any(|process| process.pid == this.pid());
    (!is_among_them).then_some(Leftover { record, file })
}

fn state_of(label: Option<&str>, this: &OwnerId) -> OwnerState {
    match label.and_then(OwnerId::from_label) {
        Some(owner) => owner.state(this),
        None => OwnerState::MayLive,
    }
}

/// Returns the record in a file, or `None` if another user can have written it.
fn read(file: &Path) -> Option<ProcessRecord> {
    if file.metadata().ok()?.uid() != geteuid().as_raw() {
        return None;
    }
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

fn age(file: &Path) -> Option<Duration> {
    file.metadata().ok()?.modified().ok()?.elapsed().ok()
}

fn named(process: &ProcessId) -> String {
    let name = program_name(process.pid).unwrap_or_else(|| "exited".into());
    format!("{name} (process {})", process.pid)
}

fn folder() -> Option<PathBuf> {
    Some(cache_folder()?.join("processes"))
}

fn file_of(folder: &Path, label: &str) -> PathBuf {
    folder
        .join(label.replace(['/', ':', '[', ']'], "-"))
        .with_extension("json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    /// Starts a process, and returns a record of it whose lmrun and watchdog have exited.
    fn leftover() -> (Child, ProcessRecord) {
        let child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let this = OwnerId::current().expect("Linux").label();
        let (before, start) = this.rsplit_once('/').expect("a start");
        let start: u64 = start.parse().expect("a number");
        let exited = format!("{before}/{}", start + 1);
        let process = ProcessId::find(child.id() as i32).expect("its id");
        let record = ProcessRecord {
            lmrun: Some(exited.clone()),
            watchdog: Some(exited),
            program: "engine".into(),
            tag: "of nothing".into(),
            processes: BTreeSet::from([process]),
        };
        (child, record)
    }

    fn copy(record: &ProcessRecord) -> ProcessRecord {
        let json = serde_json::to_value(record).expect("JSON");
        serde_json::from_value(json).expect("a record")
    }

    fn write(record: &ProcessRecord, folder: &Path) -> PathBuf {
        let file = folder.join("1.json");
        std::fs::write(&file, serde_json::to_vec(record).expect("JSON")).expect("written");
        file
    }

    #[tokio::test]
    async fn find_skips_records_of_living_and_unknown_owners() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut child, record) = leftover();
        let this = OwnerId::current().map(|owner| owner.label());
        let watchdog = record.watchdog.clone().expect("a label");
        let with_watchdog = |label: Option<String>| ProcessRecord {
            watchdog: label,
            ..copy(&record)
        };
        let lmrun_lives = ProcessRecord {
            lmrun: this.clone(),
            ..copy(&record)
        };
        let unknown_owner = ProcessRecord {
            lmrun: None,
            ..with_watchdog(None)
        };
        let other_namespace = watchdog.replacen("pid:[", "pid:[0", 1);
        for (case, record) in [
            ("its lmrun lives", lmrun_lives),
            ("its watchdog lives", with_watchdog(this)),
            ("another boot", with_watchdog(Some(format!("x{watchdog}")))),
            ("another namespace", with_watchdog(Some(other_namespace))),
            ("an unknown owner", unknown_owner),
        ] {
            let file = write(&record, dir.path());
            assert!(find_in(dir.path()).is_empty(), "{case}");
            assert!(file.exists(), "{case}");
        }
        let process = *record.processes.first().expect("a process");
        let earlier = ProcessId {
            started: process.started - 1,
            ..process
        };
        let reused = ProcessRecord {
            processes: BTreeSet::from([earlier]),
            ..copy(&record)
        };
        let file = write(&reused, dir.path());
        assert!(find_in(dir.path()).is_empty(), "a reused PID");
        assert!(!file.exists(), "a record without a living process");
        let file = write(&record, dir.path());
        if geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(12345), None).expect("another owner");
            assert!(find_in(dir.path()).is_empty(), "another user's record");
            std::os::unix::fs::chown(&file, Some(0), None).expect("its owner");
        }
        assert!(
            child.try_wait().expect("its state").is_none(),
            "it is alive"
        );
        let found = find_in(dir.path()).pop().expect("a leftover");
        let name = format!("sleep (process {})", child.id());
        assert_eq!(found.processes(), name);
        assert_eq!(
            found.kill().await,
            format!("killed processes of `engine`, left by a killed lmrun: {name}")
        );
        assert!(!child.wait().expect("its status").success() && !file.exists());
    }

    #[test]
    fn a_written_record_can_be_read() {
        let (mut child, record) = leftover();
        let dir = tempfile::tempdir().expect("a folder");
        let file = file_of(dir.path(), record.watchdog.as_deref().expect("a label"));
        record.write(&file).expect("written");
        let read = read(&file).expect("a record");
        assert_eq!((read.processes, read.tag), (record.processes, record.tag));
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
        child.kill().expect("killed");
        child.wait().expect("its status");
    }
}
