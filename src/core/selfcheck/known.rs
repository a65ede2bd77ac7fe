//! What a check has found earlier on this machine, for the runs after it.

use super::{Conclusion, SelfCheck};
use crate::core::ClientHealth;
use crate::driver::machine::{self, Machine};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What runs are compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    host: String,
    cores: usize,
    at_unix_s: u64,
    rate: f64,
    streams: usize,
}

impl Known {
    /// What is kept of a check.
    pub fn of(check: &SelfCheck, conclusion: Conclusion) -> Self {
        let Conclusion { rate, streams, .. } = conclusion;
        Self {
            host: check.host.clone(),
            cores: check.cores,
            at_unix_s: check.at_unix_s,
            rate,
            streams,
        }
    }

    /// That of this machine, if there was a check on it.
    pub fn read() -> Option<Self> {
        let known: Self = serde_json::from_slice(&std::fs::read(file()?).ok()?).ok()?;
        (known.host == machine::host() && known.cores == Machine::this().cores).then_some(known)
    }

    /// Keeps it for the runs to come; says where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self) -> std::io::Result<Option<PathBuf>> {
        let Some(file) = file() else { return Ok(None) };
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&file, serde_json::to_vec_pretty(self)?)?;
        Ok(Some(file))
    }

    /// What to say of a run that was more than the client is known to hold.
    pub fn exceeded_by(&self, client: &ClientHealth) -> Option<String> {
        let (rate, streams) = (client.peak_rate, client.peak_streams);
        let (what, known) = if rate as f64 > self.rate {
            (
                format!("{rate} requests were sent within a second"),
                format!("{:.0} a second", self.rate),
            )
        } else if streams > self.streams {
            (
                format!("{streams} requests were under way at once"),
                self.streams.to_string(),
            )
        } else {
            return None;
        };
        Some(format!(
            "{what}; `lmrun selfcheck` saw {known} held on this machine, so check the client's lags before you \
             believe the numbers"
        ))
    }
}

fn file() -> Option<PathBuf> {
    machine::cache_folder().map(|folder| folder.join("selfcheck.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_beyond_what_is_known_is_told() {
        let known = Known {
            host: "h".into(),
            cores: 2,
            at_unix_s: 0,
            rate: 800.0,
            streams: 1_000,
        };
        let load = |peak_rate, peak_streams| ClientHealth {
            peak_streams,
            peak_rate,
            ..ClientHealth::default()
        };
        assert_eq!(known.exceeded_by(&load(800, 1_000)), None);
        let told = known.exceeded_by(&load(900, 10)).expect("a warning");
        assert!(
            told.starts_with(
                "900 requests were sent within a second; `lmrun selfcheck` saw 800 a second"
            ),
            "{told}"
        );
        let told = known.exceeded_by(&load(1, 1_001)).expect("a warning");
        assert!(
            told.starts_with(
                "1001 requests were under way at once; `lmrun selfcheck` saw 1000 held"
            ),
            "{told}"
        );
    }
}
