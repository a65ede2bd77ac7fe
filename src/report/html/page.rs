//! The page, by its template.

use super::parts::{FigureGroup, Grid, TestFacts, failures, summary, test_facts};
use super::requests::request_table;
use crate::driver::secrets::scrub;
use crate::figure::{Figure, inline_svg, page_css};
use crate::report::outcome::TestOutcome;
use crate::report::test_results::TestResults;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

/// A test, as the template takes it.
#[derive(Serialize)]
struct TestPart {
    number: usize,
    name: String,
    csv: String,
    outcome: Option<TestOutcome>,
    simulated: bool,
    invalid: String,
    facts: TestFacts,
    manifest: Option<String>,
    summary: Grid,
    failures: Vec<(String, usize, String)>,
    groups: Vec<GroupPart>,
    rows: String,
    rows_note: String,
}

#[derive(Serialize)]
struct GroupPart {
    title: String,
    figures: Vec<FigurePart>,
}

#[derive(Serialize)]
struct FigurePart {
    title: String,
    note: String,
    svg: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Returns the page of the tests, each with its figures.
///
/// # Errors
/// Fails if the template is wrong.
pub(crate) fn page(
    tests: &[TestResults],
    groups: &[Vec<FigureGroup>],
) -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.add_template("page", include_str!("page.html"))?;
    let requests: usize = tests.iter().map(|test| test.rows().count()).sum();
    let mut parts = Vec::new();
    for (number, (test, groups)) in tests.iter().zip(groups).enumerate() {
        let mut part = test_part(number, test, groups);
        (part.rows, part.rows_note) = request_table(number, test, requests);
        parts.push(part);
    }
    let title = match tests {
        [test] => test.name.as_str(),
        _ => "Results",
    };
    templates.get_template("page")?.render(context! {
        title,
        requests,
        version => env!("CARGO_PKG_VERSION"),
        css => page_css(),
        tests => Serde(&parts),
    })
}

fn test_part(number: usize, test: &TestResults, groups: &[FigureGroup]) -> TestPart {
    let manifest = test.manifest.as_ref();
    let manifest = manifest.and_then(|manifest| serde_json::to_string_pretty(manifest).ok());
    TestPart {
        number,
        name: test.name.clone(),
        csv: test.csv.display().to_string(),
        outcome: test.outcome(),
        simulated: test.is_simulated(),
        invalid: test.mark(),
        facts: test_facts(test),
        manifest: manifest.map(|manifest| scrub(&manifest)),
        summary: summary(test),
        failures: failures(test),
        groups: groups.iter().map(group_part).collect(),
        rows: String::new(),
        rows_note: String::new(),
    }
}

fn group_part(group: &FigureGroup) -> GroupPart {
    GroupPart {
        title: group.title.clone(),
        figures: group.figures.iter().map(figure_part).collect(),
    }
}

fn figure_part(figure: &Figure) -> FigurePart {
    let table = figure.table();
    FigurePart {
        title: figure.title.clone(),
        note: figure.note.clone(),
        svg: inline_svg(figure),
        head: table.head,
        rows: table.rows,
    }
}
