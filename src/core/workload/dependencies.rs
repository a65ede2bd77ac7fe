//! The dependencies between requests: which can be sent when others have ended.

use super::Request;
use std::collections::VecDeque;
use std::sync::Arc;

/// A request that can be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ready {
    /// The index of the request.
    pub request: usize,
    /// The time at which to send it, seconds from the start of the experiment; it may have passed.
    pub at_s: f64,
    /// The time of its schedule, before it had to wait for others, seconds from the start of the
    /// experiment; `None` if the schedule has no time for it.
    pub intended_s: Option<f64>,
    /// The failed request whose answer it needs: it cannot be sent.
    pub without: Option<usize>,
}

/// The time between the end of a round and the start of the next, seconds. Meanwhile connections
/// are opened and bodies built.
const BETWEEN_ROUNDS_S: f64 = 0.1;

/// The progress of a workload.
#[derive(Debug)]
pub struct DependencyTracker {
    requests: Arc<Vec<Request>>,
    /// The requests that follow each request.
    followers: Vec<Vec<usize>>,
    /// The first request of each request's session: a session is a request and all that follow it.
    roots: Vec<usize>,
    /// The number of requests of each root's session that have not ended.
    open: Vec<usize>,
    /// The first requests of sessions that have not started, in this round and later ones.
    waiting: VecDeque<usize>,
    /// The maximum number of open sessions.
    concurrency: Option<usize>,
    round: usize,
    /// The number of requests of each round that have not ended.
    unfinished: Vec<usize>,
    round_start_s: f64,
}

impl DependencyTracker {
    /// Starts a workload. Returns the requests that can be sent first.
    pub fn start(requests: Arc<Vec<Request>>, concurrency: Option<usize>) -> (Self, Vec<Ready>) {
        let mut followers = vec![Vec::new(); requests.len()];
        let mut roots: Vec<usize> = (0..requests.len()).collect();
        let mut open = vec![0; requests.len()];
        let mut unfinished = vec![0; requests.last().map_or(0, |last| last.round + 1)];
        for (i, request) in requests.iter().enumerate() {
            if let Some(after) = request.after {
                followers[after.request].push(i);
                roots[i] = roots[after.request];
            }
            open[roots[i]] += 1;
            unfinished[request.round] += 1;
        }
        let waiting = (0..requests.len()).filter(|i| roots[*i] == *i).collect();
        let mut tracker = Self {
            requests,
            followers,
            roots,
            open,
            waiting,
            concurrency,
            round: 0,
            unfinished,
            round_start_s: 0.0,
        };
        let first = tracker.start_sessions(concurrency);
        (tracker, first)
    }

    /// Returns true if the end of a request can make another one ready.
    pub fn has_dependencies(&self) -> bool {
        self.concurrency.is_some()
            || self.unfinished.len() > 1
            || self.followers.iter().any(|followers| !followers.is_empty())
    }

    /// Returns the requests that can be sent after `request` has ended at `now_s`, with an answer
    /// or not.
    pub fn ended(&mut self, request: usize, now_s: f64, answered: bool) -> Vec<Ready> {
        let mut ready = Vec::new();
        for follower in std::mem::take(&mut self.followers[request]) {
            ready.push(self.following(follower, now_s, answered));
        }
        let root = self.roots[request];
        self.open[root] -= 1;
        self.unfinished[self.round] -= 1;
        if self.unfinished[self.round] == 0 && self.round + 1 < self.unfinished.len() {
            self.round += 1;
            self.round_start_s = now_s + BETWEEN_ROUNDS_S;
            ready.extend(self.start_sessions(self.concurrency));
        } else if self.concurrency.is_some() && self.open[root] == 0 {
            for mut next in self.start_sessions(Some(1)) {
                next.at_s = next.at_s.max(now_s);
                ready.push(next);
            }
        }
        ready
    }

    fn following(&self, i: usize, now_s: f64, answered: bool) -> Ready {
        let request = &self.requests[i];
        let after = request.after.expect("a follower follows a request");
        let intended_s = self.intended_s(request);
        let without = (after.continues && !answered).then_some(after.request);
        let at_s = match without {
            Some(_) => now_s,
            None => f64::max(now_s + after.wait_s, intended_s.unwrap_or(0.0)),
        };
        Ready {
            request: i,
            at_s,
            intended_s,
            without,
        }
    }

    fn intended_s(&self, request: &Request) -> Option<f64> {
        request
            .timestamp
            .map(|timestamp| self.round_start_s + timestamp)
    }

