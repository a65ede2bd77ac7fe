//! Results into a page and PDFs.

use super::figures::Inks;
use super::html;
use super::outputs::latest;
use super::study::Study;
use crate::core::result::{ResultsError, is_result};
use crate::driver::files;
use crate::driver::text::is_printable;
use crate::figure;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file that is no result.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A path that leads to no result.
    #[error("no results in {}: expected a CSV that a run wrote, or a folder with some", path.display())]
    Nothing {
        /// The path.
        path: PathBuf,
    },
    /// A report that cannot be made or written.
    #[error("cannot write {}: {problem}", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// Reads the results at `paths`, files and folders, and writes a PDF beside each and one page to
/// `page`, or beside the first. Returns what was written.
///
/// # Errors
/// When a path leads to no results, or a file cannot be written.
pub fn write(paths: &[PathBuf], page: Option<&Path>) -> Result<Vec<PathBuf>, ReportError> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(
            results_at(path)?
                .into_iter()
                .filter(|file| !files.contains(file))
                .collect::<Vec<_>>(),
        );
    }
    let studies = files
        .iter()
        .map(|file| Study::read(file))
        .collect::<Result<Vec<_>, _>>()?;
    let inks = Inks::of(&studies);
    let groups: Vec<_> = studies
        .iter()
        .enumerate()
        .map(|(i, study)| html::groups(study, i, &inks))
        .collect();
    let mut written = Vec::new();
    for (study, groups) in studies.iter().zip(&groups) {
        let path = study.csv.with_extension("pdf");
        let sheet = study.verdict().map(|verdict| verdict.sheet(&study.name));
        let pages = figure::pdf(sheet.as_ref(), groups.iter().flat_map(|group| &group.1));
        keep(&path, pages)?;
        written.push(path);
    }
    let beside = || files[0].with_file_name("report.html");
    let path = page.map_or_else(beside, Path::to_owned);
    let title = if studies.len() == 1 {
        studies[0].name.clone()
    } else {
        "Results".into()
    };
    let html = html::page(&title, &studies, &groups).map_err(|e| e.to_string());
    keep(&path, html.map(|html| shown(&html).into_bytes()))?;
    written.push(path);
    Ok(written)
}

/// Returns the page without marks that turn the direction of writing: others may choose names and manifests.
fn shown(html: &str) -> String {
    html.chars()
        .filter(|c| is_printable(*c) || *c == '\n')
        .collect()
}

fn keep(path: &Path, bytes: Result<Vec<u8>, String>) -> Result<(), ReportError> {
    let written = bytes.and_then(|bytes| files::replace(path, &bytes).map_err(|e| e.to_string()));
    written.map_err(|problem| ReportError::Unwritten {
        path: path.into(),
        problem,
    })
}

/// A file, even if it holds no results; of a folder those that are results, by name; of a folder of
/// runs the results of the last one.
fn results_at(path: &Path) -> Result<Vec<PathBuf>, ReportError> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let found = results_in(path);
    if !found.is_empty() {
        return Ok(found);
    }
    match latest(path).map(|run| results_in(&run)) {
        Some(found) if !found.is_empty() => Ok(found),
        _ => Err(ReportError::Nothing { path: path.into() }),
    }
}

fn results_in(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let is_csv = |path: &PathBuf| path.extension().is_some_and(|e| e == "csv") && is_result(path);
    let mut found: Vec<PathBuf> = entries.filter(is_csv).collect();
    found.sort();
    found
}
