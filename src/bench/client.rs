//! How well the client did: what it adds to the numbers by itself.

use super::{Distribution, EngineSeen, Reason, ReasonCode, Row};
use crate::driver::clock::Stamp;
use crate::driver::http::Shards;
use crate::driver::limits;
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
    /// Connections that were opened.
    pub connections: usize,
    /// TCP segments that the machine sent a second time meanwhile, whoever sent them.
    pub retransmits: Option<u64>,
    /// The most requests that were under way at the same time.
    pub peak_streams: usize,
    /// The most requests that were sent within a second.
    pub peak_rate: usize,
    /// Requests whose connection was not open yet when they were due.
    pub connected_late: usize,
    /// Requests that were sent again because the server had closed an idle connection.
    pub resent: usize,
    /// Median TTFT, for comparison.
    pub ttft_p50_s: Option<f64>,
}

/// A distribution in three numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub p50: Option<f64>,
    /// The 99th percentile; of fewer than 100 values the 90th.
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

impl Spread {
    /// That of `values`.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Distribution = values.into_iter().collect();
        let high = if values.count() < ENOUGH { 90.0 } else { 99.0 };
        Self { p50: values.percentile(50.0), p99: values.percentile(high), max: values.max() }
    }
}

/// What the client spends, from a moment on.
pub struct Effort<'a> {
    shards: &'a Shards,
    cpu_s: Vec<f64>,
    opened: usize,
    retransmits: Option<u64>,
    since: Stamp,
}

/// What the client has spent.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// The busiest sending thread's share of a core.
    cpu_share: Option<f64>,
    connections: usize,
    retransmits: Option<u64>,
}

impl<'a> Effort<'a> {
    /// From now on.
    pub fn since_now(shards: &'a Shards) -> Self {
        let (cpu_s, opened, retransmits) = (shards.cpu_s(), shards.opened(), limits::retransmits());
        Self { shards, cpu_s, opened, retransmits, since: Stamp::now() }
    }

    /// Until now.
    pub fn spent(&self) -> Spent {
        let wall_s = Stamp::now().since_s(self.since);
        let cpu_s = self.shards.cpu_s();
        let used = cpu_s.iter().zip(&self.cpu_s).map(|(now_s, before_s)| (now_s - before_s) / wall_s);
        let retransmits = limits::retransmits().zip(self.retransmits).map(|(now, before)| now - before);
        Spent {
            cpu_share: used.reduce(f64::max),
            connections: self.shards.opened() - self.opened,
            retransmits,
        }
    }
}

impl ClientSeen {
    /// What the rows tell, and what was spent on them.
    pub fn of(engines: &[EngineSeen], spent: &Spent) -> Self {
        let rows = || engines.iter().flat_map(|engine| engine.rows.iter());
        Self {
            send_lag_s: Spread::of(rows().filter_map(|row| row.send_lag_s)),
            read_lag_s: Spread::of(rows().map(|row| row.read_lag_s)),
            cpu_share: spent.cpu_share,
            connections: spent.connections,
            retransmits: spent.retransmits,
            peak_streams: peak_streams(rows()),
            peak_rate: peak_rate(rows()),
            connected_late: rows().filter(|row| row.connected_late).count(),
            resent: rows().filter(|row| row.resent).count(),
            ttft_p50_s: rows().filter_map(|row| row.ttft).collect::<Distribution>().percentile(50.0),
        }
    }

    /// The reasons why the client spoiled the numbers of the experiment: it was late by more than
    /// `max_send_lag_s` and by more than a twentieth of the median TTFT, or a sending thread had no time
    /// left.
    pub fn faults(&self, max_send_lag_s: f64) -> Vec<Reason> {
        let allowed_s = max_send_lag_s.max(PART_OF_TTFT * self.ttft_p50_s.unwrap_or(0.0));
        [self.late_sends(allowed_s), self.busy_thread()].into_iter().flatten().collect()
    }

    fn late_sends(&self, allowed_s: f64) -> Option<Reason> {
        let ms = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        let lag_s = self.send_lag_s.p99.filter(|lag_s| *lag_s > allowed_s)?;
        let text = format!(
            "lmrun sent requests {} late (99th percentile; {} is allowed): the load was not the one planned",
            ms(lag_s),
            ms(allowed_s)
        );
        Some(Reason::new(ReasonCode::SendLag, text))
    }

