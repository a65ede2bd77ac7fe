//! The CSV of a test.

use super::outputs::in_file;
use crate::core::Row;
use crate::core::result::row::COLUMNS;
use crate::driver::files;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A CSV that has every row on disk as soon as it is written, and never half a row.
pub struct Rows {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Rows {
    /// Creates the file, which must not exist, with its header: a test without a row has a readable file too.
    ///
    /// # Errors
    /// Fails if it cannot be created.
    pub fn create(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(|e| in_file(&path, &e))?;
        let mut rows = Self {
            file,
            path,
            length: 0,
        };
        let written = rows.append(header().as_bytes());
        written.map_err(|e| in_file(&rows.path, &e))?;
        Ok(rows)
    }

    /// Writes one row through to the file.
    ///
    /// # Errors
    /// Fails if it cannot be written, or if the file was removed, replaced or changed.
    pub fn write(&mut self, row: &Row) -> Result<()> {
        let line = line(row);
        line.and_then(|line| self.append(&line))
            .map_err(|e| in_file(&self.path, &e))
    }

    /// Writes into each row whether its experiment is `valid`, by its number. Rows of other experiments keep
    /// an empty cell. The file is written again under another name, and renamed: a kill leaves one or the
    /// other.
    ///
    /// # Errors
    /// Fails if it cannot be written, or if the file was removed, replaced or changed.
    pub fn judge(&mut self, valid: &BTreeMap<usize, bool>) -> Result<()> {
        self.replace(valid).map_err(|e| in_file(&self.path, &e))
    }

    fn replace(&mut self, valid: &BTreeMap<usize, bool>) -> Result<()> {
        self.check()?;
        let text = judged(&self.path, valid)?;
        files::replace(&self.path, &text)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.length = text.len() as u64;
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, line: &[u8]) -> Result<()> {
        if let Err(error) = self.file.write_all(line) {
            // If even this fails, the file ends in half a row.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        self.check()
    }

    /// Refuses a file that was replaced at its path, or that another process wrote to: rows would be missing
    /// without an error.
    fn check(&self) -> Result<()> {
        let own = self.file.metadata()?;
        let change = match self.path.symlink_metadata() {
            Err(_) => "it was removed",
            Ok(found) if (found.dev(), found.ino()) != (own.dev(), own.ino()) => "it was replaced",
            Ok(_) if own.len() != self.length => "another process changed it",
            Ok(_) => return Ok(()),
        };
        Err(Error::new(
            ErrorKind::NotFound,
            format!("{change} while the run went on"),
        ))
    }
}

/// The CSV at `path` with `valid` in its last column.
fn judged(path: &Path, valid: &BTreeMap<usize, bool>) -> Result<Vec<u8>> {
    let mut reader = csv::Reader::from_path(path)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(reader.byte_headers()?)?;
    for cells in reader.records() {
        let cells = cells?;
        let expr_id = cells.get(0).and_then(|cell| cell.parse().ok());
        let valid = expr_id
            .and_then(|expr_id: usize| valid.get(&expr_id))
            .map(bool::to_string);
        let last = valid.as_deref().unwrap_or(&cells[cells.len() - 1]);
        writer.write_record(cells.iter().take(cells.len() - 1).chain([last]))?;
    }
    writer.into_inner().map_err(|e| Error::other(e.to_string()))
}

/// Returns the row as a line.
fn line(row: &Row) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    writer.serialize(row)?;
    writer.into_inner().map_err(|e| Error::other(e.to_string()))
}

/// Returns the names of the columns as a line.
fn header() -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    names.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_whether_their_experiment_is_valid_and_nothing_else_changes() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.csv");
        let mut rows = Rows::create(path.clone()).expect("a file");
        let row = |expr_id| Row {
            expr_id: Some(expr_id),
            gpu_memory: r#"{"gpu-0":1}"#.into(),
            error: Some("a,\n\"b\"".into()),
            ttft: Some(0.1),
            ..Row::default()
        };
        for expr_id in [0, 1, 2] {
            rows.write(&row(expr_id)).expect("a row");
        }
        let before = std::fs::read_to_string(&path).expect("the CSV");
        rows.judge(&BTreeMap::from([(0, true), (1, false)]))
            .expect("judged");
        let after = std::fs::read_to_string(&path).expect("the CSV");
        let rows_read = crate::core::result::read(&path).expect("results").rows;
        assert_eq!(
            rows_read.iter().map(|row| row.valid).collect::<Vec<_>>(),
            [Some(true), Some(false), None]
        );
        assert_eq!(
            after.replace(",true\n", ",\n").replace(",false\n", ",\n"),
            before
        );
        rows.write(&row(3)).expect("a row behind it");
        assert_eq!(
            crate::core::result::read(&path)
                .expect("results")
                .rows
                .len(),
            4
        );
        assert!(!path.with_extension("csv.part").exists());
    }

    #[test]
    fn a_file_that_was_replaced_or_changed_takes_no_further_row() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.csv");
        let mut rows = Rows::create(path.clone()).expect("a file");
        rows.write(&Row::default()).expect("a row");
        assert!(Rows::create(path.clone()).is_err(), "it exists");
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("a file")
            .write_all(b"x")
            .expect("written");
        let error = rows.write(&Row::default()).expect_err("changed");
        assert!(
            error
                .to_string()
                .ends_with("another process changed it while the run went on"),
            "{error}"
        );

        let mut rows = Rows::create(dir.path().join("b.csv")).expect("a file");
        std::fs::rename(dir.path().join("b.csv"), dir.path().join("c.csv")).expect("moved");
        std::fs::write(dir.path().join("b.csv"), "").expect("another");
        let error = rows.write(&Row::default()).expect_err("replaced");
        assert!(
            error
                .to_string()
                .ends_with("it was replaced while the run went on"),
            "{error}"
        );
    }
}
