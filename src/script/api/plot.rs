//! `core/plot`: figures of scripts.

use crate::figure::{self, Axis, Figure, FiveNumbers, Ink, Kind, Point, Series, Shape};
use crate::script::diagnostic::ScriptError;
use crate::script::option_key::OptionKey;
use crate::script::options::OptionReader;
use crate::script::schema::Schema;
use rhai::plugin::*;
use rhai::{Array, EvalAltResult, Map, Module};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Returns the module `core/plot`.
pub(crate) fn module() -> Module {
    exported_module!(natives)
}

/// Figures of scripts.
#[export_module]
mod natives {
    /// A figure.
    pub type Figure = crate::figure::Figure;

    /// Creates a figure of lines through points.
    #[rhai_fn(return_raw)]
    pub fn lines(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        Ok(points_figure("plot::lines", options, Marks::Line)?)
    }

    /// Creates a figure of points.
    #[rhai_fn(return_raw)]
    pub fn points(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        Ok(points_figure("plot::points", options, Marks::Points)?)
    }

    /// Creates a figure of bars, one for each name and series.
    #[rhai_fn(return_raw)]
    pub fn bars(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        let (figure, series) = read::<BarSeries>("plot::bars", options)?;
        let mut drawn = Vec::new();
        for (at, series) in series.into_iter().enumerate() {
            figure.check_names(&series.name, series.y.len())?;
            let bars = series.y.into_iter().enumerate();
            let bars = bars.filter_map(|(at, y)| y.map(|y| (at as f64, y)));
            let shape = Shape::Bars(bars.collect());
            drawn.push(shaped(at, series.name, shape));
        }
        Ok(figure.draw(Kind::Whole, drawn))
    }

    /// Creates a figure of boxes, one for each name and series.
    #[rhai_fn(return_raw)]
    pub fn boxes(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        let (figure, series) = read::<BoxSeries>("plot::boxes", options)?;
        let mut drawn = Vec::new();
        for (at, series) in series.into_iter().enumerate() {
            figure.check_names(&series.name, series.values.len())?;
            let groups = series.values.into_iter().enumerate();
            let boxes = groups.filter_map(|(at, values)| {
                FiveNumbers::from_values(at as f64, &values.into_iter().flatten().collect())
            });
            let shape = Shape::Boxes(boxes.collect());
            drawn.push(shaped(at, series.name, shape));
        }
        Ok(figure.draw(Kind::Whole, drawn))
    }

    /// Creates a figure of cumulative distributions.
    #[rhai_fn(return_raw)]
    pub fn cdf(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        let (figure, series) = read::<CdfSeries>("plot::cdf", options)?;
        let mut drawn = Vec::new();
        for (at, series) in series.into_iter().enumerate() {
            let values = series.values.into_iter().flatten().collect();
            drawn.push(Series::cdf(&series.name, Ink::Engine(at), &values));
        }
        let mut figure = figure.draw(Kind::Linear, drawn);
        figure.y.kind = Kind::Share;
        Ok(figure)
    }

    /// Writes figures to a file: an `.svg` has one figure, a `.pdf` one page for each.
    #[rhai_fn(return_raw)]
    pub fn save(path: &str, figures: Array) -> Result<(), Box<EvalAltResult>> {
        let mut list = Vec::new();
        for value in figures {
            let kind = value.type_name();
            let figure = value.try_cast::<Figure>().ok_or_else(|| {
                ScriptError::new(format!("expected a figure, found a value of type {kind}"))
                    .help("`plot::lines`, `points`, `bars`, `boxes` and `cdf` create figures")
            })?;
            list.push(figure);
        }
        Ok(save_figures(path, &list)?)
    }
}

/// The options of every figure.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FigureOptions {
    /// Title above the figure.
    title: String,
    /// Label of the x axis, such as `"TTFT (s)"`.
    x: String,
    /// Label of the y axis.
    y: String,
    /// Labels of bars and boxes on the x axis.
    names: Vec<String>,
    /// Use a logarithmic y axis.
    log: bool,
    /// Word beside the title, such as `"simulated"`.
    tag: Option<String>,
    /// Description for readers who cannot see the figure.
    note: String,
}

/// The series of a figure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeriesList<T> {
    /// Array of maps, each with a `name` and its values.
    series: Vec<T>,
}

/// Values over values. A missing value has no point.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PointSeries {
    name: String,
    x: Vec<Option<f64>>,
    y: Vec<Option<f64>>,
}

/// One value for each name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BarSeries {
    name: String,
    y: Vec<Option<f64>>,
}

/// Several values for each name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BoxSeries {
    name: String,
    values: Vec<Vec<Option<f64>>>,
}

/// The values of a distribution.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CdfSeries {
    name: String,
    values: Vec<Option<f64>>,
}

/// The marks of a series of points.
#[derive(Clone, Copy)]
enum Marks {
    Line,
    Points,
}

