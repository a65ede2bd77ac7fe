//! The deliberate faults and their syntax.

use std::fmt::Write;
use std::str::FromStr;

/// Each fault as `--fault` takes it, and its effect.
const TABLE: [(&str, &str); 23] = [
    ("die-at-start", "exit with 1 before the port answers"),
    (
        "die-at-request=3",
        "exit with 1 when the third request arrives",
    ),
    ("never-ready", "answer /health with 503, always"),
    (
        "unhealthy-after=2",
        "answer /health with 503 after two requests have arrived",
    ),
    ("wrong-model", "serve another model than requested"),
    ("ignore-interrupts", "ignore SIGINT and SIGTERM"),
    (
        "grandchild",
        "leave a process in its own session that ignores signals",
    ),
    ("orphan", "like grandchild, but its parent has exited"),
    (
        "flood-log=17MiB",
        "write this much to standard output per second",
    ),
    (
        "close-behind-answer",
        "close the connection after each stream without notice, as llama.cpp does",
    ),
    (
        "refuse=503",
        "refuse with this status, and Retry-After; 401 repeats the key",
    ),
    ("no-answer", "accept the request, and never answer"),
    (
        "stall-after=5",
        "send nothing more after five chunks, and keep the connection open",
    ),
    ("close-after=5", "close the connection after five chunks"),
    ("no-done", "end the stream without [DONE]"),
    (
        "error-event",
        "send an error event instead of the second chunk",
    ),
    ("invalid-json", "cut the second chunk in the middle"),
    (
        "invalid-utf8",
        "put bytes that are not UTF-8 into the second chunk",
    ),
    ("crlf", "end lines with CRLF"),
    (
        "comments",
        "put comments between events, and split their data into two lines",
    ),
    ("long-line=4MiB", "make the second chunk this long"),
    ("byte-by-byte", "send one byte at a time"),
    ("tokens-per-chunk=4", "send four tokens in each chunk"),
];

/// A deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The engine exits before the port answers.
    DieAtStart,
    /// The engine exits when the request with this number arrives.
    DieAtRequest(u64),
    NeverReady,
    /// The engine is unhealthy after this number of requests.
    UnhealthyAfter(u64),
    WrongModel,
    IgnoreInterrupts,
    /// The engine leaves a process in its own session.
    Grandchild,
    /// The engine leaves a process whose parent has exited.
    Orphan,
    /// The engine writes this number of bytes per second to its log.
    FloodLog(u64),
    /// The engine closes the connection after each stream.
    CloseBehindAnswer,
    /// One of this number of requests gets a faulty answer.
    Answer(AnswerFault, u64),
}

/// A fault of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerFault {
    /// The answer is an error with this HTTP status.
    Refuse(u16),
    NoAnswer,
    /// The stream stalls after this number of chunks.
    StallAfter(u32),
    /// The connection is closed after this number of chunks.
    CloseAfter(u32),
    /// The stream ends without `[DONE]`.
    NoDone,
    ErrorEvent,
    InvalidJson,
    InvalidUtf8,
    /// Lines end with `\r\n`.
    Crlf,
    /// Comments between events, and data in several lines.
    Comments,
    /// An event has this number of bytes.
    LongLine(u64),
    ByteByByte,
    TokensPerChunk(u32),
}

/// The error of a text that is not a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct FaultError {
    problem: String,
}

/// Returns the help of `--fault`.
pub(crate) fn help() -> String {
    let mut help =
        "Fail deliberately; repeat it for several faults. With /N at the end, a fault of \
                    answers (from `refuse` on) affects one request of N: refuse=500/2\n"
            .to_owned();
    for (fault, effect) in TABLE {
        let _ = write!(help, "\n  {fault:22}{effect}");
    }
    help
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
        if let Some(fault) = answer_fault(name, value)? {
            return Ok(Self::Answer(fault, every.unwrap_or(1)));
        }
        match (process_fault(name, value)?, every) {
            (Some(fault), None) => Ok(fault),
            (Some(_), Some(_)) => Err(expected("no `/N`: this is not a fault of answers")),
            (None, _) => Err(unknown(name)),
        }
    }
}

fn process_fault(name: &str, value: Option<&str>) -> Result<Option<Fault>, FaultError> {
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

/// Reads a whole number, with an optional unit KiB, MiB or GiB.
fn number(text: &str) -> Result<u64, FaultError> {
    for (unit, shift) in [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)] {
        let Some(Ok(count)) = text.strip_suffix(unit).map(str::parse::<u64>) else {
            continue;
        };
        if count <= u64::from(u32::MAX) >> shift {
            return Ok(count << shift);
        }
    }
    Err(expected(&format!(
        "a number below 4 GiB instead of `{text}`"
    )))
}

fn status(text: &str) -> Result<u16, FaultError> {
    match text.parse() {
        Ok(status) if (400..600).contains(&status) => Ok(status),
        _ => Err(expected("an HTTP status from 400 to 599 after `refuse=`")),
    }
}

/// Returns the error for an unknown name, with the most similar fault if there is one.
fn unknown(name: &str) -> FaultError {
    let mut nearest: Option<(f64, &str)> = None;
    for (fault, _) in TABLE {
        let known = fault.split('=').next().unwrap_or(fault);
        let likeness = strsim::jaro_winkler(name, known);
        if likeness > 0.85 && nearest.is_none_or(|(most, _)| likeness >= most) {
            nearest = Some((likeness, fault));
        }
    }
    match nearest {
        Some((_, fault)) => FaultError {
            problem: format!("did you mean `{fault}`?"),
        },
        None => expected(&format!(
            "one of {}",
            TABLE.map(|(fault, _)| fault).join(", ")
        )),
    }
}

fn expected(what: &str) -> FaultError {
    FaultError {
        problem: format!("expected {what}"),
    }
}

/// All faults of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    /// Returns true if the engine is healthy after this number of requests.
    pub(crate) fn is_healthy(&self, requests: u64) -> bool {
        !self.0.iter().any(|fault| match fault {
            Fault::NeverReady => true,
            Fault::UnhealthyAfter(after) => requests >= *after,
            _ => false,
        })
    }

    /// Returns the faults of the answer to the request with this number, which starts at 1.
    pub(crate) fn of_answer(&self, number: u64) -> Vec<AnswerFault> {
        let mut faults = Vec::new();
        for fault in &self.0 {
            if let Fault::Answer(fault, every) = fault
                && number.is_multiple_of(*every)
            {
                faults.push(*fault);
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_help_is_parsed() {
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

    fn error(text: &str) -> String {
        text.parse::<Fault>().expect_err(text).to_string()
    }

    #[test]
    fn invalid_faults_are_refused_with_a_reason() {
        assert!(error("die").starts_with("expected one of die-at-start, die-at-request=3, "));
        assert_eq!(
            error("stall-after=x"),
            "expected a number below 4 GiB instead of `x`"
        );
        assert_eq!(
            error("refuse=200"),
            "expected an HTTP status from 400 to 599 after `refuse=`"
        );
        assert!(error("wrong-model/2").starts_with("expected no `/N`"));
    }

    #[test]
    fn answer_fault_affects_one_request_of_n() {
        let faults = Faults(vec![
            "refuse=500/2".parse().expect("a fault"),
            Fault::UnhealthyAfter(3),
        ]);
        let affected: Vec<bool> = (1..=4)
            .map(|number| !faults.of_answer(number).is_empty())
            .collect();
        assert_eq!(affected, [false, true, false, true]);
        assert_eq!(
            [2, 3].map(|requests| faults.is_healthy(requests)),
            [true, false]
        );
    }
}
