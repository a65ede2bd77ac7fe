//! One page that holds everything, and asks nobody for more.

use super::amounts::cached_share;
use super::figures::{Inks, Maker, label};
use super::study::{Experiment, Study};
use super::verdict::Verdict;
use crate::core::result::Record;
use crate::core::{Distribution, Tail};
use crate::driver::secrets::scrub;
use crate::figure::{Figure, escape, inline_svg, number, page_css};
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// More requests than this are not listed one by one.
const MOST_ROWS: usize = 10_000;
/// How many of those are.
const SHOWN_ROWS: usize = 2_000;

#[derive(Serialize)]
struct StudyPart {
    number: usize,
    name: String,
    csv: String,
    verdict: Option<Verdict>,
    simulated: bool,
    invalid: String,
    facts: Vec<(&'static str, String)>,
    manifest: Option<String>,
    summary: Grid,
    failures: Vec<(String, usize, String)>,
    groups: Vec<Group>,
    rows: String,
    rows_note: String,
}

#[derive(Serialize)]
struct Grid {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct Group {
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

/// The figures of a study under their headings, in the order of the page and of the PDF.
pub type Groups = Vec<(String, Vec<Figure>)>;

/// All figures of a study.
pub fn groups(study: &Study, number: usize, inks: &Inks) -> Groups {
    let maker = Maker {
        study,
        number,
        inks,
    };
    let experiments = study.experiments.iter().enumerate();
    let mut groups: Groups = experiments
        .map(|(at, e)| (with_mark(e, &e.title), maker.of_experiment(at)))
        .collect();
    groups.insert(0, ("All experiments".into(), maker.of_all()));
    groups.retain(|group| !group.1.is_empty());
    groups
}

/// The page, or what the template says is wrong.
pub fn page(title: &str, studies: &[Study], groups: &[Groups]) -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.add_template("page", include_str!("page.html"))?;
    let requests: usize = studies.iter().map(|study| study.records().count()).sum();
    let parts: Vec<StudyPart> = studies
        .iter()
        .zip(groups)
        .enumerate()
        .map(|(i, (study, groups))| part(i, study, groups, requests))
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let css = page_css();
    templates.get_template("page")?.render(
        context! { title, requests, version, css, studies => minijinja::value::Serde(&parts) },
    )
}

fn part(number: usize, study: &Study, groups: &Groups, all: usize) -> StudyPart {
    let (rows, rows_note) = rows(number, study, all);
    let group = |(title, figures): &(String, Vec<Figure>)| Group {
        title: title.clone(),
        figures: figures.iter().map(figure).collect(),
    };
    StudyPart {
        number,
        name: study.name.clone(),
        csv: study.csv.display().to_string(),
        verdict: study.verdict(),
        simulated: study.is_simulated(),
        invalid: study.mark(),
        facts: facts(study),
        manifest: study
            .manifest
            .as_ref()
            .and_then(|json| serde_json::to_string_pretty(json).ok())
            .map(|json| scrub(&json)),
        summary: summary(study),
        failures: failures(study),
        groups: groups.iter().map(group).collect(),
        rows,
        rows_note,
    }
}

fn figure(figure: &Figure) -> FigurePart {
    let table = figure.table();
    let (title, note) = (figure.title.clone(), figure.note.clone());
    FigurePart {
        title,
        note,
        svg: inline_svg(figure),
        head: table.head,
        rows: table.rows,
    }
}

/// What was run, in short.
fn facts(study: &Study) -> Vec<(&'static str, String)> {
    let mut facts = vec![("results", study.csv.display().to_string())];
    let Some(manifest) = &study.manifest else {
        facts.push(("manifest", "none beside the file".into()));
        return facts;
    };
    let words = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    };
    let names = [
        ("command", "argv"),
        ("script", "script"),
        ("seed", "seed"),
        ("GPUs", "gpus"),
        ("lmrun", "lmrun"),
        ("run", "run_id"),
    ];
    let told = names
        .iter()
        .filter_map(|(name, key)| Some((*name, words(manifest.get(*key)?))));
    facts.extend(
        told.filter(|fact| !fact.1.is_empty())
            .map(|(name, fact)| (name, scrub(&fact))),
    );
    let started = manifest.get("started_unix_s").and_then(Value::as_i64);
    let started = started.and_then(|s| jiff::Timestamp::from_second(s).ok());
    facts.extend(started.map(|moment| ("started", moment.to_string())));
    facts
}

fn summary(study: &Study) -> Grid {
    let head = [
        "experiment",
        "engine",
        "ok",
        "failed",
        "TTFT p50 s",
        "p99",
        "TPOT p50 s",
        "latency p50 s",
        "p99",
        "decode tokens/s p50",
        "cached",
        "send lag p99 ms",
    ];
    let experiments = study.experiments.iter();
    let rows = experiments.flat_map(|e| {
        e.engines
            .iter()
            .map(|(name, records)| line(e, name, records))
    });
    Grid {
        head: head.map(str::to_owned).into(),
        rows: rows.collect(),
    }
}

fn line(experiment: &Experiment, name: &str, records: &[Record]) -> Vec<String> {
    let of = |measure: fn(&Record) -> Option<f64>| {
        records.iter().filter_map(measure).collect::<Distribution>()
    };
    let tell = |value: Option<f64>| value.map_or_else(|| "–".into(), number);
    let tail = |tail: Option<Tail>| tail.map_or_else(|| "–".into(), |tail| tail.text(number));
    let (ttft, latency) = (of(|r| r.ttft), of(|r| r.latency));
    let ok = records.iter().filter(|record| record.is_ok()).count();
    vec![
        with_mark(experiment, &experiment.title),
        label(name, records),
        ok.to_string(),
        (records.len() - ok).to_string(),
        tell(ttft.percentile(50.0)),
        tail(ttft.percentile_or_max(99.0)),
        tell(of(|r| r.tpot_s).percentile(50.0)),
        tell(latency.percentile(50.0)),
        tail(latency.percentile_or_max(99.0)),
        tell(of(|r| r.throughput).percentile(50.0)),
        cached_share(records).map_or_else(|| "–".into(), |share| format!("{:.0} %", share * 100.0)),
        tail(of(|r| r.send_lag_s.map(|lag_s| lag_s * 1e3)).percentile_or_max(99.0)),
    ]
}

/// Returns `text` about an experiment, preceded by INVALID if the experiment is invalid.
fn with_mark(experiment: &Experiment, text: &str) -> String {
    if experiment.invalid.is_empty() {
        text.to_owned()
    } else {
        format!("INVALID: {text}")
    }
}

/// Reasons, and how often each occurred.
fn failures(study: &Study) -> Vec<(String, usize, String)> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for record in study.records().filter(|record| !record.is_ok()) {
        let reason = record
            .error
            .clone()
            .unwrap_or_else(|| "no reason was recorded".into());
        *counts
            .entry((record.engine_name().to_string(), reason))
            .or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((engine, reason), count)| (engine, count, reason))
        .collect()
}

