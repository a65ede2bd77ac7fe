//! One measure of one engine, and the comparison of two.

use crate::core::result::columns::RowColumn;
use crate::core::{Distribution, EngineResult, Row};
use crate::script::diagnostic::ScriptError;
use std::cmp::Ordering;
use std::sync::Arc;

/// The direction in which values improve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Such as a time.
    Lower,
    /// Such as a throughput.
    Higher,
}

/// A quantity that requests have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    name: String,
    unit: &'static str,
    /// `None` if neither direction is better, or lmrun does not know.
    better: Option<Better>,
}

impl Quantity {
    /// Returns the quantity in a column. The name of a column that lmrun does not write may end in
    /// its unit.
    fn from_column(column: &str) -> Self {
        let unit = match RowColumn::find(column) {
            Some(column) => column.unit,
            None if column.ends_with("_s") => "s",
            None if column.ends_with("tokens") => "tokens",
            None => "",
        };
        let better = match column {
            "timestamp" => None,
            "throughput" | "cached_tokens" => Some(Better::Higher),
            _ if unit == "s" => Some(Better::Lower),
            _ => None,
        };
        let name = match column {
            "tpot_s" => "TPOT",
            "send_lag_s" => "send lag",
            "cached_tokens" => "cached tokens",
            column => column,
        };
        Self {
            name: name.into(),
            unit,
            better,
        }
    }
}

/// One measure of one engine.
#[derive(Clone, Debug)]
pub struct Measure {
    quantity: Quantity,
    engine: Option<Arc<str>>,
    values: Distribution,
}

impl Measure {
    /// The values of a table's column.
    pub(crate) fn from_column(column: &str, values: Distribution) -> Self {
        Self {
            quantity: Quantity::from_column(column),
            engine: None,
            values,
        }
    }

    /// The values that the requests of `engine` have in a column.
    pub(crate) fn from_engine(
        engine: &EngineResult,
        column: &str,
        value: impl Fn(&Row) -> Option<f64>,
    ) -> Self {
        let values = engine.distribution(value);
        Self {
            quantity: Quantity::from_column(column),
            engine: Some(engine.name.clone()),
            values,
        }
    }

    /// The quantity and the engine: ``TTFT of `plain` ``.
    pub fn what(&self) -> String {
        self.of(&self.quantity.name)
    }

    /// The unit; empty if it has none, or lmrun does not know.
    pub fn unit(&self) -> &'static str {
        self.quantity.unit
    }

    /// The values.
    pub fn values(&self) -> &Distribution {
        &self.values
    }

    fn of(&self, name: &str) -> String {
        match &self.engine {
            Some(engine) => format!("{name} of `{engine}`"),
            None => name.into(),
        }
    }

    fn with_unit(&self, value: f64) -> String {
        let space = if self.quantity.unit.is_empty() {
            ""
        } else {
            " "
        };
        format!("{}{space}{}", short(value, 3), self.quantity.unit)
    }
}

/// Compares medians: true if that of `seen` is the better one, `at_least` times; and the claim in words. Below 1.0,
/// `at_least` allows `seen` to be worse.
///
/// # Errors
/// Fails if the two are different quantities, or if neither direction of the quantity is better.
pub fn faster(
    seen: &Measure,
    than: &Measure,
    at_least: f64,
) -> Result<(bool, String), ScriptError> {
    let name = &seen.quantity.name;
    if seen.quantity != than.quantity {
        return Err(ScriptError::new(format!(
            "`check::faster` cannot compare {} with {}",
            seen.what(),
            than.what()
        ))
        .help("compare one measure of two engines, such as `seen[a].ttft` and `seen[b].ttft`"));
    }
    let better = seen.quantity.better.ok_or_else(|| {
        ScriptError::new(format!(
            "`check::faster` does not know whether a higher or a lower `{name}` is better"
        ))
        .help("compare its numbers: `check::that(a.p50 < b.p50, \"…\")`")
    })?;
    let subject = seen.of(&format!("{name} p50"));
    let (Some(value), Some(other)) = (seen.values.percentile(50.0), than.values.percentile(50.0))
    else {
        let counts = (seen.values.count(), than.values.count());
        let claim = format!(
            "{subject} cannot be compared: {} values vs {}",
            counts.0, counts.1
        );
        return Ok((false, claim));
    };
    let ratio = match better {
        _ if value.total_cmp(&other).is_eq() => 1.0,
        Better::Lower => other / value,
        Better::Higher => value / other,
    };
    let holds = ratio >= at_least && (ratio > 1.0 || at_least < 1.0);
    // An engine that is compared with itself, at another time, is named once.
    let other_name = than
        .engine
        .as_ref()
        .filter(|name| seen.engine.as_ref() != Some(name));
    let relation = match (relation(value, other), other_name) {
        ((how, preposition), Some(name)) => format!("{how} {preposition} `{name}`"),
        ((how, _), None) => how,
    };
    let values = format!("{} vs {}", seen.with_unit(value), than.with_unit(other));
    Ok((
        holds,
        format!(
            "{subject} is {relation} ({values}; {}; one run)",
            required(better, at_least)
        ),
    ))
}

/// Returns the words that relate `value` to `other`, and the preposition after them.
fn relation(value: f64, other: f64) -> (String, &'static str) {
    let word = match value.total_cmp(&other) {
        Ordering::Equal => return ("equal".into(), "to"),
        Ordering::Less => "lower",
        Ordering::Greater => "higher",
    };
    let ratio = value.max(other) / value.min(other);
    let times = if ratio.is_finite() {
        format!("{}x ", short(ratio, 3))
    } else {
        String::new()
    };
    (format!("{times}{word}"), "than")
}

