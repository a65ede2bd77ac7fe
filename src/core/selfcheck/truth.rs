//! What the simulator says that it did.

use crate::driver::clock::Stamp;
use crate::driver::http::Exchange;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// The simulator's own moments, by the id of the request.
#[derive(Debug, Default)]
pub struct Truth(HashMap<String, Moments>);

/// The moments of one answer.
#[derive(Debug, Deserialize)]
pub struct Moments {
    id: String,
    /// When the request had been read.
    pub arrived_ns: u64,
    /// When each chunk was due.
    pub due_ns: Vec<u64>,
    /// When the write of each chunk began.
    pub written_ns: Vec<u64>,
}

impl Truth {
    /// What was written to `path`. What cannot be read is missed by the comparison.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let moments = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Moments>(line).ok());
        Self(
            moments
                .map(|moments| (moments.id.clone(), moments))
                .collect(),
        )
    }

    /// Those of the answer to the request `id`.
    pub fn of(&self, id: &str) -> Option<&Moments> {
        self.0.get(id)
    }
}

impl Moments {
    /// How late each chunk was written, seconds.
    pub fn late_s(&self) -> impl Iterator<Item = f64> {
        self.written_ns
            .iter()
            .zip(&self.due_ns)
            .map(|(written, due)| since_s(*written, *due))
    }

    /// How much later than its write the first chunk was stamped, seconds.
    pub fn first_error_s(&self, seen: &Exchange) -> Option<f64> {
        Some(
            seen.chunks
                .first()?
                .since_s(Stamp(*self.written_ns.first()?)),
        )
    }

    /// From the stamp of the send to the moment in which the request had been read, seconds: more
    /// than that stamp can be wrong.
    pub fn on_its_way_s(&self, seen: &Exchange) -> Option<f64> {
        Some(Stamp(self.arrived_ns).since_s(seen.sent?))
    }

    /// How far each gap between two chunks is from the true one, seconds.
    pub fn gap_errors_s(&self, seen: &Exchange) -> impl Iterator<Item = f64> {
        let seen = seen.chunks.windows(2).map(|pair| pair[1].since_s(pair[0]));
        let written = self
            .written_ns
            .windows(2)
            .map(|pair| since_s(pair[1], pair[0]));
        seen.zip(written)
            .map(|(seen, written)| (seen - written).abs())
    }
}

fn since_s(later_ns: u64, earlier_ns: u64) -> f64 {
    Stamp(later_ns).since_s(Stamp(earlier_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_the_client_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stamps.jsonl");
        let line = r#"{"id":"a-0","arrived_ns":100,"due_ns":[1000,2000,3000],"written_ns":[1500,2000,3600]}"#;
        std::fs::write(&path, format!("{line}\nnot JSON\n")).expect("a file");
        let truth = Truth::read(&path);
        let moments = truth.of("a-0").expect("its moments");
        let ns = |seconds: f64| (seconds * 1e9).round() as i64;
        assert_eq!(moments.late_s().map(ns).collect::<Vec<_>>(), [500, 0, 600]);
        let chunks = vec![Stamp(1_600), Stamp(2_050), Stamp(3_600)];
        let seen = Exchange {
            sent: Some(Stamp(90)),
            chunks,
            ..Exchange::default()
        };
        assert_eq!(moments.first_error_s(&seen).map(ns), Some(100));
        assert_eq!(moments.on_its_way_s(&seen).map(ns), Some(10));
        assert_eq!(
            moments.gap_errors_s(&seen).map(ns).collect::<Vec<_>>(),
            [50, 50]
        );
        assert!(truth.of("a-1").is_none());
    }
}
