//! The HTTP server, with vLLM's routes.

mod api;
mod body;
mod completions;
mod error;
mod handlers;
mod request;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use api::StoragePolicy;
pub(crate) use server::serve;
