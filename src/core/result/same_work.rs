//! Checks that engines that are compared did the same work, and that their own counts of it are possible.

use crate::core::{EngineResult, Row};
use std::collections::BTreeMap;

/// The share by which the output tokens of engines may differ without a warning.
const NOTABLE: f64 = 0.01;

/// The difference between the outputs of two engines.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The share of tokens that the engine with the fewest lacks of those of the engine with the most.
    pub share: f64,
    /// The difference with its numbers, for people.
    pub text: String,
}

/// The difference of the output of `engines`, over the requests that all of them answered and counted
/// tokens of; `None` if it is too small to matter, or unknown.
pub fn difference(engines: &[EngineResult]) -> Option<Difference> {
    let counts: Vec<BTreeMap<usize, u64>> = engines.iter().map(counts).collect();
    let of_all = |request: &usize| counts.iter().all(|counts| counts.contains_key(request));
    let requests: Vec<usize> = counts.first()?.keys().copied().filter(of_all).collect();
    let total =
        |counts: &BTreeMap<usize, u64>| requests.iter().map(|request| counts[request]).sum::<u64>();
    let totals = engines
        .iter()
        .zip(&counts)
        .map(|(engine, counts)| (total(counts), &*engine.name));
    let ((least, shorter), (most, longer)) = (totals.clone().min()?, totals.max()?);
    let share = (most > 0).then(|| (most - least) as f64 / most as f64)?;
    let text = format!(
        "`{shorter}` generated {:.1} % fewer output tokens than `{longer}` ({least} vs {most}, of {} requests that all \
         engines answered): they did different work; `ignore_eos: true` makes answers equally long",
        share * 100.0,
        requests.len()
    );
    (share > NOTABLE).then_some(Difference { share, text })
}

/// The output tokens of each answered request, if the engine counted them.
fn counts(engine: &EngineResult) -> BTreeMap<usize, u64> {
    let counted = engine.rows.iter().filter(|row| is_counted(row));
    counted
        .filter_map(|row| Some((row.request_id, row.output_tokens?)))
        .collect()
}

fn is_counted(row: &Row) -> bool {
    row.is_ok() && row.output_tokens_from.as_deref() == Some("usage")
}

/// Returns a warning of `rows` whose count of output tokens, by the engine, is impossible: more than the
/// request allowed by `max_tokens`, or 0 although output came.
pub fn impossible_count(rows: &[Row], max_tokens: impl Fn(&Row) -> Option<u64>) -> Option<String> {
    let is_impossible = |row: &&Row| {
        let tokens = row.output_tokens.unwrap_or_default();
        is_counted(row) && (tokens == 0 || max_tokens(row).is_some_and(|most| tokens > most))
    };
    let row = rows.iter().find(is_impossible)?;
    let count = rows.iter().filter(is_impossible).count();
    let allowed =
        max_tokens(row).map_or_else(String::new, |most| format!(", which allowed {most}"));
    Some(format!(
        "`{}` counts {} output tokens in the {} chunks of request {}{allowed}; {count} of {} requests have such a count, \
         and with it tokens/s and TPOT are wrong",
        row.engine,
        row.output_tokens.unwrap_or_default(),
        row.chunks,
        row.request_id,
        rows.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(request_id: usize, tokens: u64) -> Row {
        Row {
            request_id,
            engine: "e".into(),
            output_tokens: Some(tokens),
            output_tokens_from: Some("usage".into()),
            chunks: 5,
            ..Row::default()
        }
    }

    fn engine(name: &str, tokens: &[u64]) -> EngineResult {
        let rows = tokens
            .iter()
            .enumerate()
            .map(|(request_id, tokens)| row(request_id, *tokens));
        EngineResult::new(name.into(), false, rows.collect())
    }

    #[test]
    fn difference_of_output_is_told_above_one_per_cent() {
        let long = engine("long", &[100; 10]);
        assert_eq!(difference(&[long.clone(), engine("same", &[99; 10])]), None);
        let found = difference(&[engine("short", &[90; 10]), long.clone()]).expect("a difference");
        assert!((found.share - 0.1).abs() < 1e-9, "{}", found.share);
        assert_eq!(
            found.text,
            "`short` generated 10.0 % fewer output tokens than `long` (900 vs 1000, of 10 requests that all engines \
             answered): they did different work; `ignore_eos: true` makes answers equally long"
        );
        assert_eq!(difference(&[long]), None);
        assert_eq!(difference(&[]), None);
    }

    #[test]
    fn difference_is_of_requests_that_all_answered_and_counted() {
        let mut rows = vec![row(0, 100), row(1, 5), row(2, 7)];
        rows[1].error = Some("broke".into());
        rows[2].output_tokens_from = Some("chunks".into());
        let partly = EngineResult::new("partly".into(), false, rows);
        assert_eq!(difference(&[engine("whole", &[100; 3]), partly]), None);
    }

    #[test]
    fn counts_that_cannot_be_are_warned_of() {
        let warning = |tokens| impossible_count(&[row(0, 5), row(1, tokens)], |_| Some(5));
        assert_eq!(warning(5), None);
        assert_eq!(
            warning(500).as_deref(),
            Some(
                "`e` counts 500 output tokens in the 5 chunks of request 1, which allowed 5; 1 of 2 requests have such \
                 a count, and with it tokens/s and TPOT are wrong"
            )
        );
        assert!(
            warning(0)
                .is_some_and(|text| text.starts_with("`e` counts 0 output tokens in the 5 chunks"))
        );
        assert_eq!(
            impossible_count(&[row(0, 500)], |_| None),
            None,
            "the limit is not known"
        );
    }
}
