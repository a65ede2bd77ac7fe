//! When requests come: any spacing under any rate.

mod config;
#[cfg(test)]
mod tests;
mod times;

pub use config::{Arrivals, GeneratorArrivals, Spacing};
