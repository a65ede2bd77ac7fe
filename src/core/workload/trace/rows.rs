//! The rows of a trace.

use super::Count;
use std::sync::Arc;

/// One request of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceRow {
    /// The arrival time, seconds from any start; `None` if the trace has none for it.
    pub at_s: Option<f64>,
    /// Requests with the same one come one after the other.
    pub session: Option<String>,
    /// The wait after the request before it in its session, seconds.
    pub wait_s: Option<f64>,
    pub input_len: u64,
    pub output_len: u64,
    /// The content of its prompt.
    pub prompt: TracePrompt,
    /// The row before it in its session.
    pub before: Option<usize>,
    /// Tokens of the longest prompt before it in its session.
    pub longest_before: u64,
}

/// The known parts of a prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TracePrompt {
    /// Blocks of equal length; equal ids are equal text.
    Blocks(Vec<i64>),
    /// Nothing but its length. Prompts of a session begin alike.
    #[default]
    Unknown,
    /// The text.
    Said {
        messages: Vec<SaidMessage>,
        /// True if the earlier messages of the session come before it.
        continues: bool,
    },
}

/// A recorded message.
#[derive(Clone, Debug, PartialEq)]
pub struct SaidMessage {
    pub role: Arc<str>,
    pub content: Arc<str>,
}

impl TraceRow {
    /// Returns true if its time does not depend on the end of another request.
    pub fn is_free(&self) -> bool {
        self.before.is_none() || (self.wait_s.is_none() && self.at_s.is_some())
    }

    /// Cuts its prompt to `most` tokens; whether that can be done. Of recorded messages the last
    /// one of the user is cut.
    pub fn cut_input(&mut self, most: u64, count: Count) -> bool {
        if self.input_len <= most {
            return true;
        }
        if let TracePrompt::Said { messages, .. } = &mut self.prompt {
            let last = messages
                .iter_mut()
                .rfind(|message| &*message.role == "user");
            let Some(last) = last else { return false };
            let others = self.input_len - count(&last.content);
            last.content = beginning(&last.content, most.saturating_sub(others), count)
                .trim_end()
                .into();
            if last.content.is_empty() {
                return false;
            }
            self.input_len = others + count(&last.content);
            return true;
        }
        self.input_len = most;
        true
    }
}

/// As much of the beginning of `text` as has at most so many `tokens`.
fn beginning<'a>(text: &'a str, tokens: u64, count: Count) -> &'a str {
    let ends: Vec<usize> = text
        .char_indices()
        .map(|(start, c)| start + c.len_utf8())
        .collect();
    let fitting = ends.partition_point(|end| count(&text[..*end]) <= tokens);
    &text[..fitting.checked_sub(1).map_or(0, |last| ends[last])]
}

#[cfg(test)]
mod tests {
    use super::super::super::estimate_tokens;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_beginning_is_as_long_as_it_may_be(text in "[a-z ,é漢]{0,60}", tokens in 0u64..20) {
            let cut = beginning(&text, tokens, &estimate_tokens);
            prop_assert!(text.starts_with(cut) && estimate_tokens(cut) <= tokens);
            let whole = estimate_tokens(&text) <= tokens;
            prop_assert!(whole == (cut == text) && (whole || estimate_tokens(cut) == tokens));
        }
    }
}
