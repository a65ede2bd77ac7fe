//! Which request can be sent when: what each end of a request sets free.

use super::Request;
use std::collections::VecDeque;
use std::sync::Arc;

/// A request that can be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due {
    /// Which one.
    pub request: usize,
    /// When, seconds from the start of the experiment; it may be past.
    pub at_s: f64,
    /// The time at which the schedule wants it sent, seconds from the start of the experiment, however long
    /// it has to wait; `None` if the schedule has no time for it.
    pub intended_s: Option<f64>,
    /// The request without whose answer it cannot be sent at all.
    pub without: Option<usize>,
}

/// How long after the end of a round the next begins, seconds: its connections are opened and its
/// bodies built meanwhile.
const BETWEEN_ROUNDS_S: f64 = 0.1;

/// How far a workload is.
#[derive(Debug)]
pub struct Flow {
    requests: Arc<Vec<Request>>,
    /// The requests that follow each.
    followers: Vec<Vec<usize>>,
    /// The first request of each one's session: what it follows, and what that follows.
    roots: Vec<usize>,
    /// Requests of each root's session that have not ended.
    open: Vec<usize>,
    /// First requests of sessions that have not begun, of this round and later ones.
    waiting: VecDeque<usize>,
    /// How many sessions may be open at the same time.
    concurrency: Option<usize>,
    round: usize,
    /// Requests of each round that have not ended.
    left: Vec<usize>,
    round_start_s: f64,
}

impl Flow {
    /// A workload of which nothing was sent, and what can be sent first.
    pub fn start(requests: Arc<Vec<Request>>, concurrency: Option<usize>) -> (Self, Vec<Due>) {
        let mut followers = vec![Vec::new(); requests.len()];
        let mut roots: Vec<usize> = (0..requests.len()).collect();
        let mut open = vec![0; requests.len()];
        let mut left = vec![0; requests.last().map_or(0, |last| last.round + 1)];
        for (i, request) in requests.iter().enumerate() {
            if let Some(after) = request.after {
                followers[after.request].push(i);
                roots[i] = roots[after.request];
            }
            open[roots[i]] += 1;
            left[request.round] += 1;
        }
        let waiting = (0..requests.len()).filter(|i| roots[*i] == *i).collect();
        let mut flow = Self {
            requests,
            followers,
            roots,
            open,
            waiting,
            concurrency,
            round: 0,
            left,
            round_start_s: 0.0,
        };
        let first = flow.begin(concurrency);
        (flow, first)
    }

    /// Whether the end of a request can set another free.
    pub fn is_linked(&self) -> bool {
        self.concurrency.is_some()
            || self.left.len() > 1
            || self.followers.iter().any(|f| !f.is_empty())
    }

    /// What can be sent now that `request` has ended at `now_s`, with an answer or not.
    pub fn ended(&mut self, request: usize, now_s: f64, answered: bool) -> Vec<Due> {
        let followers = std::mem::take(&mut self.followers[request]);
        let mut due: Vec<Due> = followers
            .into_iter()
            .map(|i| self.following(i, now_s, answered))
            .collect();
        self.open[self.roots[request]] -= 1;
        self.left[self.round] -= 1;
        if self.left[self.round] == 0 && self.round + 1 < self.left.len() {
            self.round += 1;
            self.round_start_s = now_s + BETWEEN_ROUNDS_S;
            due.extend(self.begin(self.concurrency));
        } else if self.concurrency.is_some() && self.open[self.roots[request]] == 0 {
            due.extend(self.begin(Some(1)).into_iter().map(|due| Due {
                at_s: due.at_s.max(now_s),
                ..due
            }));
        }
        due
    }

