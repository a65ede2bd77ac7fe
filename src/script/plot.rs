//! The options of `std/plot` into figures.

use super::fault::Fault;
use super::options::Parts;
use super::schema::Schema;
use crate::figure::{self, Axis, Figure, FiveNumbers, Ink, Kind, Point, Series, Shape};
use rhai::Map;
use serde::Deserialize;
use std::path::Path;

/// What every figure has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Frame {
    title: String,
    note: String,
    tag: Option<String>,
    x: String,
    y: String,
    log: bool,
    names: Vec<String>,
}

impl Default for Frame {
    fn default() -> Self {
        let (title, note, x, y) = Default::default();
        Self {
            title,
            note,
            tag: None,
            x,
            y,
            log: false,
            names: Vec::new(),
        }
    }
}

/// The series of a figure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct All<T> {
    series: Vec<T>,
}

/// Values over values. One that is not there has no point.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pairs {
    name: String,
    x: Vec<Option<f64>>,
    y: Vec<Option<f64>>,
}

/// A value for each name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heights {
    name: String,
    y: Vec<Option<f64>>,
}

/// Values for each name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Groups {
    name: String,
    values: Vec<Vec<Option<f64>>>,
}

/// Values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    name: String,
    values: Vec<Option<f64>>,
}

/// What the options of the figure `name` are read into.
pub fn schemas(name: &str) -> Option<Vec<Schema>> {
    let series = match name {
        "lines" | "points" => Schema::of::<All<Pairs>>(),
        "bars" => Schema::of::<All<Heights>>(),
        "boxes" => Schema::of::<All<Groups>>(),
        "cdf" => Schema::of::<All<Values>>(),
        _ => return None,
    };
    Some(vec![Schema::of::<Frame>(), series])
}

/// Lines through points, or the points alone.
pub fn lines(function: &str, given: Map, joined: bool) -> Result<Figure, Fault> {
    let (frame, all) = read::<Pairs>(function, given)?;
    let mut whole = true;
    let mut drawn = Vec::new();
    for (place, series) in all.into_iter().enumerate() {
        if series.x.len() != series.y.len() {
            let (x, y) = (series.x.len(), series.y.len());
            return Err(Fault::new(format!(
                "`{}` has {x} values of `x` and {y} of `y`",
                series.name
            ))
            .at_word("series")
            .help("give as many of both, `()` for what is not there"));
        }
        let pairs = series
            .x
            .iter()
            .zip(&series.y)
            .filter_map(|(x, y)| Some(((*x)?, (*y)?)));
        let points: Vec<Point> = pairs.map(|(x, y)| Point { x, y, link: None }).collect();
        whole &= points.iter().all(|point| point.x.fract() == 0.0);
        drawn.push(if joined {
            Series::line(&series.name, Ink::Engine(place), points)
        } else {
            Series {
                name: series.name,
                ink: Ink::Engine(place),
                shape: Shape::Points(points),
            }
        });
    }
    let kind = if whole { Kind::Whole } else { Kind::Linear };
    Ok(frame.figure(kind, drawn))
}

/// A bar for each name and series.
pub fn bars(function: &str, given: Map) -> Result<Figure, Fault> {
    let (frame, all) = read::<Heights>(function, given)?;
    let series = all.into_iter().enumerate().map(|(place, series)| {
        let bars = series
            .y
            .iter()
            .enumerate()
            .filter_map(|(at, y)| Some((at as f64, (*y)?)));
        let shape = Shape::Bars(bars.collect());
        frame.has_names(function, series.y.len(), &series.name)?;
        Ok(Series {
            name: series.name,
            ink: Ink::Engine(place),
            shape,
        })
    });
    let series = series.collect::<Result<_, Fault>>()?;
    Ok(frame.figure(Kind::Whole, series))
}

