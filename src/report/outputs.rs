//! The folder of a run's results, and the names of its files.

use crate::driver::machine;
use jiff::Timestamp;
use serde_json::Value;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The link in the folder of all runs to the last run with results.
const LATEST: &str = "latest";
/// The folder that takes the results of earlier runs, see [`Outputs::move_aside`].
const EARLIER: &str = "earlier";
/// The file whose lock the writer of a folder holds.
const LOCK: &str = ".lmrun.lock";

/// The requested place of a run's results.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// Exactly this folder, which holds one run at a time.
    Folder(&'a Path),
    /// A new folder for this run, `BASE/DATE-TIME-LABEL`.
    NewFolder {
        /// The folder of all runs.
        base: &'a Path,
        /// The script, or another word for the run.
        label: &'a str,
    },
}

/// The place of results, and the names of their files.
#[derive(Clone, Debug)]
pub struct Outputs {
    folder: PathBuf,
    shared: PathBuf,
    suffix: String,
    /// `None` for a new folder, which has only one writer.
    lock: Option<Arc<Lock>>,
}

/// A folder's lock, held until it is dropped.
#[derive(Debug)]
struct Lock {
    _file: File,
    /// The reason for which the file system gave no lock.
    missing: Option<Error>,
}

impl Outputs {
    /// Creates the folder, and checks that files can be written to it. With a `model`, its
    /// organisation, or the last part of a local path, is part of every file name.
    ///
    /// # Errors
    /// Fails if the folder cannot be created or written to, or if another run writes to it.
    pub fn prepare(destination: Destination<'_>, model: Option<&str>) -> Result<Self> {
        let suffix = model.map_or_else(String::new, |model| format!("_{}", organisation(model)));
        match destination {
            Destination::Folder(folder) => {
                std::fs::create_dir_all(folder)?;
                let lock = lock(folder)?;
                Ok(Self {
                    folder: folder.into(),
                    shared: folder.into(),
                    suffix,
                    lock: Some(Arc::new(lock)),
                })
            }
            Destination::NewFolder { base, label } => {
                std::fs::create_dir_all(base)?;
                let folder = new_folder(
                    base,
                    format!("{}-{}", date_time(Timestamp::now()), plain(label)),
                )?;
                Ok(Self {
                    folder,
                    shared: base.into(),
                    suffix,
                    lock: None,
                })
            }
        }
    }

    /// The text that warns of a folder which cannot be locked.
    pub fn warning(&self) -> Option<String> {
        let missing = self.lock.as_ref()?.missing.as_ref()?;
        Some(format!(
            "{} cannot be locked ({missing}): let no other lmrun write there",
            self.folder.display()
        ))
    }

    /// The folder of this run's results.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder for files that a later run must find, such as the leftovers of a killed run.
    pub fn shared(&self) -> &Path {
        &self.shared
    }

    /// The CSV of a test.
    pub fn csv(&self, test: &str) -> PathBuf {
        self.folder.join(format!("{test}{}.csv", self.suffix))
    }

    /// The manifest of a test.
    pub fn manifest(&self, test: &str) -> PathBuf {
        self.csv(test).with_extension("manifest.json")
    }

    /// Returns true if no earlier run left results of `test`.
    pub fn is_free(&self, test: &str) -> bool {
        !self.csv(test).exists() && !self.manifest(test).exists()
    }

