//! `:plot`: draws a value on the terminal or to a file.

use super::commands::reject;
use super::prompt::{Next, Repl, show};
use crate::core::{EngineResult, ExperimentResult};
use crate::figure::{Axis, Figure, Ink, Kind, Point, Series, Shape};
use crate::report::{braille, result_width};
use crate::script::{PromptValue, save_figures};
use serde_json::Value;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// The extensions that make the last word of the command a file.
const FILE_EXTENSIONS: [&str; 5] = ["svg", "pdf", "png", "jpg", "txt"];

impl Repl {
    /// Plots the value of an expression.
    pub(super) fn plot(&mut self, argument: &str) -> Result<Next, u8> {
        let (expression, file) = match argument.rsplit_once(' ') {
            Some((expression, last)) if is_file(last) => (expression, Some(last.to_owned())),
            _ => (argument, None),
        };
        let value = self
            .interruptible(|repl| repl.session.eval(expression))
            .map_err(|e| self.show_error(&e))?;
        let Some(figure) = figure(value) else {
            return reject(
                "`:plot` takes an experiment, a measure such as `seen[plain].ttft`, \
                 an engine of an experiment, a figure of `plot`, or numbers",
            );
        };
        if file.is_none() && std::io::stdout().is_terminal() {
            let Some(drawing) = braille::draw(&figure, result_width()) else {
                return reject(
                    "a terminal cannot show this figure; save it with `:plot EXPR FILE.svg`",
                );
            };
            show(&drawing);
            return Ok(Next::Continue);
        }
        let path = file.unwrap_or_else(|| self.unused_file().display().to_string());
        if let Err(error) = save_figures(&path, &[figure]) {
            return reject(&error.to_string());
        }
        show(&format!("saved {path}"));
        Ok(Next::Continue)
    }

    /// Returns the path of a new SVG in the output folder.
    fn unused_file(&self) -> PathBuf {
        let folder = self.stage.outputs.folder();
        (1..=usize::MAX)
            .map(|n| folder.join(format!("{}-{n}.svg", self.stage.name)))
            .find(|path| !path.exists())
            .expect("the numbers of names do not end")
    }
}

fn is_file(word: &str) -> bool {
    Path::new(word)
        .extension()
        .is_some_and(|extension| FILE_EXTENSIONS.iter().any(|known| extension == *known))
}

/// Returns the figure of a value, unless it would be empty.
fn figure(value: PromptValue) -> Option<Figure> {
    let figure = match value {
        PromptValue::Figure(figure) => figure,
        PromptValue::Measure { what, unit, values } => {
            let series = Series::cdf(&what, Ink::Engine(0), &values);
            distribution(&what, unit, vec![series])
        }
        PromptValue::Experiment(seen) => experiment(&seen),
        PromptValue::EngineResult(seen) => engine_over_time(&seen),
        PromptValue::Data(Value::Array(numbers)) => {
            let mut points = Vec::new();
            for (at, number) in numbers.iter().enumerate() {
                points.extend(number.as_f64().map(|y| point(at as f64, y)));
            }
            let x = Axis::new("index", "", Kind::Linear);
            let y = Axis::new("value", "", Kind::Linear);
            with_axes("values", [x, y], vec![points_series("values", points)])
        }
        _ => return None,
    };
    (!figure.series.iter().all(Series::is_empty)).then_some(figure)
}

/// Returns the distribution of the TTFT of each engine.
fn experiment(seen: &ExperimentResult) -> Figure {
    let mut series = Vec::new();
    for (at, engine) in seen.engines.iter().enumerate() {
        let ttfts = engine.distribution(|row| row.ttft);
        series.push(Series::cdf(&engine.name, Ink::Engine(at), &ttfts));
    }
    let is_simulated = seen.engines.iter().any(|engine| engine.simulated);
    let mut figure = distribution("TTFT", "s", series);
    figure.tag = simulated_tag(is_simulated);
    figure.invalid(&seen.validity.to_string())
}

/// Returns the TTFT of each request of an engine over its send time.
fn engine_over_time(seen: &EngineResult) -> Figure {
    let mut points = Vec::new();
    for row in seen.rows.iter() {
        if let (Some(sent_s), Some(ttft)) = (row.sent_s, row.ttft) {
            points.push(point(sent_s, ttft));
        }
    }
    let x = Axis::new("send", "s", Kind::Linear);
    let y = Axis::new("TTFT", "s", Kind::Linear);
    let series = vec![points_series(&seen.name, points)];
    let mut figure = with_axes(&seen.name, [x, y], series);
    figure.tag = simulated_tag(seen.simulated);
    figure.invalid(&seen.validity.to_string())
}

fn simulated_tag(is_simulated: bool) -> Option<String> {
    is_simulated.then(|| "simulated".into())
}

/// Returns a figure of cumulative distributions.
fn distribution(name: &str, unit: &'static str, series: Vec<Series>) -> Figure {
    let x = Axis::new(name, unit, Kind::Linear);
    let y = Axis::new("share of requests", "", Kind::Share);
    with_axes(name, [x, y], series)
}

fn point(x: f64, y: f64) -> Point {
    Point { x, y, link: None }
}

fn points_series(name: &str, points: Vec<Point>) -> Series {
    Series {
        name: name.into(),
        ink: Ink::Engine(0),
        shape: Shape::Points(points),
    }
}

fn with_axes(title: &str, [x, y]: [Axis; 2], series: Vec<Series>) -> Figure {
    Figure {
        id: "plot".into(),
        title: title.into(),
        tag: None,
        note: String::new(),
        x,
        y,
        series,
    }
}
