//! The files of a run: one CSV and one manifest a test.

use crate::bench::Row;
use std::fs::File;
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where results go, and how their files are called.
#[derive(Clone, Debug)]
pub struct Outputs {
    folder: PathBuf,
    suffix: String,
}

impl Outputs {
    /// Makes `folder`, and proves that files can be written to it. With a `model`, its
    /// organisation, or the last part of a local path, stands in every file name.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub fn prepare(folder: &Path, model: Option<&str>) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let probe = folder.join(format!(".lmrun-{}", std::process::id()));
        File::create(&probe).and_then(|_| std::fs::remove_file(&probe))?;
        let suffix = model.map_or_else(String::new, |model| format!("_{}", organisation(model)));
        Ok(Self { folder: folder.into(), suffix })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The CSV of a test.
    pub fn csv(&self, test: &str) -> PathBuf {
        self.folder.join(format!("{test}{}.csv", self.suffix))
    }

    /// Takes away what an earlier run of a test left: it would pass for this run's.
    pub fn clear(&self, test: &str) {
        for path in [self.csv(test), self.manifest(test)] {
            let _ = std::fs::remove_file(path); // mostly there is none
        }
    }

    /// The manifest of a test.
    pub fn manifest(&self, test: &str) -> PathBuf {
        self.folder.join(format!("{test}{}.manifest.json", self.suffix))
    }
}

/// The part of a model's name before the first slash; the last part of a local path.
fn organisation(model: &str) -> &str {
    let is_local = model.starts_with(['/', '.', '~']) || Path::new(model).exists();
    let part =
        if is_local { model.trim_end_matches('/').rsplit('/').next() } else { model.split('/').next() };
    part.unwrap_or(model)
}

/// A CSV that has every row on disk as soon as it is written, and never half a row.
pub struct Rows {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Rows {
    /// Makes the file anew, with its header: a test without a row has a readable file too.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(|e| in_file(&path, &e))?;
        let mut rows = Self { file, path, length: 0 };
        let written = header().and_then(|header| rows.append(header.as_bytes()));
        written.map_err(|e| in_file(&rows.path, &e))?;
        Ok(rows)
    }

    /// Writes one row through to the file.
    ///
    /// # Errors
    /// When it cannot be written, or the file was removed.
    pub fn write(&mut self, row: &Row) -> Result<()> {
        let line = line(row, false);
        line.and_then(|line| self.append(&line)).map_err(|e| in_file(&self.path, &e))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, line: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(line) {
            // Where even this fails, whoever reads it meets half a row.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        // A file that was removed takes every byte, and keeps none.
        match self.file.metadata()?.nlink() {
            0 => Err(Error::new(ErrorKind::NotFound, "it was removed while the run went on")),
            _ => Ok(()),
        }
    }
}

fn line(row: &Row, with_header: bool) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(with_header).from_writer(Vec::new());
    writer.serialize(row)?;
    writer.into_inner().map_err(|e| Error::other(e.to_string()))
}

/// The names of the columns, as a line.
fn header() -> Result<String> {
    let text = line(&Row::default(), true)?;
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned() + "\n")
}

/// An error that says which file it is about.
pub(super) fn in_file(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_carry_the_organisation() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |model| {
            let outputs = Outputs::prepare(folder.path(), model).expect("writable");
            outputs.csv("test_a").file_name().expect("a name").to_string_lossy().into_owned()
        };
        assert_eq!(name(None), "test_a.csv");
        assert_eq!(name(Some("mistralai/Mistral-7B-Instruct-v0.2")), "test_a_mistralai.csv");
        assert_eq!(name(Some("/models/smollm2-hf/")), "test_a_smollm2-hf.csv");
        assert_eq!(name(Some("gpt2")), "test_a_gpt2.csv");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_found_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("a file");
        assert!(Outputs::prepare(&file.join("sub"), None).is_err());
    }
}
