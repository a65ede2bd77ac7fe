//! The load that the client of this machine can sustain, kept for later runs.

use super::{Conclusion, SelfCheck};
use crate::core::ClientHealth;
use crate::driver::machine::{self, Machine};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The result of a check, with which later runs are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    host: String,
    cores: usize,
    at_unix_s: u64,
    /// The sustained requests per second.
    rate: f64,
    /// The sustained number of streams.
    streams: usize,
}

impl Calibration {
    /// Creates the calibration of a check.
    pub fn new(check: &SelfCheck, conclusion: Conclusion) -> Self {
        Self {
            host: check.host.clone(),
            cores: check.cores,
            at_unix_s: check.at_unix_s,
            rate: conclusion.rate,
            streams: conclusion.streams,
        }
    }

    /// Reads the calibration of this machine, if there was a check.
    pub fn read() -> Option<Self> {
        let json = std::fs::read(file()?).ok()?;
        let calibration: Self = serde_json::from_slice(&json).ok()?;
        let is_of_this_machine =
            calibration.host == machine::host() && calibration.cores == Machine::this().cores;
        is_of_this_machine.then_some(calibration)
    }

    /// Writes it for later runs. Does nothing if the user has no cache folder.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write(&self) -> std::io::Result<()> {
        let Some(file) = file() else {
            return Ok(());
        };
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&file, serde_json::to_vec_pretty(self)?)
    }

    /// Returns a warning about a run whose load was higher.
    pub fn warning(&self, client: &ClientHealth) -> Option<String> {
        let (load, sustained) = if client.peak_rate as f64 > self.rate {
            (
                format!("{} requests were sent within a second", client.peak_rate),
                format!("{:.0} per second", self.rate),
            )
        } else if client.peak_streams > self.streams {
            (
                format!("{} requests were in flight at once", client.peak_streams),
                self.streams.to_string(),
            )
        } else {
            return None;
        };
        Some(format!(
            "{load}, but `lmrun selfcheck` sustained only {sustained} on this machine: check the \
             client's lags before you trust the results"
        ))
    }
}

fn file() -> Option<PathBuf> {
    machine::cache_folder().map(|folder| folder.join("selfcheck.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peak_rate: usize, peak_streams: usize) -> ClientHealth {
        ClientHealth {
            peak_streams,
            peak_rate,
            ..ClientHealth::default()
        }
    }

    #[test]
    fn a_load_beyond_the_calibration_gives_a_warning() {
        let calibration = Calibration {
            host: "h".into(),
            cores: 2,
            at_unix_s: 0,
            rate: 800.0,
            streams: 1_000,
        };
        assert_eq!(calibration.warning(&client(800, 1_000)), None);
        for (client, expected) in [
            (
                client(900, 10),
                "900 requests were sent within a second, but `lmrun selfcheck` sustained only 800 \
                 per second on this machine",
            ),
            (
                client(1, 1_001),
                "1001 requests were in flight at once, but `lmrun selfcheck` sustained only 1000 \
                 on this machine",
            ),
        ] {
            let warning = calibration.warning(&client).expect("a warning");
            assert!(warning.starts_with(expected), "{warning}");
        }
    }
}
