//! The files of a run: one CSV and one manifest a test.

use crate::bench::Row;
use std::fs::File;
use std::io::{Error, Result, Write};
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

/// A CSV that has every row on disk as soon as it is written.
pub struct Rows {
    writer: csv::Writer<File>,
    path: PathBuf,
}

impl Rows {
    /// Makes the file anew, with its header: a test without a row has a readable file too.
    pub fn create(path: PathBuf) -> Result<Self> {
        let mut file = File::create(&path).map_err(|e| in_file(&path, &e))?;
        header().and_then(|header| file.write_all(header.as_bytes())).map_err(|e| in_file(&path, &e))?;
        Ok(Self { writer: csv::WriterBuilder::new().has_headers(false).from_writer(file), path })
    }

    /// Writes one row through to the file.
    pub fn write(&mut self, row: &Row) -> Result<()> {
        let written = self.writer.serialize(row).map_err(Error::from).and_then(|()| self.writer.flush());
        written.map_err(|e| in_file(&self.path, &e))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The names of the columns, as a line.
fn header() -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(Row::default())?;
    let text = writer.into_inner().map_err(|e| Error::other(e.to_string()))?;
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned() + "\n")
}

fn in_file(path: &Path, error: &Error) -> Error {
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
