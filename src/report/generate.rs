//! `lmrun report`: an HTML page and PDFs of results.

use super::figures::EngineInks;
use super::html;
use super::outputs::latest;
use super::test_results::TestResults;
use crate::core::result::{ResultsError, is_result};
use crate::driver::files;
use crate::driver::text::is_printable;
use crate::figure;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The reason why there is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file is not a result file.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A folder has no results.
    #[error("no results in {}: expected a CSV that a run wrote, or a folder with some", path.display())]
    Nothing {
        /// The path.
        path: PathBuf,
    },
    /// A report cannot be made or written.
    #[error("cannot write {}: {problem}", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// The reason.
        problem: String,
    },
}

/// Reads the results at `paths`, files and folders, and writes a PDF beside each result file and one
/// page to `page`, or beside the first file. Returns the paths of the written files.
///
/// # Errors
/// Fails if a path has no results, or if a file cannot be written.
pub fn write_report(paths: &[PathBuf], page: Option<&Path>) -> Result<Vec<PathBuf>, ReportError> {
    let mut files = Vec::new();
    for path in paths {
        for file in results_at(path)? {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    let mut tests = Vec::new();
    for file in &files {
        tests.push(TestResults::read(file)?);
    }
    let inks = EngineInks::new(&tests);
    let mut written = Vec::new();
    let mut groups = Vec::new();
    for (number, test) in tests.iter().enumerate() {
        let figures = html::figure_groups(test, number, &inks);
        let sheet = test.outcome().map(|outcome| outcome.sheet(&test.name));
        let drawn = figures.iter().flat_map(|group| &group.figures);
        let path = test.csv.with_extension("pdf");
        replace(&path, figure::pdf(sheet.as_ref(), drawn))?;
        written.push(path);
        groups.push(figures);
    }
    let page = match page {
        Some(page) => page.to_owned(),
        None => files[0].with_file_name("report.html"),
    };
    let html = html::page(&tests, &groups).map_err(|e| e.to_string());
    replace(&page, html.map(|html| printable_page(&html).into_bytes()))?;
    written.push(page);
    Ok(written)
}

/// Returns the page without characters that change the direction of writing: names and manifests
/// may come from others.
fn printable_page(html: &str) -> String {
    html.chars()
        .filter(|c| is_printable(*c) || *c == '\n')
        .collect()
}

fn replace(path: &Path, bytes: Result<Vec<u8>, String>) -> Result<(), ReportError> {
    let written = bytes.and_then(|bytes| files::replace(path, &bytes).map_err(|e| e.to_string()));
    written.map_err(|problem| ReportError::Unwritten {
        path: path.into(),
        problem,
    })
}

/// Returns the result files at a path: a file, the results in a folder, or the results of the last
/// run in a folder of runs.
fn results_at(path: &Path) -> Result<Vec<PathBuf>, ReportError> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut files = results_in(path);
    if files.is_empty() {
        files = latest(path).map_or_else(Vec::new, |run| results_in(&run));
    }
    if files.is_empty() {
        return Err(ReportError::Nothing { path: path.into() });
    }
    Ok(files)
}

/// Returns the result files in a folder, by name.
fn results_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "csv") && is_result(&path) {
            files.push(path);
        }
    }
    files.sort();
    files
}