/// The table of requests, where `all` is how many the whole page has.
fn rows(number: usize, study: &Study, all: usize) -> (String, String) {
    let mut chosen: Vec<(&Experiment, &Record)> = study
        .experiments
        .iter()
        .flat_map(|e| e.records().map(move |record| (e, record)))
        .collect();
    let count = chosen.len();
    let mut note = format!("All {count}; points of the figures lead here.");
    if all > MOST_ROWS {
        let badness = |record: &Record| {
            record
                .ttft
                .filter(|_| record.is_ok())
                .unwrap_or(f64::INFINITY)
        };
        chosen.sort_by(|a, b| badness(b.1).total_cmp(&badness(a.1)));
        chosen.truncate(SHOWN_ROWS);
        note = format!(
            "{} of {count}: those that failed, and the slowest to their first token. The CSV has all.",
            chosen.len()
        );
    }
    let mut html = String::new();
    for (experiment, record) in chosen {
        row(&mut html, number, experiment, record);
    }
    (html, note)
}

/// End tags are left out, as HTML allows: there may be thousands.
fn row(html: &mut String, study: usize, experiment: &Experiment, record: &Record) {
    let tell = |value: Option<f64>| value.map_or_else(String::new, number);
    let count = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let short = escape(&with_mark(
        experiment,
        experiment.short.split(':').next().unwrap_or_default(),
    ));
    let name = escape(&record.engine_name());
    let sim = if record.simulated == Some(true) {
        " (simulated)"
    } else {
        ""
    };
    let status = if record.is_ok() {
        "ok".into()
    } else {
        format!(
            "failed: {}",
            escape(record.error.as_deref().unwrap_or_default())
        )
    };
    let _ = writeln!(
        html,
        "<tr id=r{study}-{}><td>{short}<td>{name}{sim}<td>{}<td>{status}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}",
        record.line,
        record.request_id,
        tell(record.planned_s.or(Some(record.timestamp))),
        tell(record.ttft),
        tell(record.latency),
        tell(record.throughput),
        record.context_len,
        count(record.cached_tokens),
        count(record.output_tokens)
    );
}
