//! The health of the client: the delays that the client itself adds to the numbers.

use crate::core::{Distribution, EngineResult, Reason, ReasonCode, Row, least_n};
use crate::driver::clock::Stamp;
use crate::driver::http::Shards;
use crate::driver::limits;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The health of the client in an experiment. Times are in seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientHealth {
    /// The delay with which requests were sent.
    pub send_lag_s: Spread,
    /// The delay with which a request may be sent and still counts as on time, seconds.
    pub allowed_lag_s: f64,
    /// The number of requests that were sent.
    pub sent: usize,
    /// The number of requests that were sent later than that.
    pub sent_late: usize,
    /// The longest time that received bytes waited in the socket, per request.
    pub read_lag_s: Spread,
    /// The longest stall of the sending thread during each request, seconds.
    pub stall_s: Spread,
    /// The longest stall that is allowed, seconds.
    pub allowed_stall_s: f64,
    /// The number of requests that met a longer one.
    pub stalled: usize,
    /// Chunks of output.
    pub chunks: usize,
    /// Those that were read together with an earlier one.
    pub chunks_joined: usize,
    /// Those of them that came during a stall longer than `allowed_lag_s`.
    pub chunks_stalled: usize,
    /// Requests whose first token may be stamped too late by more than `allowed_lag_s`.
    pub first_tokens_late: usize,
    /// The share of a core that the busiest sending thread used in its busiest second.
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

/// A distribution in a few numbers. A percentile that needs more values than there are is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub p50: Option<f64>,
    /// The 90th percentile.
    pub p90: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
    /// The largest value.
    pub max: Option<f64>,
}

/// The default of the delay with which requests may be sent, seconds.
pub const MAX_SEND_LAG_S: f64 = 0.005;
/// Above this share of a core a sending thread is late by queueing.
const BUSY: f64 = 0.9;
/// A lag under this part of the median TTFT changes no conclusion.
const PART_OF_TTFT: f64 = 0.05;
/// The part of the median latency below which a stall changes no conclusion.
const PART_OF_LATENCY: f64 = 0.1;
/// The length below which a stall changes no conclusion, seconds: the kernel's stamps do not move.
const SHORT_STALL_S: f64 = 0.1;
/// The share of chunks that may come during stalls: above it, the known gaps between tokens are not a sample
/// of all.
const PART_OF_CHUNKS: f64 = 0.05;
/// An experiment is invalid if more than one request in this number is late: the load was not the planned
/// one.
const LATE_ONE_IN: usize = 100;
/// The least time over which the CPU share of a thread is taken, seconds.
const WINDOW_S: f64 = 1.0;
/// The interval at which the CPU time of the threads is read.
const SAMPLED_EVERY: Duration = Duration::from_millis(200);

impl Spread {
    /// That of `values`.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Distribution = values.into_iter().collect();
        let high = |p| {
            values
                .percentile(p)
                .filter(|_| values.count() >= least_n(p))
        };
        Self {
            p50: values.percentile(50.0),
            p90: high(90.0),
            p99: high(99.0),
            max: values.max(),
        }
    }

    /// The highest percentile that there are enough values for; the largest value if there are too few
    /// for any.
    pub fn high(&self) -> Option<f64> {
        self.p99.or(self.p90).or(self.max)
    }
}

/// The resources that the client uses from a moment on.
pub struct Effort<'a> {
    shards: &'a Shards,
    opened: usize,
    retransmits: Option<u64>,
    cpu: Arc<Mutex<CpuWindows>>,
    sampler: JoinHandle<()>,
}

/// The resources that the client has used.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// The share of a core that the busiest sending thread used in its busiest second.
    cpu_share: Option<f64>,
    connections: usize,
    retransmits: Option<u64>,
}

