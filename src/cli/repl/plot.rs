//! `:plot`: a value as a figure, on the terminal or in a file.

use super::commands::refuse;
use super::{Next, Repl, print};
use crate::core::EngineResult;
use crate::figure::{Axis, Figure, Ink, Kind, Point, Series, Shape};
use crate::report::{braille, result_width};
use crate::script::{Shown, save_figures};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// What the last word of the command must end in to be a file.
const FILES: [&str; 5] = ["svg", "pdf", "png", "jpg", "txt"];

impl Repl {
    /// Draws what an expression gives.
    pub(super) fn plot(&mut self, rest: &str) -> Result<Next, u8> {
        let is_file = |word: &str| {
            Path::new(word)
                .extension()
                .is_some_and(|e| FILES.iter().any(|f| e == *f))
        };
        let (expression, file) = match rest.rsplit_once(' ').filter(|(_, last)| is_file(last)) {
            Some((before, file)) => (before, Some(file.to_owned())),
            None => (rest, None),
        };
        let shown = self
            .working(|repl| repl.session.eval(expression))
            .map_err(|e| self.complain(&e))?;
        let Some(figure) = figure(shown) else {
            return refuse(
                "`:plot` takes an experiment, a measure such as `seen[plain].ttft`, what was seen of an engine, \
                 a figure of `plot`, or numbers",
            );
        };
        match file {
            None if std::io::stdout().is_terminal() => match braille::draw(&figure, result_width())
            {
                Some(drawing) => print(&drawing),
                None => {
                    return refuse(
                        "this is not drawn on a terminal; `:plot EXPR FILE.svg` draws it",
                    );
                }
            },
            file => {
                let path = file.unwrap_or_else(|| self.free_name().display().to_string());
                match save_figures(&path, &[figure]) {
                    Ok(()) => print(&format!("drawn in {path}")),
                    Err(fault) => return refuse(&fault.to_string()),
                }
            }
        }
        Ok(Next::Goes)
    }

    /// A figure's name in the output folder that is not taken.
    fn free_name(&self) -> PathBuf {
        let folder = self.stage.outputs.folder();
        let name = |n: usize| folder.join(format!("{}-{n}.svg", self.stage.name));
        (1..10_000)
            .map(name)
            .find(|path| !path.exists())
            .unwrap_or_else(|| name(0))
    }
}

/// What a value shows as a figure.
fn figure(shown: Shown) -> Option<Figure> {
    match shown {
        Shown::Figure(figure) => Some(figure),
        Shown::Measure { what, unit, values } => {
            let series = Series::cdf(&what, Ink::Engine(0), values.values().to_vec());
            Some(distribution(&what, unit, vec![series]))
        }
        Shown::Experiment(seen) => {
            let simulated = seen.engines.iter().any(|engine| engine.simulated);
            let series = seen.engines.iter().enumerate().map(ttft).collect();
            let figure = Figure {
                tag: tag(simulated),
                ..distribution("TTFT", "s", series)
            };
            Some(figure.invalid(&seen.validity.to_string()))
        }
        Shown::EngineResult(seen) => {
            let points = seen
                .rows
                .iter()
                .filter_map(|row| Some((row.sent_s?, row.ttft?)));
            let figure = course(&seen.name, ["send", "TTFT"], "s", points);
            Some(
                Figure {
                    tag: tag(seen.simulated),
                    ..figure
                }
                .invalid(&seen.validity.to_string()),
            )
        }
        Shown::Data(serde_json::Value::Array(numbers)) => {
            let points = numbers
                .iter()
                .enumerate()
                .filter_map(|(at, number)| Some((at as f64, number.as_f64()?)));
            Some(course("values", ["place", "value"], "", points))
        }
        _ => None,
    }
    .filter(|figure| !figure.series.iter().all(Series::is_empty))
}

fn tag(simulated: bool) -> Option<String> {
    simulated.then(|| "simulated".into())
}

fn ttft((at, seen): (usize, &EngineResult)) -> Series {
    Series::cdf(
        &seen.name,
        Ink::Engine(at),
        seen.rows.iter().filter_map(|row| row.ttft).collect(),
    )
}

/// The share of values that are at most so large.
fn distribution(what: &str, unit: &'static str, series: Vec<Series>) -> Figure {
    let share = Axis::new("share of requests", "", Kind::Share);
    framed(what, Axis::new(what, unit, Kind::Linear), share, series)
}

/// Values one after the other.
fn course(
    name: &str,
    [x, y]: [&str; 2],
    unit: &'static str,
    points: impl Iterator<Item = (f64, f64)>,
) -> Figure {
    let points = points.map(|(x, y)| Point { x, y, link: None }).collect();
    let series = Series {
        name: name.into(),
        ink: Ink::Engine(0),
        shape: Shape::Points(points),
    };
    framed(
        name,
        Axis::new(x, unit, Kind::Linear),
        Axis::new(y, unit, Kind::Linear),
        vec![series],
    )
}

fn framed(title: &str, x: Axis, y: Axis, series: Vec<Series>) -> Figure {
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
