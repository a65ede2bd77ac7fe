//! `core/plot`: figures of a script's own.

use crate::figure;
use crate::script::fault::Fault;
use crate::script::plot;
use rhai::plugin::*;
use rhai::{Array, EvalAltResult, Map, Module};
use std::path::Path;

/// The module `core/plot`.
pub fn module() -> Module {
    exported_module!(natives)
}

/// What a file with this name holds.
fn bytes(path: &str, figures: &[figure::Figure]) -> Result<Vec<u8>, Fault> {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    match (extension, figures) {
        (_, []) => Err(Fault::new(format!("there is no figure for {path}"))
            .at_word(path)
            .help("give `plot::save` one figure, or an array of some")),
        (Some("svg"), [one]) => Ok(figure::alone(one).0.into_bytes()),
        (Some("svg"), several) => Err(Fault::new(format!("an SVG holds one figure, not {}", several.len()))
            .at_word(path)
            .help("save each to a file of its own, or all to a `.pdf`")),
        (Some("pdf"), all) => figure::pdf(all.iter()).map_err(|problem| {
            Fault::new(format!("{path} cannot be drawn: {problem}")).help("an SVG may do: name it `.svg`")
        }),
        _ => {
            Err(Fault::new(format!("`{path}` cannot be written: its name ends neither in .svg nor in .pdf"))
                .at_word(path)
                .help("name it `.svg` for one figure, `.pdf` for several"))
        }
    }
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
        let bytes = bytes(path, &figures)?;
        let unwritable = |e| {
            Fault::new(format!("cannot write {path}: {e}"))
                .at_word(path)
                .help("paths are relative to the folder that lmrun runs in; folders are not made")
        };
        Ok(std::fs::write(path, bytes).map_err(unwritable)?)
    }
}
