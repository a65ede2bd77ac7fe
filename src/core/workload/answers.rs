//! The answers of a workload that others go on from.

use super::Request;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};

/// The texts of answers, each as long as a request can still need it.
pub struct Answers {
    requests: Arc<Vec<Request>>,
    texts: Vec<Mutex<String>>,
    /// What each answer is kept for: its own request, and those that go on from it, until they and all
    /// that goes on from them have ended.
    wanted_by: Vec<AtomicUsize>,
}

impl Answers {
    /// Those of `requests`: none where no request goes on from another.
    pub fn of(requests: Arc<Vec<Request>>) -> Self {
        let mut wanted_by = vec![1; requests.len()];
        let before = || requests.iter().filter_map(Request::continued);
        before().for_each(|before| wanted_by[before] += 1);
        if before().next().is_none() {
            wanted_by.clear();
        }
        let texts = wanted_by.iter().map(|_| Mutex::default()).collect();
        Self {
            texts,
            wanted_by: wanted_by.into_iter().map(AtomicUsize::new).collect(),
            requests,
        }
    }

    /// Whether any is wanted at all.
    pub fn are_wanted(&self) -> bool {
        !self.wanted_by.is_empty()
    }

    /// The answer to a request that has ended and that another goes on from.
    pub fn get(&self, request: usize) -> String {
        self.texts
            .get(request)
            .map_or_else(String::new, |text| text.lock().clone())
    }

    /// Takes the answer to a request that ends now, and lets go of those that nobody needs any more.
    pub fn ended(&self, request: usize, text: String) {
        let Some(place) = self.texts.get(request) else {
            return;
        };
        *place.lock() = text;
        let mut last = Some(request);
        while let Some(request) =
            last.filter(|request| self.wanted_by[*request].fetch_sub(1, AcqRel) == 1)
        {
            *self.texts[request].lock() = String::new();
            last = self.requests[request].continued();
        }
    }

    /// How many are kept.
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

    fn answers(after: &[Option<usize>]) -> Answers {
        let request = |after: &Option<usize>| Request {
            after: after.map(|request| After {
                request,
                wait_s: 0.0,
                continues: true,
            }),
            ..Request::default()
        };
        Answers::of(Arc::new(after.iter().map(request).collect()))
    }

    #[test]
    fn nothing_is_kept_where_nobody_goes_on() {
        let answers = answers(&[None, None]);
        assert!(!answers.are_wanted());
        answers.ended(0, "a".into());
        assert_eq!((answers.kept(), answers.get(0)), (0, String::new()));
    }

    #[test]
    fn an_answer_goes_with_the_last_that_goes_on_from_it() {
        // 0 <- 1 <- 2, and 1 <- 3; 4 is alone.
        let answers = answers(&[None, Some(0), Some(1), Some(1), None]);
        let ended = |request: usize| {
            answers.ended(request, format!("answer {request}"));
            answers.kept()
        };
        assert_eq!([ended(0), ended(4), ended(1), ended(3)], [1, 1, 2, 2]);
        assert_eq!(
            (answers.get(0), answers.get(1)),
            ("answer 0".into(), "answer 1".into())
        );
        assert_eq!(ended(2), 0);
    }
}
