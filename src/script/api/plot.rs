//! `core/plot`: figures of a script's own.

use crate::script::fault::Fault;
use crate::script::plot;
use rhai::plugin::*;
use rhai::{Array, EvalAltResult, Map, Module};

/// The module `core/plot`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// Figures of a script's own.
#[export_module]
mod natives {
    /// What is drawn.
    pub type Figure = crate::figure::Figure;

    /// A figure of lines through points.
    #[rhai_fn(return_raw)]
    pub fn lines(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        Ok(plot::lines("plot::lines", options, true)?)
    }

    /// A figure of points.
    #[rhai_fn(return_raw)]
    pub fn points(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        Ok(plot::lines("plot::points", options, false)?)
    }

    /// A figure of bars.
    #[rhai_fn(return_raw)]
    pub fn bars(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        Ok(plot::bars("plot::bars", options)?)
    }

    /// A figure of boxes.
    #[rhai_fn(return_raw)]
    pub fn boxes(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        Ok(plot::boxes("plot::boxes", options)?)
    }

    /// A figure of cumulative distributions.
    #[rhai_fn(return_raw)]
    pub fn cdf(options: Map) -> Result<Figure, Box<EvalAltResult>> {
        Ok(plot::cdf("plot::cdf", options)?)
    }

    /// Writes figures to a file: `.svg` takes one, `.pdf` has a page for each.
    #[rhai_fn(return_raw)]
    pub fn save(path: &str, figures: Array) -> Result<(), Box<EvalAltResult>> {
        let figures = figures.into_iter().map(|figure| {
            let kind = figure.type_name();
            figure.try_cast().ok_or_else(|| {
                Fault::new(format!("a figure is expected, not a value of type {kind}"))
                    .help("figures come from `plot::lines`, `points`, `bars`, `boxes` and `cdf`")
            })
        });
        let figures: Vec<Figure> = figures.collect::<Result<_, _>>()?;
        Ok(plot::save(path, &figures)?)
    }
}