impl<'a> Effort<'a> {
    /// From now on.
    pub fn since_now(shards: &'a Shards) -> Self {
        let cpu = Arc::new(Mutex::new(CpuWindows::default()));
        let (threads, windows) = (shards.threads().to_vec(), cpu.clone());
        windows.lock().add(Stamp::now(), cpu_s(&threads));
        let sampler = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SAMPLED_EVERY).await;
                windows.lock().add(Stamp::now(), cpu_s(&threads));
            }
        });
        Self {
            shards,
            opened: shards.opened(),
            retransmits: limits::retransmits(),
            cpu,
            sampler,
        }
    }

    /// Until now.
    pub fn spent(&self) -> Spent {
        let mut cpu = self.cpu.lock();
        cpu.add(Stamp::now(), cpu_s(self.shards.threads()));
        let retransmits = limits::retransmits()
            .zip(self.retransmits)
            .map(|(now, before)| now - before);
        let connections = self.shards.opened() - self.opened;
        Spent {
            cpu_share: cpu.busiest(),
            connections,
            retransmits,
        }
    }
}

impl Drop for Effort<'_> {
    fn drop(&mut self) {
        self.sampler.abort();
    }
}

/// The CPU time that each thread has used so far, seconds.
fn cpu_s(threads: &[i32]) -> Vec<Option<f64>> {
    threads
        .iter()
        .map(|tid| limits::thread_cpu_s(*tid))
        .collect()
}

/// The CPU time of threads over the last second, and the largest share of a core in any second.
#[derive(Default)]
struct CpuWindows {
    /// The oldest is the last one that is a second older than the newest.
    samples: VecDeque<(Stamp, Vec<Option<f64>>)>,
    busiest: Option<f64>,
}

impl CpuWindows {
    fn add(&mut self, now: Stamp, cpu_s: Vec<Option<f64>>) {
        self.samples.push_back((now, cpu_s));
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now.since_s(*at) >= WINDOW_S)
        {
            self.samples.pop_front();
        }
        if self
            .samples
            .front()
            .is_some_and(|(at, _)| now.since_s(*at) >= WINDOW_S)
        {
            self.busiest = self
                .busiest
                .into_iter()
                .chain(self.share())
                .reduce(f64::max);
        }
    }

    /// The busiest thread's share of a core since the oldest sample.
    fn share(&self) -> Option<f64> {
        let ((since, before), (until, after)) = (self.samples.front()?, self.samples.back()?);
        let wall_s = until.since_s(*since);
        let used_s = before
            .iter()
            .zip(after)
            .filter_map(|(before, after)| Some((*after)? - (*before)?));
        used_s
            .map(|used_s| used_s / wall_s)
            .filter(|share| share.is_finite())
            .reduce(f64::max)
    }

    /// The largest share in any second; that of the whole time if it was shorter.
    fn busiest(&self) -> Option<f64> {
        self.busiest.or_else(|| self.share())
    }
}

impl ClientHealth {
    /// Computes the client's values from the rows, and from the resources that were `spent` on them. Requests
    /// may be sent `max_send_lag_s` late, or a twentieth of the median TTFT if that is more.
    pub fn of(engines: &[EngineResult], spent: &Spent, max_send_lag_s: f64) -> Self {
        let rows = || engines.iter().flat_map(|engine| engine.rows.iter());
        let median = |measure: fn(&Row) -> Option<f64>| {
            rows()
                .filter_map(measure)
                .collect::<Distribution>()
                .percentile(50.0)
        };
        let ttft_p50_s = median(|row| row.ttft);
        let latency_s = median(|row| row.latency).unwrap_or(0.0);
        let allowed_lag_s = max_send_lag_s.max(PART_OF_TTFT * ttft_p50_s.unwrap_or(0.0));
        let allowed_stall_s = allowed_lag_s
            .max(SHORT_STALL_S)
            .max(PART_OF_LATENCY * latency_s);
        let lags_s = || rows().filter_map(|row| row.send_lag_s);
        let stalls_s = || rows().filter_map(|row| row.stall_s);
        let is_over = |seconds: Option<f64>| seconds.is_some_and(|seconds| seconds > allowed_lag_s);
        Self {
            send_lag_s: Spread::of(lags_s()),
            allowed_lag_s,
            sent: lags_s().count(),
            sent_late: lags_s().filter(|lag_s| *lag_s > allowed_lag_s).count(),
            read_lag_s: Spread::of(rows().map(|row| row.read_lag_s)),
            stall_s: Spread::of(stalls_s()),
            allowed_stall_s,
            stalled: stalls_s()
                .filter(|stall_s| *stall_s > allowed_stall_s)
                .count(),
            chunks: rows().map(|row| row.chunks).sum(),
            chunks_joined: rows().map(|row| row.chunks_joined).sum(),
            chunks_stalled: rows()
                .filter(|row| is_over(row.stall_s))
                .map(|row| row.chunks_stalled)
                .sum(),
            first_tokens_late: rows().filter(|row| is_over(row.ttft_late_s)).count(),
            cpu_share: spent.cpu_share,
            connections: spent.connections,
            retransmits: spent.retransmits,
            peak_streams: peak_streams(rows()),
            peak_rate: peak_rate(rows()),
            connected_late: rows().filter(|row| row.connected_late).count(),
            resent: rows().filter(|row| row.resent).count(),
            ttft_p50_s,
        }
    }

