//! Which faults there are, and how they are written.

use std::str::FromStr;

/// Every way to write a fault, and what it does.
const TABLE: [(&str, &str); 23] = [
    ("die-at-start", "exit with 1 before the port answers"),
    (
        "die-at-request=3",
        "exit with 1 when the third request arrives",
    ),
    ("never-ready", "answer 503 to /health, for ever"),
    (
        "unhealthy-after=2",
        "answer 503 to /health once two requests have arrived",
    ),
    ("wrong-model", "serve another model than was asked for"),
    ("ignore-interrupts", "go on after SIGINT and SIGTERM"),
    (
        "grandchild",
        "leave a process in a session of its own that ignores signals",
    ),
    ("orphan", "the same, and its parent is gone"),
    (
        "flood-log=17MiB",
        "write so much to standard output every second",
    ),
    (
        "close-behind-answer",
        "close behind each stream without a word, as llama.cpp does",
    ),
    (
        "refuse=503",
        "refuse with this status, and Retry-After; 401 names the key",
    ),
    ("no-answer", "take the request, and never answer"),
    (
        "stall-after=5",
        "send nothing more after five chunks, and keep the connection",
    ),
    ("close-after=5", "close the connection after five chunks"),
    ("no-done", "end the stream without [DONE]"),
    (
        "error-event",
        "report an error in the stream, in place of the second chunk",
    ),
    ("invalid-json", "cut the second chunk off in the middle"),
    (
        "invalid-utf8",
        "put bytes that are no UTF-8 into the second chunk",
    ),
    ("crlf", "end lines as Windows does"),
    (
        "comments",
        "put comments between events, whose data is in two lines",
    ),
    ("long-line=4MiB", "make the second chunk so long"),
    ("byte-by-byte", "send one byte at a time"),
    ("tokens-per-chunk=4", "send four tokens in each chunk"),
];

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Ends before the port answers.
    DieAtStart,
    /// Ends when the request of this number arrives.
    DieAtRequest(u64),
    /// Is never healthy.
    NeverReady,
    /// Is not healthy once so many requests have arrived.
    UnhealthyAfter(u64),
    /// Serves another model.
    WrongModel,
    /// Goes on when it is asked to end.
    IgnoreInterrupts,
    /// Leaves a process in a session of its own.
    Grandchild,
    /// Leaves a process that no living parent leads to.
    Orphan,
    /// Writes so many bytes a second to its log.
    FloodLog(u64),
    /// Closes connections behind streams.
    CloseBehindAnswer,
    /// Answers wrongly, one request of so many.
    Answer(AnswerFault, u64),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// It is a refusal with this HTTP status.
    Refuse(u16),
    /// It never begins.
    NoAnswer,
    /// It goes no further after so many chunks.
    StallAfter(u32),
    /// The connection is closed after so many chunks.
    CloseAfter(u32),
    /// There is no `[DONE]`.
    NoDone,
    /// An event is an error.
    ErrorEvent,
    /// An event is half a JSON text.
    InvalidJson,
    /// An event is not UTF-8.
    InvalidUtf8,
    /// Lines end in `\r\n`.
    Crlf,
    /// There are comments, and events of several lines.
    Comments,
    /// An event is so many bytes long.
    LongLine(u64),
    /// It comes one byte at a time.
    ByteByByte,
    /// A chunk has so many tokens.
    TokensPerChunk(u32),
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct FaultError {
    problem: String,
}

/// What `--fault` takes, for its help.
pub fn help() -> String {
    let lines = TABLE
        .iter()
        .map(|(fault, what)| format!("  {fault:22}{what}"));
    let intro = "Fail on purpose; repeat it for several faults. An answer's fault, from `refuse` on, that ends \
                 in /N spoils one request of N: refuse=500/2\n";
    format!("{intro}{}", lines.collect::<Vec<_>>().join("\n"))
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (fault, every) = match text.split_once('/') {
            Some((fault, every)) => (fault, Some(number(every)?.max(1))),
            None => (text, None),
        };
        let (name, value) = match fault.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (fault, None),
        };
        let of_answer =
            answer_fault(name, value)?.map(|fault| Self::Answer(fault, every.unwrap_or(1)));
        match of_answer.or(of_life(name, value)?) {
            Some(fault) if every.is_none() || of_answer.is_some() => Ok(fault),
            Some(_) => Err(expected(
                "no `/N`: this fault is not one of a single answer",
            )),
            None => Err(near(name).unwrap_or_else(|| expected(&format!("one of {}", names())))),
        }
    }
}

fn of_life(name: &str, value: Option<&str>) -> Result<Option<Fault>, FaultError> {
    Ok(Some(match (name, value) {
        ("die-at-start", None) => Fault::DieAtStart,
        ("die-at-request", Some(value)) => Fault::DieAtRequest(number(value)?),
        ("never-ready", None) => Fault::NeverReady,
        ("unhealthy-after", Some(value)) => Fault::UnhealthyAfter(number(value)?),
        ("wrong-model", None) => Fault::WrongModel,
        ("ignore-interrupts", None) => Fault::IgnoreInterrupts,
        ("grandchild", None) => Fault::Grandchild,
        ("orphan", None) => Fault::Orphan,
        ("flood-log", value) => Fault::FloodLog(number(value.unwrap_or("17MiB"))?),
        ("close-behind-answer", None) => Fault::CloseBehindAnswer,
        _ => return Ok(None),
    }))
}

