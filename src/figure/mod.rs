//! Figures: a description of what is shown, drawn to SVG.
//!
//! The same drawing stands in an HTML page, where the page's style sheet colours it for light and
//! dark, and alone, with its colours inside. This layer knows no other: no engine, no request, no file.

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

pub use description::{
    Axis, Figure, FiveNumbers, Ink, Kind, LEAST_FOR_TAILS, Point, Series, Shape, Span,
};
pub use palette::page_css;
pub use pdf::pdf;
pub use sheet::{Line, Sheet};
pub use svg::{WIDTH, alone, in_page};
pub use table::Table;
pub use text::{escape, number};

#[cfg(test)]
mod tests;
