//! The answers that later requests of their conversation need.

use super::Request;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};

/// The texts of answers, each kept until no request needs it any more.
pub struct Answers {
    requests: Arc<Vec<Request>>,
    texts: Vec<Mutex<String>>,
    /// The number of users of each answer: its request, and each request that continues it, until
    /// that one and all that continue it have ended.
    users: Vec<AtomicUsize>,
}

impl Answers {
    /// Creates the answers of `requests`; none if no request continues another.
    pub fn new(requests: Arc<Vec<Request>>) -> Self {
        let mut users = vec![1; requests.len()];
        let mut is_needed = false;
        for before in requests.iter().filter_map(Request::continued) {
            users[before] += 1;
            is_needed = true;
        }
        if !is_needed {
            users.clear();
        }
        Self {
            texts: users.iter().map(|_| Mutex::default()).collect(),
            users: users.into_iter().map(AtomicUsize::new).collect(),
            requests,
        }
    }

    /// Returns true if any answer is needed.
    pub fn are_needed(&self) -> bool {
        !self.users.is_empty()
    }

    /// Returns the answer to a request that has ended and that another one continues.
    pub fn get(&self, request: usize) -> String {
        match self.texts.get(request) {
            Some(text) => text.lock().clone(),
            None => String::new(),
        }
    }

    /// Adds the answer to a request that has ended, and drops those that are not needed any more.
    pub fn add(&self, request: usize, text: String) {
        let Some(place) = self.texts.get(request) else {
            return;
        };
        *place.lock() = text;
        let mut last = Some(request);
        while let Some(request) = last
            && self.users[request].fetch_sub(1, AcqRel) == 1
        {
            *self.texts[request].lock() = String::new();
            last = self.requests[request].continued();
        }
    }

    /// Returns the number of kept answers.
    #[cfg(test)]
    fn kept(&self) -> usize {
        self.texts
            .iter()
            .filter(|text| !text.lock().is_empty())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::After;
    use super::*;

    /// Returns the answers of requests, each of which continues the given one.
    fn answers(continued: &[Option<usize>]) -> Answers {
        let mut requests = Vec::new();
        for before in continued {
            requests.push(Request {
                after: before.map(|request| After {
                    request,
                    wait_s: 0.0,
                    continues: true,
                }),
                ..Request::default()
            });
        }
        Answers::new(Arc::new(requests))
    }

    #[test]
    fn no_answer_is_kept_if_no_request_continues_another() {
        let answers = answers(&[None, None]);
        assert!(!answers.are_needed());
        answers.add(0, "a".into());
        assert_eq!((answers.kept(), answers.get(0)), (0, String::new()));
    }

    #[test]
    fn an_answer_is_kept_until_the_last_request_that_continues_it_has_ended() {
        // 0 <- 1 <- 2, and 1 <- 3; 4 is alone.
        let answers = answers(&[None, Some(0), Some(1), Some(1), None]);
        for (request, kept) in [(0, 1), (4, 1), (1, 2), (3, 2)] {
            answers.add(request, format!("answer {request}"));
            assert_eq!(answers.kept(), kept, "after {request}");
        }
        assert_eq!(answers.get(0), "answer 0");
        assert_eq!(answers.get(1), "answer 1");
        answers.add(2, "answer 2".into());
        assert_eq!(answers.kept(), 0);
    }
}