    fn following(&self, i: usize, now_s: f64, answered: bool) -> Due {
        let request = &self.requests[i];
        let intended_s = self.intended_s(request);
        let Some(after) = request.after else {
            return Due {
                request: i,
                at_s: now_s,
                intended_s,
                without: None,
            };
        };
        let without = (after.continues && !answered).then_some(after.request);
        let earliest_s = f64::max(now_s + after.wait_s, intended_s.unwrap_or(0.0));
        let at_s = if without.is_some() { now_s } else { earliest_s };
        Due {
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

    /// Begins `sessions` of the current round, all where nothing limits them.
    fn begin(&mut self, sessions: Option<usize>) -> Vec<Due> {
        let mut due = Vec::new();
        while sessions.is_none_or(|sessions| due.len() < sessions)
            && let Some(next) = self
                .waiting
                .pop_front_if(|next| self.requests[*next].round == self.round)
        {
            let intended_s = self.intended_s(&self.requests[next]);
            let at_s = intended_s.unwrap_or(self.round_start_s);
            due.push(Due {
                request: next,
                at_s,
                intended_s,
                without: None,
            });
        }
        due
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

    fn start(requests: Vec<Request>, concurrency: Option<usize>) -> (Flow, Vec<(usize, f64)>) {
        let (flow, due) = Flow::start(Arc::new(requests), concurrency);
        (flow, places(due))
    }

    fn places(due: Vec<Due>) -> Vec<(usize, f64)> {
        due.into_iter().map(|due| (due.request, due.at_s)).collect()
    }

    #[test]
    fn an_open_loop_is_all_due_at_once() {
        let (flow, due) = start(
            vec![request(None, 0, Some(0.0)), request(None, 0, Some(2.0))],
            None,
        );
        assert_eq!(due, [(0, 0.0), (1, 2.0)]);
        assert!(!flow.is_linked());
    }

    #[test]
    fn a_turn_waits_for_the_answer_and_for_its_moment() {
        let turns = vec![
            request(None, 0, Some(0.0)),
            request(Some(0), 0, Some(8.0)),
            request(Some(1), 0, None),
        ];
        let (mut flow, due) = start(turns, None);
        assert_eq!(due, [(0, 0.0)]);
        assert_eq!(places(flow.ended(0, 1.0, true)), [(1, 8.0)]);
        assert_eq!(places(flow.ended(1, 11.0, true)), [(2, 11.5)]);
        assert_eq!(flow.ended(2, 12.0, true), []);
    }

    #[test]
    fn intended_moment_of_a_turn_does_not_wait_for_the_answer() {
        let turns = vec![
            request(None, 0, Some(0.0)),
            request(Some(0), 0, Some(8.0)),
            request(Some(1), 0, None),
        ];
        let (mut flow, first) = Flow::start(Arc::new(turns), None);
        assert_eq!((first[0].at_s, first[0].intended_s), (0.0, Some(0.0)));
        let late = flow.ended(0, 11.0, true)[0];
        assert_eq!((late.at_s, late.intended_s), (11.5, Some(8.0)));
        assert_eq!(flow.ended(1, 12.0, true)[0].intended_s, None);
    }

    #[test]
    fn without_an_answer_there_is_no_next_turn() {
        let (mut flow, _) = start(
            vec![request(None, 0, Some(0.0)), request(Some(0), 0, None)],
            None,
        );
        let due = Due {
            request: 1,
            at_s: 1.0,
            intended_s: None,
            without: Some(0),
        };
        assert_eq!(flow.ended(0, 1.0, false), [due]);
    }

    #[test]
    fn a_closed_loop_keeps_so_many_sessions_open() {
        let requests = vec![
            request(None, 0, None),
            request(Some(0), 0, None),
            request(None, 0, None),
            request(None, 0, None),
        ];
        let (mut flow, due) = start(requests, Some(2));
        assert_eq!(due, [(0, 0.0), (2, 0.0)]);
        assert_eq!(
            places(flow.ended(0, 1.0, true)),
            [(1, 1.5)],
            "its session is still open"
        );
        assert_eq!(places(flow.ended(1, 2.0, true)), [(3, 2.0)]);
    }

    #[test]
    fn a_round_begins_when_the_one_before_it_has_ended() {
        let requests = vec![
            request(None, 0, Some(0.0)),
            request(None, 0, Some(1.0)),
            request(None, 1, Some(3.0)),
        ];
        let (mut flow, due) = start(requests, None);
        assert_eq!(due, [(0, 0.0), (1, 1.0)]);
        assert_eq!(flow.ended(1, 5.0, true), []);
        assert_eq!(
            places(flow.ended(0, 6.0, true)),
            [(2, 9.0 + BETWEEN_ROUNDS_S)]
        );
    }

    proptest! {
        /// Whatever ends in whatever order, every request comes exactly once.
        #[test]
        fn every_request_comes_once(
            links in prop::collection::vec((prop::option::of(0usize..30), any::<bool>()), 1..30),
            rounds in 1usize..4, concurrency in prop::option::of(1usize..5),
            pick in prop::collection::vec(any::<prop::sample::Index>(), 30),
        ) {
            let mut requests: Vec<Request> = Vec::new();
            for (i, (after, _)) in links.iter().enumerate() {
                let round = i * rounds.min(links.len()) / links.len();
                let after = after.filter(|after| *after < i && requests[*after].round == round);
                requests.push(request(after, round, None));
            }
            let total = requests.len();
            let (mut flow, first) = Flow::start(Arc::new(requests), concurrency);
            let mut running: Vec<usize> = first.iter().map(|due| due.request).collect();
            let mut seen = Vec::new();
            while !running.is_empty() {
                let request = running.swap_remove(pick[seen.len()].index(running.len()));
                seen.push(request);
                let more = flow.ended(request, seen.len() as f64, links[request].1);
                running.extend(more.iter().map(|due| due.request));
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..total).collect::<Vec<_>>());
        }
    }
}