    /// Moves the results of `test` that an earlier run left to a folder for that run, `earlier/DATE-TIME`,
    /// with the reports that were drawn from them. Returns that folder, `None` without such results.
    ///
    /// # Errors
    /// Fails if the system refuses.
    pub fn move_aside(&self, test: &str) -> Result<Option<PathBuf>> {
        if self.is_free(test) {
            return Ok(None);
        }
        let (csv, manifest) = (self.csv(test), self.manifest(test));
        let began = start_of(&manifest)
            .or_else(|| modified(&csv))
            .or_else(|| modified(&manifest));
        let earlier = self.folder.join(EARLIER);
        std::fs::create_dir_all(&earlier)?;
        let taken = |folder: &Path| {
            [&csv, &manifest]
                .iter()
                .any(|file| in_folder(folder, file).exists())
        };
        let mut folders = numbered(&earlier, date_time(began.unwrap_or_else(Timestamp::now)));
        let Some(folder) = folders.find(|folder| !taken(folder)) else {
            unreachable!("numbers do not end")
        };
        std::fs::create_dir_all(&folder)?;
        let drawn = [csv.with_extension("pdf"), self.folder.join("report.html")];
        for file in [csv, manifest]
            .into_iter()
            .chain(drawn)
            .filter(|file| file.exists())
        {
            std::fs::rename(&file, in_folder(&folder, &file)).map_err(|e| in_file(&file, &e))?;
        }
        Ok(Some(folder))
    }

    /// Points `latest` to this run, if it has its own folder.
    pub fn mark_latest(&self) {
        let Some(name) = self
            .folder
            .file_name()
            .filter(|_| self.folder != self.shared)
        else {
            return;
        };
        let part = self
            .shared
            .join(format!(".{LATEST}-{}", std::process::id()));
        // The link is a convenience: without it (no links, or a folder of that name) no result is lost.
        let made =
            symlink(name, &part).and_then(|()| std::fs::rename(&part, self.shared.join(LATEST)));
        if made.is_err() {
            let _ = std::fs::remove_file(&part);
        }
    }

    /// Removes the run's own folder if nothing was written to it.
    pub fn remove_if_empty(&self) {
        if self.folder != self.shared {
            let _ = std::fs::remove_dir(&self.folder); // it stays where it has files
        }
    }
}

/// The last run with results in a folder of runs.
pub fn latest(runs: &Path) -> Option<PathBuf> {
    let run = std::fs::read_link(runs.join(LATEST)).ok()?;
    Some(runs.join(run))
}

/// Takes the lock of `folder`.
fn lock(folder: &Path) -> Result<Lock> {
    let no_link = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(no_link);
    let mut file = options.open(folder.join(LOCK))?;
    let missing = match file.try_lock() {
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => return Err(owned(&mut file)),
        Err(TryLockError::Error(e)) => Some(e),
    };
    file.set_len(0)?;
    write!(
        file,
        "process {} on {}",
        std::process::id(),
        machine::host()
    )?;
    Ok(Lock {
        _file: file,
        missing,
    })
}

/// Returns the error that names the owner of a lock, if its file does.
fn owned(lock: &mut File) -> Error {
    let mut owner = String::new();
    let _ = lock.read_to_string(&mut owner);
    Error::new(
        ErrorKind::ResourceBusy,
        format!("another lmrun writes there ({owner})"),
    )
}

/// Creates `base/name`, or `base/name-2` and so on if that exists.
fn new_folder(base: &Path, name: String) -> Result<PathBuf> {
    for folder in numbered(base, name) {
        match std::fs::create_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
    unreachable!("numbers do not end")
}

/// The paths `base/name`, `base/name-2`, `base/name-3` and so on.
fn numbered(base: &Path, name: String) -> impl Iterator<Item = PathBuf> {
    std::iter::once(base.join(&name)).chain((2..).map(move |n| base.join(format!("{name}-{n}"))))
}

fn in_folder(folder: &Path, file: &Path) -> PathBuf {
    folder.join(file.file_name().unwrap_or_default())
}

/// A moment in a file name, UTC.
fn date_time(moment: Timestamp) -> String {
    moment.strftime("%Y%m%d-%H%M%S").to_string()
}

/// The start of the run that wrote a manifest.
fn start_of(manifest: &Path) -> Option<Timestamp> {
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).ok()?).ok()?;
    Timestamp::from_second(manifest["started_unix_s"].as_i64()?).ok()
}

fn modified(file: &Path) -> Option<Timestamp> {
    Timestamp::try_from(file.metadata().ok()?.modified().ok()?).ok()
}

/// A word for a folder's name.
fn plain(label: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    label.chars().map(keep).collect()
}

