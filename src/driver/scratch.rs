//! Scratch folders: what engines keep on disk during a test, created and removed here.
//!
//! All lie in one folder of this process. This process holds a lock beside it until it exits. A
//! later run removes the folder if the lock is free. Only folders and locks with the name of a run
//! are removed: others may belong to another program.

use super::files;
use parking_lot::Mutex;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// The start of every run's id.
const RUN_PREFIX: &str = "lmrun-";

/// The scratch folders of this process. Dropping it removes them.
pub struct Scratch {
    root: PathBuf,
    own: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Scratch {
    /// Prepares folders under `root/id`, which is created with the first of them; `id` is a run's.
    /// Removes the folders that killed runs have left under `root`.
    pub(crate) fn new(root: PathBuf, id: &str) -> Self {
        remove_orphans(&root);
        Self {
            own: root.join(id),
            root,
            lock: Mutex::default(),
        }
    }

    /// Returns the absolute path of the folder `name`, which is created if it does not exist.
    ///
    /// # Errors
    /// Fails if `name` is not a plain name, or the folder cannot be created.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_name_char) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "its name may have letters, digits, `-`, `_` and `.`, and does not begin with a \
                 dot",
            ));
        }
        let mut lock = self.lock.lock();
        if lock.is_none() {
            *lock = Some(self.claim()?);
        }
        let folder = std::path::absolute(self.own.join(name))?;
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Removes the folders and everything in them.
    ///
    /// # Errors
    /// Fails if a part of them cannot be removed.
    pub(crate) fn clear(&self) -> Result<()> {
        let mut lock = self.lock.lock();
        if lock.is_none() {
            return Ok(());
        }
        remove(&self.own)?;
        *lock = None;
        // Fails if other runs have folders there.
        let _ = std::fs::remove_dir(&self.root);
        Ok(())
    }

    /// Creates the lock. It exists before the folder, so that no folder of a living run lacks one.
    fn claim(&self) -> Result<File> {
        std::fs::create_dir_all(&self.root)?;
        let lock = File::create_new(lock_of(&self.own))?;
        lock.lock()?;
        Ok(lock)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.clear(); // a later run removes the rest
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Removes a folder, and after it its lock.
fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => std::fs::remove_file(lock_of(folder)),
    }
}

/// Removes the folders whose lock is free. If `root` is a link, nothing is removed: its target may
/// belong to another program.
fn remove_orphans(root: &Path) {
    if root.is_symlink() {
        return;
    }
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_lock_of_a_run(&path)
            && files::open(&path).is_ok_and(|lock| lock.try_lock().is_ok())
            && remove(&path.with_extension("")).is_ok()
        // if this fails, the next run tries again
        {
            let _ = std::fs::remove_dir(root);
        }
    }
}

fn is_lock_of_a_run(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "lock")
        && path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(RUN_PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn clear_removes_scratch_folders_with_their_contents() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("scratch");
        let scratch = Scratch::new(root.clone(), "lmrun-1");
        assert!(
            !root.exists(),
            "nothing is created before the first request"
        );
        let folder = scratch.folder("disk").expect("a folder");
        assert_eq!(folder, root.join("lmrun-1/disk"));
        std::fs::write(folder.join("kv"), "kv").expect("a file");
        assert_eq!(scratch.folder("disk").expect("the same"), folder);
        scratch.clear().expect("removed");
        assert!(!root.exists());
        scratch.folder("again").expect("a folder");
        drop(scratch);
        assert!(!root.exists());
    }

    #[test]
    fn scratch_folders_of_dead_runs_are_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("scratch");
        for dead in ["theirs", "lmrun-dead"] {
            std::fs::create_dir_all(root.join(dead).join("disk")).expect("a folder");
            std::fs::write(root.join(format!("{dead}.lock")), "").expect("a free lock");
        }
        let living = Scratch::new(root.clone(), "lmrun-1");
        living.folder("disk").expect("a folder");
        assert_eq!(
            files(&root),
            ["lmrun-1", "lmrun-1.lock", "theirs", "theirs.lock"]
        );
        let other = Scratch::new(root.clone(), "lmrun-2");
        other.folder("disk").expect("a folder");
        let all = [
            "lmrun-1",
            "lmrun-1.lock",
            "lmrun-2",
            "lmrun-2.lock",
            "theirs",
            "theirs.lock",
        ];
        assert_eq!(files(&root), all);
        drop((living, other));
        assert_eq!(files(&root), ["theirs", "theirs.lock"]);
        assert!(root.join("theirs/disk").exists());
    }

    #[test]
    fn nothing_is_removed_behind_a_link() {
        let dir = tempfile::tempdir().expect("a folder");
        let theirs = dir.path().join("theirs");
        let root = dir.path().join("scratch");
        std::fs::create_dir_all(theirs.join("lmrun-dead")).expect("a folder");
        std::fs::write(theirs.join("lmrun-dead.lock"), "").expect("a free lock");
        std::os::unix::fs::symlink(&theirs, &root).expect("a link");
        let scratch = Scratch::new(root, "lmrun-1");
        scratch.folder("disk").expect("a folder");
        drop(scratch);
        assert_eq!(files(&theirs), ["lmrun-dead", "lmrun-dead.lock"]);
    }

    #[test]
    fn scratch_names_must_not_be_paths() {
        let dir = tempfile::tempdir().expect("a folder");
        let scratch = Scratch::new(dir.path().join("scratch"), "lmrun-1");
        for name in ["", ".", "..", "../x", "/etc", "a/b", "~"] {
            let error = scratch.folder(name).expect_err(name);
            assert!(
                error.to_string().starts_with("its name may have letters"),
                "{error}"
            );
        }
        assert!(!dir.path().join("scratch").exists());
    }
}