    /// Starts at most `limit` sessions of the current round.
    fn start_sessions(&mut self, limit: Option<usize>) -> Vec<Ready> {
        let mut ready = Vec::new();
        while limit.is_none_or(|limit| ready.len() < limit)
            && let Some(next) = self
                .waiting
                .pop_front_if(|next| self.requests[*next].round == self.round)
        {
            let intended_s = self.intended_s(&self.requests[next]);
            ready.push(Ready {
                request: next,
                at_s: intended_s.unwrap_or(self.round_start_s),
                intended_s,
                without: None,
            });
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::super::After;
    use super::*;
    use proptest::prelude::*;

    fn request(after: Option<usize>, round: usize, timestamp: Option<f64>) -> Request {
        let after = after.map(|request| After {
            request,
            wait_s: 0.5,
            continues: true,
        });
        Request {
            timestamp,
            after,
            round,
            ..Request::default()
        }
    }

    fn start(
        requests: Vec<Request>,
        concurrency: Option<usize>,
    ) -> (DependencyTracker, Vec<(usize, f64)>) {
        let (tracker, ready) = DependencyTracker::start(Arc::new(requests), concurrency);
        (tracker, times(ready))
    }

    fn times(ready: Vec<Ready>) -> Vec<(usize, f64)> {
        ready
            .into_iter()
            .map(|ready| (ready.request, ready.at_s))
            .collect()
    }

    #[test]
    fn all_requests_of_an_open_loop_are_ready_at_the_start() {
        let (tracker, ready) = start(
            vec![request(None, 0, Some(0.0)), request(None, 0, Some(2.0))],
            None,
        );
        assert_eq!(ready, [(0, 0.0), (1, 2.0)]);
        assert!(!tracker.has_dependencies());
    }

    #[test]
    fn a_turn_waits_for_the_answer_and_for_its_time() {
        let turns = vec![
            request(None, 0, Some(0.0)),
            request(Some(0), 0, Some(8.0)),
            request(Some(1), 0, None),
        ];
        let (mut tracker, ready) = start(turns, None);
        assert_eq!(ready, [(0, 0.0)]);
        assert_eq!(times(tracker.ended(0, 1.0, true)), [(1, 8.0)]);
        assert_eq!(times(tracker.ended(1, 11.0, true)), [(2, 11.5)]);
        assert_eq!(tracker.ended(2, 12.0, true), []);
    }

    #[test]
    fn the_intended_time_of_a_turn_does_not_wait_for_the_answer() {
        let turns = vec![
            request(None, 0, Some(0.0)),
            request(Some(0), 0, Some(8.0)),
            request(Some(1), 0, None),
        ];
        let (mut tracker, first) = DependencyTracker::start(Arc::new(turns), None);
        assert_eq!((first[0].at_s, first[0].intended_s), (0.0, Some(0.0)));
        let late = tracker.ended(0, 11.0, true)[0];
        assert_eq!((late.at_s, late.intended_s), (11.5, Some(8.0)));
        assert_eq!(tracker.ended(1, 12.0, true)[0].intended_s, None);
    }

    #[test]
    fn a_turn_without_the_answer_before_it_is_not_sent() {
        let (mut tracker, _) = start(
            vec![request(None, 0, Some(0.0)), request(Some(0), 0, None)],
            None,
        );
        let ready = Ready {
            request: 1,
            at_s: 1.0,
            intended_s: None,
            without: Some(0),
        };
        assert_eq!(tracker.ended(0, 1.0, false), [ready]);
    }

    #[test]
    fn a_closed_loop_limits_the_open_sessions() {
        let requests = vec![
            request(None, 0, None),
            request(Some(0), 0, None),
            request(None, 0, None),
            request(None, 0, None),
        ];
        let (mut tracker, ready) = start(requests, Some(2));
        assert_eq!(ready, [(0, 0.0), (2, 0.0)]);
        assert_eq!(
            times(tracker.ended(0, 1.0, true)),
            [(1, 1.5)],
            "its session is still open"
        );
        assert_eq!(times(tracker.ended(1, 2.0, true)), [(3, 2.0)]);
    }

    #[test]
    fn a_round_starts_when_the_one_before_it_has_ended() {
        let requests = vec![
            request(None, 0, Some(0.0)),
            request(None, 0, Some(1.0)),
            request(None, 1, Some(3.0)),
        ];
        let (mut tracker, ready) = start(requests, None);
        assert_eq!(ready, [(0, 0.0), (1, 1.0)]);
        assert_eq!(tracker.ended(1, 5.0, true), []);
        assert_eq!(
            times(tracker.ended(0, 6.0, true)),
            [(2, 9.0 + BETWEEN_ROUNDS_S)]
        );
    }

    proptest! {
        #[test]
        fn every_request_is_ready_once_in_any_order_of_ends(
            links in prop::collection::vec((prop::option::of(0usize..30), any::<bool>()), 1..30),
            rounds in 1usize..4,
            concurrency in prop::option::of(1usize..5),
            pick in prop::collection::vec(any::<prop::sample::Index>(), 30),
        ) {
            let mut requests: Vec<Request> = Vec::new();
            for (i, (after, _)) in links.iter().enumerate() {
                let round = i * rounds.min(links.len()) / links.len();
                let after = after.filter(|after| *after < i && requests[*after].round == round);
                requests.push(request(after, round, None));
            }
            let total = requests.len();
            let (mut tracker, first) = DependencyTracker::start(Arc::new(requests), concurrency);
            let mut running: Vec<usize> = first.iter().map(|ready| ready.request).collect();
            let mut ended = Vec::new();
            while !running.is_empty() {
                let request = running.swap_remove(pick[ended.len()].index(running.len()));
                ended.push(request);
                let more = tracker.ended(request, ended.len() as f64, links[request].1);
                running.extend(more.iter().map(|ready| ready.request));
            }
            ended.sort_unstable();
            prop_assert_eq!(ended, (0..total).collect::<Vec<_>>());
        }
    }
}
