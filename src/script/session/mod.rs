//! A session at the prompt: inputs are evaluated one after the other, in one scope.
//!
//! Variables, functions, imports and constants persist. An input that fails declares nothing.

mod evaluate;
mod export;
mod parse;
#[cfg(test)]
mod tests;
mod value;
mod variables;

pub(crate) use evaluate::Session;
pub(crate) use parse::{InputState, input_state};
pub(crate) use value::PromptValue;
pub(crate) use variables::Variable;
