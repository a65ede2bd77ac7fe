//! The HTTP face: what vLLM answers, route by route.

mod api;
mod body;
mod error;
mod handlers;
mod request;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use api::Storing;
pub use server::{Simulator, serve};
