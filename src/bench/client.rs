//! How well the client did: what it adds to the numbers by itself.

use super::{Distribution, EngineSeen};
use serde::Serialize;

/// How well the client did in an experiment. Seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientSeen {
    /// How late requests were sent.
    pub send_lag_s: Spread,
    /// How long received bytes lay in the socket, the longest of each request.
    pub read_lag_s: Spread,
    /// The busiest sending thread's share of a core.
    pub cpu_share: Option<f64>,
    /// Requests whose connection was not open yet when they were due.
    pub connected_late: usize,
    /// Requests that were sent again because the server had closed an idle connection.
    pub resent: usize,
    /// Median TTFT, for comparison.
    pub ttft_p50_s: Option<f64>,
}

/// A distribution in three numbers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// The median.
    pub p50: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

/// How late requests may be sent, seconds, where nobody says otherwise.
pub const MAX_SEND_LAG_S: f64 = 0.005;
/// Above this share of a core a sending thread is late by queueing.
const BUSY: f64 = 0.9;
/// A lag under this part of the median TTFT changes no conclusion.
const PART_OF_TTFT: f64 = 0.05;
/// Fewer requests have no 99th percentile: one unlucky moment of the machine would be it.
const ENOUGH: usize = 100;

impl ClientSeen {
    /// What the rows tell, and the share of a core that the busiest sending thread used.
    pub fn of(engines: &[EngineSeen], cpu_share: Option<f64>) -> Self {
        let rows = || engines.iter().flat_map(|engine| engine.rows.iter());
        let of = |distribution: &Distribution| Spread {
            p50: distribution.percentile(50.0),
            p99: distribution.percentile(if distribution.count() < ENOUGH { 90.0 } else { 99.0 }),
            max: distribution.max(),
        };
        Self {
            send_lag_s: of(&rows().filter_map(|row| row.send_lag_s).collect()),
            read_lag_s: of(&rows().map(|row| row.read_lag_s).collect()),
            cpu_share,
            connected_late: rows().filter(|row| row.connected_late).count(),
            resent: rows().filter(|row| row.resent).count(),
            ttft_p50_s: rows().filter_map(|row| row.ttft).collect::<Distribution>().percentile(50.0),
        }
    }

    /// Why the numbers of the experiment cannot be believed, if they cannot: the client was late
    /// by more than `max_send_lag_s` and by more than a twentieth of the median TTFT, or a sending
    /// thread had no time left.
    pub fn invalid(&self, max_send_lag_s: f64) -> Option<String> {
        let allowed_s = max_send_lag_s.max(PART_OF_TTFT * self.ttft_p50_s.unwrap_or(0.0));
        let ms = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        if let Some(lag_s) = self.send_lag_s.p99.filter(|lag_s| *lag_s > allowed_s) {
            return Some(format!(
                "lmrun sent requests {} late (99th percentile; {} is allowed): the load was not the one planned",
                ms(lag_s),
                ms(allowed_s)
            ));
        }
        let share = self.cpu_share.filter(|share| *share > BUSY)?;
        Some(format!("a sending thread used {:.0} % of a core: lmrun was the bottleneck", share * 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Row;
    use super::*;
    use std::sync::Arc;

    fn client(lags_s: impl Iterator<Item = f64>, ttft: f64, cpu_share: f64) -> ClientSeen {
        let row = |lag_s| Row { send_lag_s: Some(lag_s), ttft: Some(ttft), ..Row::default() };
        let rows = Arc::new(lags_s.map(row).collect());
        ClientSeen::of(&[EngineSeen { name: "e".into(), simulated: false, rows }], Some(cpu_share))
    }

    #[test]
    fn a_late_client_makes_an_experiment_invalid() {
        let lags = || (0..200).map(|i| if i < 190 { 0.0001 } else { 0.02 });
        let reason = client(lags(), 0.05, 0.2).invalid(0.005).expect("invalid");
        assert!(reason.starts_with("lmrun sent requests 20.0 ms late"), "{reason}");
        assert_eq!(client(lags(), 1.0, 0.2).invalid(0.005), None, "a fiftieth of the TTFT");
        assert_eq!(client(lags(), 0.05, 0.2).invalid(0.5), None);
    }

    #[test]
    fn one_unlucky_moment_of_few_requests_does_not() {
        let lags = (0..30).map(|i| if i == 7 { 0.5 } else { 0.0001 });
        assert_eq!(client(lags, 0.05, 0.2).invalid(0.005), None);
    }

    #[test]
    fn a_thread_without_time_makes_it_invalid_too() {
        let reason = client(std::iter::once(0.0), 0.05, 0.97).invalid(0.005).expect("invalid");
        assert_eq!(reason, "a sending thread used 97 % of a core: lmrun was the bottleneck");
    }
}
