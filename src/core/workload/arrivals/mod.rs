//! The arrival times of requests: any spacing at any rate.

mod config;
#[cfg(test)]
mod tests;
mod times;

pub use config::{Arrivals, GeneratorArrivals, Spacing};