fn answer_fault(name: &str, value: Option<&str>) -> Result<Option<AnswerFault>, FaultError> {
    Ok(Some(match (name, value) {
        ("refuse", Some(value)) => AnswerFault::Refuse(status(value)?),
        ("no-answer", None) => AnswerFault::NoAnswer,
        ("stall-after", Some(value)) => AnswerFault::StallAfter(number(value)? as u32),
        ("close-after", Some(value)) => AnswerFault::CloseAfter(number(value)? as u32),
        ("no-done", None) => AnswerFault::NoDone,
        ("error-event", None) => AnswerFault::ErrorEvent,
        ("invalid-json", None) => AnswerFault::InvalidJson,
        ("invalid-utf8", None) => AnswerFault::InvalidUtf8,
        ("crlf", None) => AnswerFault::Crlf,
        ("comments", None) => AnswerFault::Comments,
        ("long-line", value) => AnswerFault::LongLine(number(value.unwrap_or("4MiB"))?),
        ("byte-by-byte", None) => AnswerFault::ByteByByte,
        ("tokens-per-chunk", Some(value)) => {
            AnswerFault::TokensPerChunk(number(value)?.max(1) as u32)
        }
        _ => return Ok(None),
    }))
}

/// A whole number, perhaps of KiB, MiB or GiB.
fn number(text: &str) -> Result<u64, FaultError> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    let parsed = units.iter().find_map(|(unit, shift)| {
        text.strip_suffix(unit)?
            .parse::<u64>()
            .ok()?
            .checked_shl(*shift)
            .filter(|n| u32::try_from(*n).is_ok())
    });
    parsed.ok_or_else(|| expected(&format!("a number below 4 GiB in the place of `{text}`")))
}

fn status(text: &str) -> Result<u16, FaultError> {
    let status = text
        .parse()
        .ok()
        .filter(|status| (400..600).contains(status));
    status.ok_or_else(|| expected("an HTTP status of 400 to 599 after `refuse=`"))
}

fn names() -> String {
    TABLE
        .iter()
        .map(|(fault, _)| *fault)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The fault that may be meant, in the form that it has.
fn near(name: &str) -> Option<FaultError> {
    let bare = |fault: &str| fault.split('=').next().unwrap_or_default().to_owned();
    let alike = TABLE
        .iter()
        .map(|(fault, _)| (strsim::jaro_winkler(name, &bare(fault)), fault));
    let near = alike
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    near.map(|(_, fault)| FaultError {
        problem: format!("did you mean `{fault}`?"),
    })
}

fn expected(what: &str) -> FaultError {
    FaultError {
        problem: format!("expected {what}"),
    }
}

/// All faults of an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Whether this one is among them.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// Whether it is healthy after so many requests.
    pub fn is_healthy(&self, requests: u64) -> bool {
        let fails = |fault: &Fault| match fault {
            Fault::NeverReady => true,
            Fault::UnhealthyAfter(after) => requests >= *after,
            _ => false,
        };
        !self.0.iter().any(fails)
    }

    /// What is wrong with the answer to the request of this number, from 1.
    pub fn of_answer(&self, number: u64) -> Vec<AnswerFault> {
        let of_this = |fault: &Fault| match fault {
            Fault::Answer(fault, every) if number.is_multiple_of(*every) => Some(*fault),
            _ => None,
        };
        self.0.iter().filter_map(of_this).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_the_help_names_can_be_written() {
        for (text, _) in TABLE {
            text.parse::<Fault>()
                .unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(help().contains(text));
        }
        assert_eq!(
            "long-line=64MiB".parse(),
            Ok(Fault::Answer(AnswerFault::LongLine(64 << 20), 1))
        );
        assert_eq!(
            "refuse=429/2".parse(),
            Ok(Fault::Answer(AnswerFault::Refuse(429), 2))
        );
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        let error = |text: &str| text.parse::<Fault>().expect_err(text).to_string();
        assert!(error("die").starts_with("expected one of die-at-start, die-at-request=3, "));
        assert_eq!(
            error("stall-after=x"),
            "expected a number below 4 GiB in the place of `x`"
        );
        assert_eq!(
            error("refuse=200"),
            "expected an HTTP status of 400 to 599 after `refuse=`"
        );
        assert!(error("wrong-model/2").starts_with("expected no `/N`"));
    }

    #[test]
    fn one_request_of_so_many_is_spoiled() {
        let faults = Faults(vec![
            "refuse=500/2".parse().expect("a fault"),
            Fault::UnhealthyAfter(3),
        ]);
        let spoiled: Vec<bool> = (1..=4)
            .map(|number| !faults.of_answer(number).is_empty())
            .collect();
        assert_eq!(spoiled, [false, true, false, true]);
        assert_eq!(
            [2, 3].map(|requests| faults.is_healthy(requests)),
            [true, false]
        );
    }
}
