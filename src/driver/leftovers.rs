//! The processes of an engine that remain when both lmrun and the engine's watchdog were killed.
//!
//! Each watchdog keeps a record of its engine's processes in the user's cache folder, and removes it when all
//! have ended. If a watchdog and its lmrun have ended, its record tells a later run which processes to kill.
//! A process belongs to the engine if its number and start are recorded, if it has the engine's mark in its
//! environment, or if it descends from such a process; and only if the record is of this boot, process-id
//! namespace and user.

use super::files;
use super::machine::cache_folder;
use super::owner::{Fate, Owner};
use super::text::printable;
use super::tree::{ProcessId, descendants, name_of, with_variable};
use super::watchdog::{MARK, Program};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The number of attempts to kill the processes of a record, and the time between two of them.
const LOOKS: usize = 100;
const EVERY: Duration = Duration::from_millis(20);
/// The age at which the record of another boot is removed. The cache folder may be shared by machines, so that
/// it may be another machine's.
const OLD_S: u64 = 30 * 24 * 3600;

/// The processes of an engine, as its watchdog records them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The label of the lmrun that ordered the engine.
    lmrun: Option<String>,
    /// The label of the watchdog.
    watchdog: Option<String>,
    /// The engine's program.
    program: String,
    /// The value of [`MARK`] in its environment.
    mark: String,
    /// Its processes, as last read.
    processes: BTreeSet<ProcessId>,
}

impl Record {
    /// The record of this process, a watchdog whose lmrun has this label.
    pub fn new(program: &Program, lmrun: Option<String>) -> Self {
        Self {
            lmrun,
            watchdog: Owner::this().map(|owner| owner.label()),
            program: program.argv.first().cloned().unwrap_or_default(),
            mark: program.env.get(MARK).cloned().unwrap_or_default(),
            processes: BTreeSet::new(),
        }
    }

    /// Sets the processes, and writes the record if they have changed.
    pub fn update(&mut self, processes: Vec<ProcessId>) {
        let processes = processes.into_iter().collect();
        if self.processes != processes {
            self.processes = processes;
            let _ = self.file().map(|file| self.write(&file)); // the engine is not to fail for it
        }
    }

    /// Removes it.
    pub fn remove(&self) {
        let _ = self.file().map(std::fs::remove_file);
    }

    fn write(&self, file: &Path) -> std::io::Result<()> {
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        files::replace(file, &serde_json::to_vec(self)?)
    }

    fn file(&self) -> Option<PathBuf> {
        Some(file_of(&folder()?, self.watchdog.as_deref()?))
    }

    /// The living processes that belong to the engine.
    fn living(&self) -> BTreeSet<ProcessId> {
        let recorded = self
            .processes
            .iter()
            .copied()
            .filter(|process| process.is_alive());
        let mut living: BTreeSet<ProcessId> =
            recorded.chain(with_variable(MARK, &self.mark)).collect();
        living.extend(descendants(living.iter().map(|process| process.pid)));
        living
    }

    /// Kills them until all have ended; returns those that were killed, and those that live on.
    async fn end(&mut self) -> (BTreeSet<String>, BTreeSet<ProcessId>) {
        let mut ended = BTreeSet::new();
        for _ in 0..LOOKS {
            let living = self.living();
            if living.is_empty() {
                break;
            }
            ended.extend(living.iter().map(named));
            for process in &living {
                let _ = process.signal(Signal::SIGKILL); // one that may not be killed lives on
            }
            // A child whose parent ends descends from none of them.
            self.processes.extend(living);
            tokio::time::sleep(EVERY).await;
        }
        (ended, self.living())
    }
}

/// The remaining processes of an engine.
#[derive(Debug)]
pub struct Leftover {
    record: Record,
    file: PathBuf,
}

impl Leftover {
    /// The engine's program.
    pub fn program(&self) -> String {
        printable(&self.record.program)
    }

    /// Its living processes, with names.
    pub fn processes(&self) -> String {
        joined(self.record.living().iter().map(named))
    }

    /// Kills them; returns a description of those that there were.
    async fn end(mut self) -> String {
        let (ended, left) = self.record.end().await;
        if left.is_empty() {
            let _ = std::fs::remove_file(&self.file); // else a later run finds that nothing lives
            return format!(
                "ended what a killed lmrun had left of `{}`: {}",
                self.program(),
                joined(ended)
            );
        }
        let (program, left) = (self.program(), joined(left.iter().map(named)));
        format!("what a killed lmrun had left of `{program}` cannot be ended from here: {left}")
    }
}

