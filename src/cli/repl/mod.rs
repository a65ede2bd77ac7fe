//! `lmrun repl` and `lmrun -e`: inputs are evaluated one after the other, from a terminal, standard
//! input or the command line.

mod commands;
mod complete;
mod editor;
mod engines;
mod highlight;
mod input;
mod menu;
mod plot;
mod prompt;
mod render;
mod signals;

pub(super) use prompt::run;
