//! `ShareGPT`'s JSON: an array of `{"id", "conversations": [{"from": "human", "value": …}, …]}`.
//!
//! Each question is a request; the engine's own answer goes into the history, generated as long as
//! the recorded one.

use super::read::{Sink, without_place};
use super::rows::{SaidMessage, TracePrompt, TraceRow};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use std::io::BufRead;
use std::sync::Arc;

#[derive(Deserialize)]
struct Conversation {
    #[serde(default)]
    conversations: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    from: String,
    value: Arc<str>,
}

pub fn read(reader: impl BufRead, sink: &mut Sink) {
    let mut json = serde_json::Deserializer::from_reader(reader);
    if let Err(e) = Each(sink).deserialize(&mut json) {
        sink.broken(format!("line {}", e.line()), without_place(&e));
    }
}

/// Takes conversation after conversation: the file may not fit into memory.
struct Each<'a, 'b>(&'a mut Sink<'b>);

impl<'de> DeserializeSeed<'de> for Each<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Each<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of conversations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut conversations: A) -> Result<(), A::Error> {
        let mut number = 0;
        // As any JSON first: one that is no conversation is left out alone.
        while let Some(value) = conversations.next_element::<Value>()? {
            match serde_json::from_value(value) {
                Ok(conversation) => take(number, &conversation, self.0),
                Err(e) => self
                    .0
                    .unreadable(format!("conversation {}", number + 1), without_place(&e)),
            }
            number += 1;
        }
        Ok(())
    }
}

fn take(number: usize, conversation: &Conversation, sink: &mut Sink) {
    let said = &conversation.conversations;
    let system = said.first().filter(|said| said.from == "system");
    let pairs = said
        .windows(2)
        .filter(|pair| is_user(&pair[0].from) && !is_user(&pair[1].from));
    let pairs: Vec<&[Said]> = pairs.take(sink.trace.turns).collect();
    if pairs.is_empty() {
        return sink.note("without a question and its answer: left out");
    }
    for (turn, pair) in pairs.iter().enumerate() {
        let message = |role: &str, said: &Said| SaidMessage {
            role: role.into(),
            content: said.value.clone(),
        };
        let system = system
            .filter(|_| turn == 0)
            .map(|said| message("system", said));
        let messages: Vec<_> = system
            .into_iter()
            .chain([message("user", &pair[0])])
            .collect();
        sink.row(TraceRow {
            session: Some(number.to_string()),
            input_len: messages
                .iter()
                .map(|message| (sink.count)(&message.content))
                .sum(),
            output_len: (sink.count)(&pair[1].value),
            prompt: TracePrompt::Said {
                messages,
                continues: true,
            },
            ..TraceRow::default()
        });
    }
}

fn is_user(from: &str) -> bool {
    from == "human" || from == "user"
}
