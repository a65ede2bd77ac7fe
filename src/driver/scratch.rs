//! Folders for what engines keep on disk during a test: made here, and removed here.
//!
//! They lie in one folder of this process's own. A lock beside it, held as long as this process
//! lives, tells a later run that finds it whether its owner is gone. Nothing else is ever removed:
//! what does not begin as a run's id does is somebody else's.

use super::files;
use parking_lot::Mutex;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// How the id of every run begins.
const RUN: &str = "lmrun-";

/// The scratch folders of this process. Dropping it removes them.
pub struct Scratch {
    root: PathBuf,
    own: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Scratch {
    /// Folders under `root/id`, which is made with the first of them; `id` is a run's. What runs that
    /// were killed have left under `root` is removed.
    pub fn new(root: PathBuf, id: &str) -> Self {
        remove_orphans(&root);
        Self {
            own: root.join(id),
            root,
            lock: Mutex::default(),
        }
    }

    /// The absolute path of the folder `name`, made if need be.
    ///
    /// # Errors
    /// When `name` is more than a name, or the system refuses.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_name) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "its name may have letters, digits, `-`, `_` and `.`, and does not begin with a dot",
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

    /// Removes the folders and all that is in them.
    ///
    /// # Errors
    /// When something of them stays.
    pub fn clear(&self) -> Result<()> {
        let mut lock = self.lock.lock();
        if lock.is_none() {
            return Ok(());
        }
        remove(&self.own)?;
        *lock = None;
        // Other runs may have theirs here.
        let _ = std::fs::remove_dir(&self.root);
        Ok(())
    }

    /// The lock comes before the folder, so that no folder of a living run is without one.
    fn claim(&self) -> Result<File> {
        std::fs::create_dir_all(&self.root)?;
        let lock = File::create_new(lock_of(&self.own))?;
        lock.lock()?;
        Ok(lock)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.clear(); // what stays, a later run finds
    }
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

/// Removes the folders whose lock is not held any more. If `root` is a link, nothing is removed: its target
/// may belong to another program.
fn remove_orphans(root: &Path) {
    if root.is_symlink() {
        return;
    }
    let entries = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    for lock in entries.filter(|path| is_lock_of_a_run(path)) {
        if files::open(&lock).is_ok_and(|file| file.try_lock().is_ok()) {
            // Where it fails, the next run tries again.
            let _ = remove(&lock.with_extension("")).and_then(|()| std::fs::remove_dir(root));
        }
    }
}

fn is_lock_of_a_run(path: &Path) -> bool {
    let is_run = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(RUN));
    is_run
        && path
            .extension()
            .is_some_and(|extension| extension == "lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(std::result::Result::ok);
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_made_once_and_cleared_with_what_is_in_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("scratch");
        let scratch = Scratch::new(root.clone(), "lmrun-1");
        assert!(!root.exists(), "nothing is made before it is asked for");
        let folder = scratch.folder("disk").expect("a folder");
        assert_eq!(folder, root.join("lmrun-1/disk"));
        std::fs::write(folder.join("kv"), "kv").expect("a file");
        assert_eq!(scratch.folder("disk").expect("the same"), folder);
        scratch.clear().expect("it goes");
        assert!(!root.exists());
        scratch.folder("again").expect("a folder");
        drop(scratch);
        assert!(!root.exists());
    }

    #[test]
    fn only_what_a_dead_run_left_is_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("scratch");
        for dead in ["theirs", "lmrun-dead"] {
            std::fs::create_dir_all(root.join(dead).join("disk")).expect("a folder");
            std::fs::write(root.join(format!("{dead}.lock")), "")
                .expect("a lock that nobody holds");
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
    fn behind_a_link_nothing_of_others_is_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (theirs, root) = (dir.path().join("theirs"), dir.path().join("scratch"));
        std::fs::create_dir_all(theirs.join("lmrun-dead")).expect("a folder");
        std::fs::write(theirs.join("lmrun-dead.lock"), "").expect("a lock that nobody holds");
        std::os::unix::fs::symlink(&theirs, &root).expect("a link");
        let scratch = Scratch::new(root, "lmrun-1");
        scratch.folder("disk").expect("a folder");
        drop(scratch);
        assert_eq!(files(&theirs), ["lmrun-dead", "lmrun-dead.lock"]);
    }

    #[test]
    fn a_path_is_no_name() {
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