/// Returns the options of the function `name`.
pub(crate) fn options(name: &str) -> Option<Vec<OptionKey>> {
    let series = match name {
        "lines" | "points" => Schema::new::<SeriesList<PointSeries>>(),
        "bars" => Schema::new::<SeriesList<BarSeries>>(),
        "boxes" => Schema::new::<SeriesList<BoxSeries>>(),
        "cdf" => Schema::new::<SeriesList<CdfSeries>>(),
        _ => return None,
    };
    let mut options = Schema::new::<FigureOptions>().options();
    options.extend(series.options());
    for option in &mut options {
        option.is_shared = true;
    }
    Some(options)
}

fn read<T: DeserializeOwned + JsonSchema>(
    function: &str,
    options: Map,
) -> Result<(FigureOptions, Vec<T>), ScriptError> {
    let mut options = OptionReader::new(function, options);
    let figure = options.read::<FigureOptions>()?;
    let list = options.read::<SeriesList<T>>()?;
    options.finish()?;
    Ok((figure, list.series))
}

fn points_figure(function: &str, options: Map, marks: Marks) -> Result<Figure, ScriptError> {
    let (figure, series) = read::<PointSeries>(function, options)?;
    let mut has_whole_x = true;
    let mut drawn = Vec::new();
    for (at, series) in series.into_iter().enumerate() {
        let points = series.points()?;
        has_whole_x &= points.iter().all(|point| point.x.fract() == 0.0);
        drawn.push(match marks {
            Marks::Line => Series::line(&series.name, Ink::Engine(at), points),
            Marks::Points => shaped(at, series.name, Shape::Points(points)),
        });
    }
    let kind = if has_whole_x {
        Kind::Whole
    } else {
        Kind::Linear
    };
    Ok(figure.draw(kind, drawn))
}

fn shaped(at: usize, name: String, shape: Shape) -> Series {
    Series {
        name,
        ink: Ink::Engine(at),
        shape,
    }
}

impl PointSeries {
    fn points(&self) -> Result<Vec<Point>, ScriptError> {
        if self.x.len() != self.y.len() {
            let message = format!(
                "series `{}`: `x` has length {} but `y` has length {}",
                self.name,
                self.x.len(),
                self.y.len()
            );
            return Err(ScriptError::new(message)
                .at_word("series")
                .help("`x` and `y` must have the same length; a missing value is `()`"));
        }
        let mut points = Vec::new();
        for (x, y) in self.x.iter().zip(&self.y) {
            if let (Some(x), Some(y)) = (*x, *y) {
                points.push(Point { x, y, link: None });
            }
        }
        Ok(points)
    }
}

impl FigureOptions {
    fn check_names(&self, series: &str, count: usize) -> Result<(), ScriptError> {
        if count == self.names.len() {
            return Ok(());
        }
        let message = format!(
            "series `{series}`: expected a value for each of `names` ({}), found {count}",
            self.names.len()
        );
        Err(ScriptError::new(message)
            .at_word("names")
            .help("`names` and the values of a series must have the same length"))
    }

    /// Creates the figure. If there are names, they are the labels of the horizontal axis.
    fn draw(self, kind: Kind, series: Vec<Series>) -> Figure {
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

/// Writes figures to a file in the format of its extension.
///
/// # Errors
/// If the format is unsupported, an SVG would need several figures, or the file cannot be written.
pub(crate) fn save_figures(path: &str, figures: &[Figure]) -> Result<(), ScriptError> {
    let bytes = match file_contents(path, figures) {
        Ok(bytes) => bytes,
        Err(error) => return Err(error.at_word(path)),
    };
    std::fs::write(path, bytes).map_err(|e| {
        ScriptError::new(format!("cannot write {path}: {e}"))
            .at_word(path)
            .help("paths are relative to the working directory; folders are not created")
    })
}

fn file_contents(path: &str, figures: &[Figure]) -> Result<Vec<u8>, ScriptError> {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    match (extension, figures) {
        (_, []) => Err(
            ScriptError::new(format!("cannot write {path}: there is no figure"))
                .help("give `plot::save` a figure, or an array of figures"),
        ),
        (Some("svg"), [one]) => Ok(figure::standalone_svg(one).0.into_bytes()),
        (Some("svg"), several) => {
            let count = several.len();
            let message = format!("cannot write {path}: expected one figure, found {count}");
            Err(ScriptError::new(message).help("save each figure to an `.svg`, or all to a `.pdf`"))
        }
        (Some("pdf"), all) => figure::pdf(None, all.iter()).map_err(|problem| {
            ScriptError::new(format!("cannot draw {path}: {problem}"))
                .help("an `.svg` may work instead")
        }),
        _ => Err(ScriptError::new(format!(
            "unsupported format of `{path}`: expected .svg or .pdf"
        ))
        .help("use `.svg` for one figure, `.pdf` for several")),
    }
}