    fn busy_thread(&self) -> Option<Reason> {
        let share = self.cpu_share.filter(|share| *share > BUSY)?;
        let text =
            format!("a sending thread used {:.0} % of a core: lmrun was the bottleneck", share * 100.0);
        Some(Reason::new(ReasonCode::Cpu, text))
    }
}

/// The most requests between their first and last moment at the same time.
fn peak_streams<'a>(rows: impl Iterator<Item = &'a Row>) -> usize {
    let whole = |row: &Row| Some((row.sent_s?, row.done_s.or(row.last_token_s)?));
    let mut moments: Vec<(f64, i32)> =
        rows.filter_map(whole).flat_map(|(sent_s, done_s)| [(sent_s, 1), (done_s, -1)]).collect();
    moments.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let open = moments.iter().scan(0, |open, (_, step)| {
        *open += step;
        Some(*open)
    });
    open.max().unwrap_or(0) as usize
}

/// The most requests that were sent within a second.
fn peak_rate<'a>(rows: impl Iterator<Item = &'a Row>) -> usize {
    let sent: Distribution = rows.filter_map(|row| row.sent_s).collect();
    let sent_s = sent.values();
    let within = |(first, at): (usize, &f64)| sent_s[first..].partition_point(|other| *other < at + 1.0);
    sent_s.iter().enumerate().map(within).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn client(lags_s: impl Iterator<Item = f64>, ttft: f64, cpu_share: f64) -> ClientSeen {
        let row = |lag_s| Row { send_lag_s: Some(lag_s), ttft: Some(ttft), ..Row::default() };
        let rows = Arc::new(lags_s.map(row).collect());
        let spent = Spent { cpu_share: Some(cpu_share), ..Spent::default() };
        ClientSeen::of(&[EngineSeen { rows, ..EngineSeen::default() }], &spent)
    }

    #[test]
    fn a_late_client_makes_an_experiment_invalid() {
        let lags = || (0..200).map(|i| if i < 190 { 0.0001 } else { 0.02 });
        let [late] = &client(lags(), 0.05, 0.2).faults(0.005)[..] else { panic!("a reason") };
        assert_eq!(late.code, ReasonCode::SendLag);
        assert!(late.text.starts_with("lmrun sent requests 20.0 ms late"), "{}", late.text);
        assert_eq!(client(lags(), 1.0, 0.2).faults(0.005), [], "a fiftieth of the TTFT");
        assert_eq!(client(lags(), 0.05, 0.2).faults(0.5), []);
    }

    #[test]
    fn one_unlucky_moment_of_few_requests_does_not() {
        let lags = (0..30).map(|i| if i == 7 { 0.5 } else { 0.0001 });
        assert_eq!(client(lags, 0.05, 0.2).faults(0.005), []);
    }

    #[test]
    fn the_peaks_are_those_of_all_engines() {
        let row = |sent_s, done_s| Row { sent_s: Some(sent_s), done_s: Some(done_s), ..Row::default() };
        let seen = |rows| EngineSeen { rows: Arc::new(rows), ..EngineSeen::default() };
        let engines = [seen(vec![row(0.0, 1.5), row(2.0, 3.0)]), seen(vec![row(0.5, 1.6), row(1.55, 4.0)])];
        let client = ClientSeen::of(&engines, &Spent::default());
        assert_eq!((client.peak_streams, client.peak_rate), (2, 2));
        assert_eq!(ClientSeen::of(&[], &Spent::default()).peak_rate, 0);
    }

    #[test]
    fn a_thread_without_time_makes_it_invalid_too() {
        let faults = client(std::iter::once(0.0), 0.05, 0.97).faults(0.005);
        let text = "a sending thread used 97 % of a core: lmrun was the bottleneck".to_owned();
        assert_eq!(faults, [Reason::new(ReasonCode::Cpu, text)]);
    }

    #[test]
    fn all_reasons_are_kept() {
        let faults = client(std::iter::repeat_n(0.02, 200), 0.05, 0.97).faults(0.005);
        let codes: Vec<ReasonCode> = faults.iter().map(|reason| reason.code).collect();
        assert_eq!(codes, [ReasonCode::SendLag, ReasonCode::Cpu]);
    }
}
