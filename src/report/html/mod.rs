//! The page of `lmrun report`: one HTML file that loads nothing else.

mod page;
mod parts;
mod requests;

pub(crate) use page::page;
pub(crate) use parts::figure_groups;
