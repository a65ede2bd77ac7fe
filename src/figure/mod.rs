//! Figures: a description of what is shown, drawn to SVG.
//!
//! The same drawing is used in an HTML page, where the page's style sheet has its light and dark
//! colors, and in a separate file with its own colors. This layer depends on no other layer: it
//! knows no engines, requests or files.

mod description;
mod distribution;
mod marks;
mod palette;
mod pdf;
mod scale;
mod sheet;
mod svg;
mod table;
mod text;

pub use description::{Axis, Figure, FiveNumbers, Ink, Kind, Point, Series, Shape, Span};
pub(crate) use palette::page_css;
pub(crate) use pdf::pdf;
pub(crate) use sheet::{Sheet, SheetLine};
pub(crate) use svg::{inline_svg, standalone_svg};
pub(crate) use text::{escape, number};

#[cfg(test)]
mod tests;