fn required(better: Better, at_least: f64) -> String {
    let (better, worse) = match better {
        Better::Lower => ("lower", "higher"),
        Better::Higher => ("higher", "lower"),
    };
    match at_least {
        1.0 => format!("required {better}"),
        at_least if at_least > 1.0 => format!("required {at_least}x"),
        at_least if at_least > 0.0 => format!("allowed {}x {worse}", short(1.0 / at_least, 3)),
        _ => "any ratio allowed".into(),
    }
}

/// `number` with `digits` significant digits, without an exponent.
pub fn short(number: f64, digits: i64) -> String {
    let magnitude = if number == 0.0 {
        0
    } else {
        number.abs().log10().floor() as i64
    };
    let decimals = (digits - 1 - magnitude).clamp(0, 9) as usize;
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A measure of the engine `name`.
    fn of(name: &str, column: &str, values: &[f64]) -> Measure {
        Measure {
            engine: Some(name.into()),
            ..Measure::from_column(column, values.iter().copied().collect())
        }
    }

    /// Returns what `faster` says of the medians of one measure of `a` and `b`.
    fn claim(column: &str, a: f64, b: f64, at_least: f64) -> (bool, String) {
        faster(&of("a", column, &[a]), &of("b", column, &[b]), at_least).expect("one quantity")
    }

    #[test]
    fn a_lower_time_is_faster() {
        let (holds, text) = claim("TTFT", 0.114, 0.247, 1.5);
        assert_eq!(
            text,
            "TTFT p50 of `a` is 2.17x lower than `b` (0.114 s vs 0.247 s; required 1.5x; one run)"
        );
        assert!(holds);
        let (holds, text) = claim("TTFT", 0.247, 0.114, 1.0);
        assert_eq!(
            text,
            "TTFT p50 of `a` is 2.17x higher than `b` (0.247 s vs 0.114 s; required lower; one run)"
        );
        assert!(!holds);
    }

    #[test]
    fn a_higher_throughput_is_faster() {
        let (holds, text) = claim("throughput", 40.0, 20.0, 2.0);
        assert_eq!(
            text,
            "throughput p50 of `a` is 2.00x higher than `b` (40.0 tokens/s vs 20.0 tokens/s; required 2x; one run)"
        );
        assert!(holds);
        assert!(!claim("throughput", 20.0, 40.0, 1.0).0);
        assert!(claim("cached_tokens", 40.0, 20.0, 1.0).0);
    }

    #[test]
    fn equal_medians_are_not_faster() {
        let (holds, text) = claim("latency", 0.2, 0.2, 1.0);
        assert_eq!(
            text,
            "latency p50 of `a` is equal to `b` (0.200 s vs 0.200 s; required lower; one run)"
        );
        assert!(!holds);
        assert!(!claim("latency", 0.0, 0.0, 1.0).0);
    }

    #[test]
    fn below_one_at_least_allows_a_worse_median() {
        let (holds, text) = claim("TTFT", 0.21, 0.2, 0.9);
        assert!(
            text.ends_with("(0.210 s vs 0.200 s; allowed 1.11x higher; one run)"),
            "{text}"
        );
        assert!(holds);
        assert!(!claim("TTFT", 0.3, 0.2, 0.9).0);
        let (holds, text) = claim("TTFT", 0.3, 0.2, 0.0);
        assert!(
            holds && text.ends_with("; any ratio allowed; one run)"),
            "{text}"
        );
    }

    #[test]
    fn a_zero_has_no_ratio() {
        let (holds, text) = claim("send_lag_s", 0.0, 0.2, 1.5);
        assert!(
            text.starts_with("send lag p50 of `a` is lower than `b` (0.00 s vs 0.200 s;"),
            "{text}"
        );
        assert!(holds);
    }

    #[test]
    fn without_values_nothing_is_faster() {
        let (holds, text) =
            faster(&of("a", "TTFT", &[]), &of("b", "TTFT", &[1.0]), 1.0).expect("one quantity");
        assert_eq!(text, "TTFT p50 of `a` cannot be compared: 0 values vs 1");
        assert!(!holds);
    }

    #[test]
    fn an_engine_at_two_times_is_named_once() {
        let (_, text) =
            faster(&of("a", "TTFT", &[1.0]), &of("a", "TTFT", &[2.0]), 1.0).expect("one quantity");
        assert!(
            text.starts_with("TTFT p50 of `a` is 2.00x lower (1.00 s vs 2.00 s;"),
            "{text}"
        );
        let columns =
            [1.0, 2.0].map(|value| Measure::from_column("TTFT", [value].into_iter().collect()));
        let (_, text) = faster(&columns[0], &columns[1], 1.0).expect("one quantity");
        assert!(
            text.starts_with("TTFT p50 is 2.00x lower (1.00 s vs 2.00 s;"),
            "{text}"
        );
        // A baseline that was read from a file is compared with values of this run.
        assert!(
            faster(
                &of("a", "tpot_s", &[1.0]),
                &Measure::from_column("tpot_s", [2.0].into_iter().collect()),
                1.0
            )
            .is_ok()
        );
    }

    #[test]
    fn two_quantities_or_one_without_a_direction_are_refused() {
        let error =
            faster(&of("a", "TTFT", &[1.0]), &of("b", "latency", &[1.0]), 1.0).expect_err("two");
        assert_eq!(
            error.message,
            "`check::faster` cannot compare TTFT of `a` with latency of `b`"
        );
        let error = faster(&of("a", "chunks", &[1.0]), &of("b", "chunks", &[1.0]), 1.0)
            .expect_err("chunks");
        assert_eq!(
            error.message,
            "`check::faster` does not know whether a higher or a lower `chunks` is better"
        );
    }
}
