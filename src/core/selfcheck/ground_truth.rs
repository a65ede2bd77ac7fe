//! The stamps of the simulator, with which those of the client are compared.

use crate::driver::clock::Stamp;
use crate::driver::http::Exchange;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// The stamps of the simulator, by request id.
#[derive(Debug, Default)]
pub(super) struct GroundTruth(HashMap<String, AnswerStamps>);

/// The stamps of one answer.
#[derive(Debug, Deserialize)]
pub(super) struct AnswerStamps {
    id: String,
    /// The time at which the request had been read.
    arrived_ns: u64,
    /// The time at which each chunk was due.
    due_ns: Vec<u64>,
    /// The time at which the write of each chunk began.
    written_ns: Vec<u64>,
}

impl GroundTruth {
    /// Reads the stamps in a file. Lines that cannot be read are skipped.
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut answers = HashMap::new();
        for line in text.lines() {
            if let Ok(stamps) = serde_json::from_str::<AnswerStamps>(line) {
                answers.insert(stamps.id.clone(), stamps);
            }
        }
        Self(answers)
    }

    /// Returns the stamps of the answer to a request.
    pub(super) fn find(&self, id: &str) -> Option<&AnswerStamps> {
        self.0.get(id)
    }
}

impl AnswerStamps {
    /// Returns the delay of each chunk's write, seconds.
    pub(super) fn late_s(&self) -> impl Iterator<Item = f64> {
        self.written_ns
            .iter()
            .zip(&self.due_ns)
            .map(|(written, due)| since_s(*written, *due))
    }

    /// Returns the time from the first chunk's write to its stamp, seconds.
    pub(super) fn first_error_s(&self, exchange: &Exchange) -> Option<f64> {
        let stamp = exchange.chunks.first()?;
        let written = self.written_ns.first()?;
        Some(stamp.since_s(Stamp(*written)))
    }

    /// Returns the time from the stamp of the send until the request had been read, seconds. The
    /// error of that stamp is smaller.
    pub(super) fn on_its_way_s(&self, exchange: &Exchange) -> Option<f64> {
        Some(Stamp(self.arrived_ns).since_s(exchange.sent?))
    }

    /// Returns the error of each gap between two chunks, seconds.
    pub(super) fn gap_errors_s(&self, exchange: &Exchange) -> impl Iterator<Item = f64> {
        let stamped = exchange
            .chunks
            .windows(2)
            .map(|pair| pair[1].since_s(pair[0]));
        let written = self
            .written_ns
            .windows(2)
            .map(|pair| since_s(pair[1], pair[0]));
        stamped
            .zip(written)
            .map(|(stamped, written)| (stamped - written).abs())
    }
}

fn since_s(later_ns: u64, earlier_ns: u64) -> f64 {
    Stamp(later_ns).since_s(Stamp(earlier_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(seconds: f64) -> i64 {
        (seconds * 1e9).round() as i64
    }

    #[test]
    fn errors_are_those_of_the_client_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stamps.jsonl");
        let line = concat!(
            r#"{"id":"a-0","arrived_ns":100,"#,
            r#""due_ns":[1000,2000,3000],"written_ns":[1500,2000,3600]}"#
        );
        std::fs::write(&path, format!("{line}\nnot JSON\n")).expect("a file");
        let truth = GroundTruth::read(&path);
        let stamps = truth.find("a-0").expect("its stamps");
        assert_eq!(stamps.late_s().map(ns).collect::<Vec<_>>(), [500, 0, 600]);
        let exchange = Exchange {
            sent: Some(Stamp(90)),
            chunks: vec![Stamp(1_600), Stamp(2_050), Stamp(3_600)],
            ..Exchange::default()
        };
        assert_eq!(stamps.first_error_s(&exchange).map(ns), Some(100));
        assert_eq!(stamps.on_its_way_s(&exchange).map(ns), Some(10));
        assert_eq!(
            stamps.gap_errors_s(&exchange).map(ns).collect::<Vec<_>>(),
            [50, 50]
        );
        assert!(truth.find("a-1").is_none());
    }
}