    /// The reasons why the client spoiled the numbers of the experiment: too many requests were sent late,
    /// or a sending thread did not run, had no time left, or stamped too many chunks together.
    pub fn faults(&self) -> Vec<Reason> {
        let faults = [
            self.late_sends(),
            self.stalls(),
            self.busy_thread(),
            self.late_first_tokens(),
            self.stalled_chunks(),
        ];
        faults.into_iter().flatten().collect()
    }

    fn late_sends(&self) -> Option<Reason> {
        if !are_too_many(self.sent_late, self.sent) {
            return None;
        }
        let text = format!(
            "lmrun sent {} of {} requests more than {} late, up to {}: the load was not the planned one",
            self.sent_late,
            self.sent,
            ms(self.allowed_lag_s),
            ms(self.send_lag_s.max.unwrap_or_default())
        );
        Some(Reason::new(ReasonCode::SendLag, text))
    }

    fn stalls(&self) -> Option<Reason> {
        if !are_too_many(self.stalled, self.sent) {
            return None;
        }
        let text = format!(
            "the thread that reads answers stood still for more than {} during {} of {} requests, up to {}",
            ms(self.allowed_stall_s),
            self.stalled,
            self.sent,
            ms(self.stall_s.max.unwrap_or_default())
        );
        Some(Reason::new(ReasonCode::Stall, text))
    }

    fn late_first_tokens(&self) -> Option<Reason> {
        if !are_too_many(self.first_tokens_late, self.sent) {
            return None;
        }
        let text = format!(
            "the first token of {} of {} requests may be stamped more than {} late: it was read together with \
             later chunks, as lmrun stood still",
            self.first_tokens_late,
            self.sent,
            ms(self.allowed_lag_s)
        );
        Some(Reason::new(ReasonCode::Joined, text))
    }

    fn stalled_chunks(&self) -> Option<Reason> {
        let share = self.chunks_stalled as f64 / self.chunks.max(1) as f64;
        let text = format!(
            "{} of {} chunks came while lmrun stood still and were stamped together: the gaps between tokens \
             are those of the others",
            self.chunks_stalled, self.chunks
        );
        (share > PART_OF_CHUNKS).then(|| Reason::new(ReasonCode::Joined, text))
    }

    fn busy_thread(&self) -> Option<Reason> {
        let share = self.cpu_share.filter(|share| *share > BUSY)?;
        let percent = share * 100.0;
        let text = format!(
            "a sending thread used {percent:.0} % of a core for a second: lmrun was the bottleneck"
        );
        Some(Reason::new(ReasonCode::Cpu, text))
    }
}

