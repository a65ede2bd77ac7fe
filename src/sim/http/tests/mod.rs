//! Tests of the server over sockets.

mod client;
mod routes;
mod streams;
