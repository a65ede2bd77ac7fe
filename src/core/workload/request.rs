//! One request of a workload.

use super::text::{Lexicon, Message};

/// One prompt, a context and a query, with its time and dependencies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The time at which it is due, or the earliest time: seconds from the start of its round.
    /// `None` if only the end of another request decides.
    pub timestamp: Option<f64>,
    /// The request that must have ended before.
    pub after: Option<After>,
    /// The number of its round. A round starts when all requests of the one before it have ended.
    pub round: usize,
    /// The number of its user, conversation or document, from 0.
    pub session: u64,
    /// Its number in the session, from 0.
    pub turn: u64,
    /// The configured tokens of the context; in a conversation, without the earlier messages.
    pub context_len: u64,
    /// The configured tokens of the query.
    pub query_len: u64,
    /// The exact number of tokens to generate, if the workload sets it for each request.
    pub output_len: Option<u64>,
    /// The messages, after the earlier ones of a conversation.
    pub messages: Vec<Message>,
}

/// The dependency of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct After {
    /// The index of an earlier request of the workload.
    pub request: usize,
    /// The time to wait after that has ended, seconds.
    pub wait_s: f64,
    /// True if it continues that conversation: its messages, and the answer to them.
    pub continues: bool,
}

impl Request {
    /// Returns the text of its messages.
    pub fn text(&self, lexicon: &Lexicon) -> String {
        let texts: Vec<String> = self
            .messages
            .iter()
            .map(|message| message.text(lexicon))
            .collect();
        texts.join("\n")
    }

    /// Returns the request whose conversation it continues.
    pub fn continued(&self) -> Option<usize> {
        self.after
            .filter(|after| after.continues)
            .map(|after| after.request)
    }
}
