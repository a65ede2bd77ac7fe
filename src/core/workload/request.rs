//! One request of a workload.

use super::text::{Lexicon, Message};

/// One prompt, a context plus a query, and when it comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// When it is due, or may come at the earliest: seconds from the start of its round. `None`
    /// where only the end of another request decides.
    pub timestamp: Option<f64>,
    /// The request that must have ended before.
    pub after: Option<After>,
    /// A round begins when all requests of the one before it have ended.
    pub round: usize,
    /// Which user, conversation or document it belongs to, from 0.
    pub session: u64,
    /// Which one of its session it is, from 0.
    pub turn: u64,
    /// Tokens of the context, as configured; of a conversation, without what was said before.
    pub context_len: u64,
    /// Tokens of the query, as configured.
    pub query_len: u64,
    /// Tokens to generate exactly, where the workload says it for each request.
    pub output_len: Option<u64>,
    /// What is said, behind what was said before in a conversation.
    pub messages: Vec<Message>,
}

/// What a request follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct After {
    /// The request before it: an earlier one of the workload.
    pub request: usize,
    /// How long to wait when that has ended, seconds.
    pub wait_s: f64,
    /// Whether it goes on with that conversation: its messages, and the answer to them.
    pub continues: bool,
}

impl Request {
    /// The text of its messages.
    pub fn text(&self, lexicon: &Lexicon) -> String {
        let texts: Vec<String> = self
            .messages
            .iter()
            .map(|message| message.text(lexicon))
            .collect();
        texts.join("\n")
    }

    /// The request whose conversation it goes on with.
    pub fn continued(&self) -> Option<usize> {
        self.after
            .filter(|after| after.continues)
            .map(|after| after.request)
    }
}
