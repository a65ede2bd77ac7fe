//! Finds mistakes in scripts without running them: unknown functions, wrong arguments, unknown
//! options and values that an option does not accept. Also warns of unused functions and imports,
//! of functions that Rhai may confuse, and of divisions that may leave a remainder.

mod calls;
mod divisions;
mod finding;
mod interpolation;
mod name_clash;
mod options;
mod reachability;
mod scripts;
mod signature;
mod symbols;
#[cfg(test)]
mod tests;
mod unused;

pub(crate) use scripts::{check, warnings};
