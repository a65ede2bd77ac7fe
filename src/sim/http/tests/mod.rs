//! The server over real sockets, as a client sees it.

mod client;
mod routes;
mod streams;