/// A box for each name and series.
pub fn boxes(function: &str, given: Map) -> Result<Figure, Fault> {
    let (frame, all) = read::<Groups>(function, given)?;
    let series = all.into_iter().enumerate().map(|(place, series)| {
        frame.has_names(function, series.values.len(), &series.name)?;
        let groups = series.values.into_iter().enumerate();
        let boxes = groups.filter_map(|(at, values)| {
            FiveNumbers::from_values(at as f64, values.into_iter().flatten().collect())
        });
        Ok(Series {
            name: series.name,
            ink: Ink::Engine(place),
            shape: Shape::Boxes(boxes.collect()),
        })
    });
    let series = series.collect::<Result<_, Fault>>()?;
    Ok(frame.figure(Kind::Whole, series))
}

/// The share of values up to each value.
pub fn cdf(function: &str, given: Map) -> Result<Figure, Fault> {
    let (frame, all) = read::<Values>(function, given)?;
    let curve = |(place, series): (usize, Values)| {
        Series::cdf(
            &series.name,
            Ink::Engine(place),
            series.values.into_iter().flatten().collect(),
        )
    };
    let series = all.into_iter().enumerate().map(curve).collect();
    let mut figure = frame.figure(Kind::Linear, series);
    figure.y.kind = Kind::Share;
    Ok(figure)
}

/// Writes figures to a file, as the end of its name says.
///
/// # Errors
/// When that is no form of a figure, several are for an SVG, or the system refuses.
pub fn save(path: &str, figures: &[Figure]) -> Result<(), Fault> {
    let unwritable = |e| {
        Fault::new(format!("cannot write {path}: {e}"))
            .at_word(path)
            .help("paths are relative to the folder that lmrun runs in; folders are not made")
    };
    std::fs::write(path, bytes(path, figures)?).map_err(unwritable)
}

/// What a file with this name holds.
fn bytes(path: &str, figures: &[Figure]) -> Result<Vec<u8>, Fault> {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    match (extension, figures) {
        (_, []) => Err(Fault::new(format!("there is no figure for {path}"))
            .at_word(path)
            .help("give `plot::save` one figure, or an array of some")),
        (Some("svg"), [one]) => Ok(figure::standalone_svg(one).0.into_bytes()),
        (Some("svg"), several) => Err(Fault::new(format!(
            "an SVG holds one figure, not {}",
            several.len()
        ))
        .at_word(path)
        .help("save each to a file of its own, or all to a `.pdf`")),
        (Some("pdf"), all) => figure::pdf(None, all.iter()).map_err(|problem| {
            Fault::new(format!("{path} cannot be drawn: {problem}"))
                .help("an SVG may do: name it `.svg`")
        }),
        _ => Err(Fault::new(format!(
            "`{path}` cannot be written: its name ends neither in .svg nor in .pdf"
        ))
        .at_word(path)
        .help("name it `.svg` for one figure, `.pdf` for several")),
    }
}

fn read<T: for<'de> Deserialize<'de>>(
    function: &str,
    given: Map,
) -> Result<(Frame, Vec<T>), Fault> {
    let mut options = Parts::of(function, given);
    let (frame, all) = (options.take::<Frame>()?, options.take::<All<T>>()?);
    options.done()?;
    Ok((frame, all.series))
}

impl Frame {
    fn has_names(&self, function: &str, count: usize, series: &str) -> Result<(), Fault> {
        if count == self.names.len() {
            return Ok(());
        }
        let names = self.names.len();
        Err(Fault::new(format!(
            "`{series}` has {count} values, and `{function}` {names} `names`"
        ))
        .at_word("names")
        .help("give a name for each value"))
    }

    /// Names stand on the horizontal axis in place of numbers.
    fn figure(self, kind: Kind, series: Vec<Series>) -> Figure {
        let x = if self.names.is_empty() {
            kind
        } else {
            Kind::Named(self.names)
        };
        let y = if self.log { Kind::Log } else { Kind::Linear };
        Figure {
            id: "figure".into(),
            title: self.title,
            tag: self.tag,
            note: self.note,
            x: Axis::new(self.x, "", x),
            y: Axis::new(self.y, "", y),
            series,
        }
    }
}