fn ms(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// Returns true if more than 1 % of the requests are affected, and more than one of them or the only one:
/// a single unlucky moment of the machine spoils no experiment.
fn are_too_many(affected: usize, requests: usize) -> bool {
    let allowed = (requests / LATE_ONE_IN)
        .max(1)
        .min(requests.saturating_sub(1));
    affected > allowed
}

/// The most requests between their first and last moment at the same time.
fn peak_streams<'a>(rows: impl Iterator<Item = &'a Row>) -> usize {
    let whole = |row: &Row| Some((row.sent_s?, row.done_s.or(row.last_token_s)?));
    let mut moments: Vec<(f64, i32)> = rows
        .filter_map(whole)
        .flat_map(|(sent_s, done_s)| [(sent_s, 1), (done_s, -1)])
        .collect();
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
    let within =
        |(first, at): (usize, &f64)| sent_s[first..].partition_point(|other| *other < at + 1.0);
    sent_s.iter().enumerate().map(within).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn client(lags_s: impl IntoIterator<Item = f64>, ttft: f64, cpu_share: f64) -> ClientHealth {
        let row = |lag_s| Row {
            send_lag_s: Some(lag_s),
            ttft: Some(ttft),
            ..Row::default()
        };
        let rows = Arc::new(lags_s.into_iter().map(row).collect());
        let spent = Spent {
            cpu_share: Some(cpu_share),
            ..Spent::default()
        };
        ClientHealth::of(
            &[EngineResult {
                rows,
                ..EngineResult::default()
            }],
            &spent,
            0.005,
        )
    }

    /// Send lags of which some are 20 ms.
    fn lags(late: usize, all: usize) -> impl Iterator<Item = f64> {
        (0..all).map(move |i| if i < late { 0.02 } else { 0.0001 })
    }

    #[test]
    fn a_late_client_makes_an_experiment_invalid() {
        let [late] = &client(lags(3, 200), 0.05, 0.2).faults()[..] else {
            panic!("a reason")
        };
        assert_eq!(late.code, ReasonCode::SendLag);
        let text = "lmrun sent 3 of 200 requests more than 5.0 ms late, up to 20.0 ms: \
                    the load was not the planned one";
        assert_eq!(late.text, text);
        assert_eq!(
            client(lags(3, 200), 1.0, 0.2).faults(),
            [],
            "a fiftieth of the TTFT"
        );
    }

    #[test]
    fn more_than_one_request_in_a_hundred_must_be_late() {
        let is_valid = |late, all| client(lags(late, all), 0.05, 0.2).faults().is_empty();
        assert!(
            is_valid(2, 200) && !is_valid(3, 200),
            "one per cent is allowed"
        );
        assert!(is_valid(1, 99) && !is_valid(2, 99), "nine of 99 were, once");
        assert!(is_valid(1, 30), "one unlucky moment of few requests");
        assert!(is_valid(1, 2) && !is_valid(2, 2));
        assert!(!is_valid(1, 1), "the only one");
    }

    #[test]
    fn percentiles_that_need_more_values_are_not_there() {
        let spread = |count: u32| Spread::of((1..=count).map(f64::from));
        let few = spread(10);
        assert_eq!(
            (few.p50, few.p90, few.p99, few.max),
            (Some(5.5), None, None, Some(10.0))
        );
        assert_eq!(few.high(), Some(10.0));
        assert_eq!(
            (spread(101).p90, spread(101).p99, spread(101).high()),
            (Some(91.0), None, Some(91.0))
        );
        assert_eq!(spread(401).high(), Some(397.0));
    }

    #[test]
    fn the_peaks_are_those_of_all_engines() {
        let row = |sent_s, done_s| Row {
            sent_s: Some(sent_s),
            done_s: Some(done_s),
            ..Row::default()
        };
        let seen = |rows| EngineResult {
            rows: Arc::new(rows),
            ..EngineResult::default()
        };
        let engines = [
            seen(vec![row(0.0, 1.5), row(2.0, 3.0)]),
            seen(vec![row(0.5, 1.6), row(1.55, 4.0)]),
        ];
        let client = ClientHealth::of(&engines, &Spent::default(), 0.005);
        assert_eq!((client.peak_streams, client.peak_rate), (2, 2));
        assert_eq!(ClientHealth::of(&[], &Spent::default(), 0.005).peak_rate, 0);
    }

    #[test]
    fn a_thread_without_time_makes_it_invalid_too() {
        let text = "a sending thread used 97 % of a core for a second: lmrun was the bottleneck"
            .to_owned();
        assert_eq!(
            client([0.0], 0.05, 0.97).faults(),
            [Reason::new(ReasonCode::Cpu, text)]
        );
    }

    #[test]
    fn all_reasons_are_kept() {
        let faults = client(lags(200, 200), 0.05, 0.97).faults();
        let codes: Vec<ReasonCode> = faults.iter().map(|reason| reason.code).collect();
        assert_eq!(codes, [ReasonCode::SendLag, ReasonCode::Cpu]);
    }

    /// Requests of ten chunks in a second, given what stalls did to each: the longest, the chunks in it, and how
    /// late the first token may be.
    fn stalled(stalls: impl IntoIterator<Item = (f64, usize, f64)>) -> Vec<ReasonCode> {
        let row = |(stall_s, chunks_stalled, ttft_late_s)| Row {
            send_lag_s: Some(0.0),
            ttft: Some(0.05),
            latency: Some(1.0),
            chunks: 10,
            stall_s: Some(stall_s),
            chunks_joined: 9,
            chunks_stalled,
            ttft_late_s: Some(ttft_late_s),
            ..Row::default()
        };
        let rows = Arc::new(stalls.into_iter().map(row).collect());
        let engines = [EngineResult {
            rows,
            ..EngineResult::default()
        }];
        let faults = ClientHealth::of(&engines, &Spent::default(), 0.005).faults();
        faults.iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn stalls_that_spoil_what_was_measured_make_it_invalid() {
        let of = |count: usize, stall: (f64, usize, f64)| {
            stalled((0..100).map(|i| if i < count { stall } else { (0.0, 0, 0.0) }))
        };
        assert_eq!(
            of(100, (0.0, 0, 0.0)),
            [],
            "a server that writes chunks together"
        );
        assert_eq!(of(100, (0.09, 0, 0.0)), [], "the stamps are the kernel's");
        assert_eq!(of(2, (0.15, 0, 0.0)), [ReasonCode::Stall]);
        assert_eq!(
            of(2, (0.02, 1, 0.015)),
            [ReasonCode::Joined],
            "first tokens"
        );
        assert_eq!(of(1, (0.02, 9, 0.015)), [], "one of a hundred");
        assert_eq!(
            of(10, (0.02, 6, 0.0)),
            [ReasonCode::Joined],
            "six per cent of the chunks"
        );
        assert_eq!(
            of(10, (0.004, 9, 0.004)),
            [],
            "shorter than a send may be late"
        );
    }

    /// The CPU time of two threads at each fifth of a second, given what the second one uses in each.
    fn windows(used: &[f64]) -> CpuWindows {
        let mut windows = CpuWindows::default();
        let mut cpu_s = 0.0;
        let start = Stamp(1_000_000_000);
        windows.add(start, vec![Some(7.0), Some(cpu_s)]);
        for (i, used) in used.iter().enumerate() {
            cpu_s += used * 0.2;
            windows.add(
                start.plus_s((i + 1) as f64 * 0.2),
                vec![Some(7.0), Some(cpu_s)],
            );
        }
        windows
    }

    #[test]
    fn a_busy_second_is_seen_between_idle_ones() {
        let near = |windows: &CpuWindows, expected: f64| {
            let share = windows.busiest().expect("a share");
            assert!((share - expected).abs() < 1e-6, "{share}, not {expected}");
        };
        let burst: Vec<f64> = (0..50)
            .map(|i| if (13..18).contains(&i) { 1.0 } else { 0.0 })
            .collect();
        near(&windows(&burst), 1.0); // a tenth in the mean of all
        near(&windows(&burst[..15]), 0.4); // the second so far
        near(&windows(&[0.5, 0.7]), 0.6); // the whole, where it is shorter than a second
        assert_eq!(windows(&[]).busiest(), None);
        assert!(
            windows(&burst).samples.len() < 8,
            "no memory of the whole run"
        );
    }
}
