//! Helpers of the tests: lmrun in a folder and on ports of the test, simulators, servers, and waiting.

mod finished;
pub(crate) mod results;
mod sandbox;
mod server;
mod simulator;
mod system;

pub(crate) use finished::{Finished, finish, wait};
pub(crate) use sandbox::{LMRUN, Sandbox, lmrun};
pub(crate) use server::{Server, read_request, strict, write_answer};
pub(crate) use simulator::{Simulator, unrecognized_simulator};
pub(crate) use system::{all_processes, eventually, free_port, root, running};