fn joined(names: impl IntoIterator<Item = String>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The leftovers of earlier runs.
pub fn find() -> Vec<Leftover> {
    folder().map(|folder| find_in(&folder)).unwrap_or_default()
}

/// Kills the leftovers of earlier runs; returns a description of them.
pub async fn end_all() -> Vec<String> {
    let mut texts = Vec::new();
    for leftover in find() {
        texts.push(leftover.end().await);
    }
    texts
}

/// Kills the processes that a killed watchdog of this process has left.
pub async fn end_of(watchdog: ProcessId) {
    let file = folder()
        .zip(Owner::near(watchdog))
        .map(|(folder, owner)| file_of(&folder, &owner.label()));
    if let Some((file, record)) = file.and_then(|file| Some((file.clone(), read(&file)?))) {
        Leftover { record, file }.end().await;
    }
}

fn find_in(folder: &Path) -> Vec<Leftover> {
    let Some(this) = Owner::this() else {
        return Vec::new();
    };
    let files = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    files.filter_map(|file| look_at(file, &this)).collect()
}

fn look_at(file: PathBuf, this: &Owner) -> Option<Leftover> {
    let record = read(&file)?;
    let owners =
        [&record.watchdog, &record.lmrun].map(|label| label.as_deref().and_then(Owner::of));
    let fates = owners.map(|owner| owner.map_or(Fate::MayLive, |owner| owner.fate(this)));
    match fates {
        [Fate::Ended, Fate::Ended] => {}
        [Fate::OtherBoot, _] => {
            let _ = age_s(&file)
                .filter(|age| *age > OLD_S)
                .map(|_| std::fs::remove_file(&file));
            return None;
        }
        _ => return None,
    }
    let living = record.living();
    if living.is_empty() {
        let _ = std::fs::remove_file(&file); // else the next look does it
    }
    // A run that was started by one of them would otherwise kill itself.
    let is_among_them = living.iter().any(|process| process.pid == this.pid());
    (!living.is_empty() && !is_among_them).then_some(Leftover { record, file })
}

/// The record in a file; `None` if another user can have written it.
fn read(file: &Path) -> Option<Record> {
    let is_ours = file.metadata().ok()?.uid() == geteuid().as_raw();
    serde_json::from_slice(&std::fs::read(file).ok().filter(|_| is_ours)?).ok()
}

fn age_s(file: &Path) -> Option<u64> {
    file.metadata()
        .ok()?
        .modified()
        .ok()?
        .elapsed()
        .ok()
        .map(|age| age.as_secs())
}

fn named(process: &ProcessId) -> String {
    format!(
        "{} (process {})",
        name_of(process.pid).unwrap_or_default(),
        process.pid
    )
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

    /// A process that may be left behind, and a record that says so.
    fn left() -> (Child, Record) {
        let child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let this = Owner::this().expect("Linux").label();
        let (before, start) = this.rsplit_once('/').expect("a start");
        let ended = Some(format!(
            "{before}/{}",
            start.parse::<u64>().expect("a number") + 1
        ));
        let process = ProcessId::of(child.id() as i32).expect("its id");
        let (program, mark) = ("engine".into(), "of nothing".into());
        let processes = BTreeSet::from([process]);
        (
            child,
            Record {
                lmrun: ended.clone(),
                watchdog: ended,
                program,
                mark,
                processes,
            },
        )
    }

    fn keep(record: &Record, folder: &Path) -> PathBuf {
        let file = folder.join("1.json");
        std::fs::write(&file, serde_json::to_vec(record).expect("JSON")).expect("written");
        file
    }

    #[tokio::test]
    async fn what_is_not_provably_ours_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut child, record) = left();
        let this = Owner::this().map(|owner| owner.label());
        let other = |from: &str, to: &str| {
            record
                .watchdog
                .as_deref()
                .map(|label| label.replacen(from, to, 1))
        };
        let reused = record
            .processes
            .iter()
            .map(|now| ProcessId {
                started: now.started - 1,
                ..*now
            })
            .collect();
        let copy = |watchdog: &Option<String>,
                    lmrun: &Option<String>,
                    processes: &BTreeSet<ProcessId>| Record {
            watchdog: watchdog.clone(),
            lmrun: lmrun.clone(),
            program: record.program.clone(),
            mark: record.mark.clone(),
            processes: processes.clone(),
        };
        for (case, kept, record) in [
            (
                "its lmrun lives",
                true,
                copy(&record.watchdog, &this, &record.processes),
            ),
            (
                "its watchdog lives",
                true,
                copy(&this, &record.lmrun, &record.processes),
            ),
            (
                "another boot",
                true,
                copy(&other("", "x"), &record.lmrun, &record.processes),
            ),
            (
                "another namespace",
                true,
                copy(&other("pid:[", "pid:[0"), &record.lmrun, &record.processes),
            ),
            (
                "an unknown owner",
                true,
                copy(&None, &None, &record.processes),
            ),
            (
                "its number is used again",
                false,
                copy(&record.watchdog, &record.lmrun, &reused),
            ),
        ] {
            let file = keep(&record, dir.path());
            assert!(find_in(dir.path()).is_empty(), "{case}");
            assert_eq!(file.exists(), kept, "{case}");
        }
        let file = keep(&record, dir.path());
        if geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(12345), None).expect("another owner");
            assert!(find_in(dir.path()).is_empty(), "another user's record");
            std::os::unix::fs::chown(&file, Some(0), None).expect("its owner");
        }
        assert!(child.try_wait().expect("its state").is_none(), "it lives");
        let found = find_in(dir.path()).pop().expect("it is ours");
        assert_eq!(found.processes(), format!("sleep (process {})", child.id()));
        let said = found.end().await;
        assert_eq!(
            said,
            format!(
                "ended what a killed lmrun had left of `engine`: sleep (process {})",
                child.id()
            )
        );
        assert!(!child.wait().expect("its end").success() && !file.exists());
    }

    #[test]
    fn a_record_is_there_as_long_as_its_watchdog_keeps_it() {
        let (mut child, record) = left();
        let dir = tempfile::tempdir().expect("a folder");
        let file = file_of(dir.path(), record.watchdog.as_deref().expect("a label"));
        record.write(&file).expect("written");
        let read = read(&file).expect("a record");
        assert_eq!((read.processes, read.mark), (record.processes, record.mark));
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
        child.kill().expect("its end");
        child.wait().expect("its end");
    }
}