/// The part of a model's name before the first slash; the last part of a local path.
fn organisation(model: &str) -> &str {
    let is_local = model.starts_with(['/', '.', '~']) || Path::new(model).exists();
    let part = if is_local {
        model.trim_end_matches('/').rsplit('/').next()
    } else {
        model.split('/').next()
    };
    part.unwrap_or(model)
}

/// An error that names its file.
pub(super) fn in_file(path: &Path, error: &Error) -> Error {
    Error::new(
        error.kind(),
        format!("cannot write {}: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry"));
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    fn outputs(folder: &Path, model: Option<&str>) -> Outputs {
        Outputs::prepare(Destination::Folder(folder), model).expect("writable")
    }

    #[test]
    fn file_names_carry_the_organisation() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |model| {
            let csv = outputs(folder.path(), model).csv("test_a");
            csv.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        assert_eq!(name(None), "test_a.csv");
        assert_eq!(
            name(Some("mistralai/Mistral-7B-Instruct-v0.2")),
            "test_a_mistralai.csv"
        );
        assert_eq!(name(Some("/models/smollm2-hf/")), "test_a_smollm2-hf.csv");
        assert_eq!(name(Some("gpt2")), "test_a_gpt2.csv");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_found_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("a file");
        assert!(Outputs::prepare(Destination::Folder(&file.join("sub")), None).is_err());
    }

    #[test]
    fn a_folder_has_one_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = outputs(folder.path(), None);
        let refused = Outputs::prepare(Destination::Folder(folder.path()), None)
            .expect_err("a second writer");
        let expected = format!(
            "another lmrun writes there (process {} on ",
            std::process::id()
        );
        assert!(refused.to_string().starts_with(&expected), "{refused}");
        drop(first);
        outputs(folder.path(), None);
    }

    #[test]
    fn each_run_has_a_folder_of_its_own_and_latest_leads_to_the_last_with_results() {
        let base = tempfile::tempdir().expect("a folder");
        let run = || {
            Outputs::prepare(
                Destination::NewFolder {
                    base: base.path(),
                    label: "a/b",
                },
                None,
            )
            .expect("writable")
        };
        let (first, second, third) = (run(), run(), run());
        assert!(first.folder() != second.folder() && second.folder() != third.folder());
        assert!(
            first.folder().to_string_lossy().ends_with("-a_b"),
            "{}",
            first.folder().display()
        );
        assert_eq!(
            names(base.path()).len(),
            3,
            "no link before there are results"
        );
        first.mark_latest();
        second.mark_latest();
        assert_eq!(latest(base.path()).as_deref(), Some(second.folder()));
        assert!(base.path().join("latest").is_dir());
        std::fs::write(first.csv("test_a"), "").expect("a file");
        first.remove_if_empty();
        third.remove_if_empty();
        assert!(first.folder().exists() && !third.folder().exists());
    }

    #[test]
    fn earlier_results_are_moved_aside_with_what_was_drawn_from_them() {
        let dir = tempfile::tempdir().expect("a folder");
        let outputs = outputs(dir.path(), None);
        let write =
            |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
        assert!(
            outputs
                .move_aside("test_a")
                .expect("nothing to move")
                .is_none()
        );
        for _ in 0..2 {
            for name in ["test_a.csv", "test_a.pdf", "report.html", "test_b.csv"] {
                write(name, name);
            }
            write("test_a.manifest.json", r#"{"started_unix_s": 86400}"#);
            outputs
                .move_aside("test_a")
                .expect("moved")
                .expect("to a folder");
        }
        assert_eq!(names(dir.path()), ["earlier", "test_b.csv"]);
        assert_eq!(
            names(&dir.path().join("earlier")),
            ["19700102-000000", "19700102-000000-2"]
        );
        let kept = [
            "report.html",
            "test_a.csv",
            "test_a.manifest.json",
            "test_a.pdf",
        ];
        assert_eq!(names(&dir.path().join("earlier/19700102-000000-2")), kept);
    }
}
