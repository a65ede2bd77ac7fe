//! Division of whole numbers: exact, or rounded down by `div_floor`.

use crate::script::diagnostic::ScriptError;
use rhai::plugin::*;
use rhai::{EvalAltResult, Module, Position};

/// Returns the functions that replace Rhai's division, which drops a remainder silently.
pub(crate) fn module() -> Module {
    exported_module!(natives)
}

/// Returns the quotient of whole numbers if there is no remainder.
fn exact(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
    let quotient = truncated(a, b)?;
    if a.wrapping_rem(b) == 0 {
        Ok(quotient)
    } else {
        Err(remainder(a, b).into())
    }
}

/// Returns the quotient rounded towards zero.
fn truncated(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
    let Some(quotient) = a.checked_div(b) else {
        let problem = if b == 0 { "by zero" } else { "overflow" };
        let message = format!("Division {problem}: {a} / {b}");
        return Err(EvalAltResult::ErrorArithmetic(message, Position::NONE).into());
    };
    Ok(quotient)
}

/// Returns the quotient rounded down.
fn floored(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
    let quotient = truncated(a, b)?;
    let is_above = (a < 0) != (b < 0) && a.wrapping_rem(b) != 0;
    Ok(if is_above { quotient - 1 } else { quotient })
}

/// Returns the error for `a / b` with a remainder.
pub(crate) fn remainder(a: i64, b: i64) -> ScriptError {
    let fraction = a as f64 / b as f64;
    let floored = floored(a, b).unwrap_or_default();
    let message = format!(
        "dividing whole numbers would round `{a} / {b}` to {}",
        a / b
    );
    ScriptError::new(message).help(format!(
        "`a.to_float() / b` keeps the fraction ({fraction}), \
         `div_floor(a, b)` rounds down ({floored})"
    ))
}

/// Whole numbers.
#[export_module]
mod natives {
    /// Divides whole numbers without a remainder.
    #[rhai_fn(name = "/", return_raw)]
    pub fn divide(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
        exact(a, b)
    }

    /// Divides a variable by a whole number without a remainder.
    #[rhai_fn(name = "/=", return_raw)]
    pub fn divide_assign(a: &mut i64, b: i64) -> Result<(), Box<EvalAltResult>> {
        *a = exact(*a, b)?;
        Ok(())
    }

    /// Divides whole numbers and rounds down. `a / b` of whole numbers fails if it leaves a
    /// remainder; `a.to_float() / b` keeps the fraction.
    ///
    /// ```rhai
    /// print(div_floor(7, 2)); // 3
    /// ```
    #[rhai_fn(return_raw)]
    pub fn div_floor(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
        floored(a, b)
    }
}

#[cfg(test)]
mod tests {
    use crate::script::diagnostic::Diagnostic;
    use crate::script::language::compiler;

    fn evaluated(expression: &str) -> Result<i64, String> {
        compiler()
            .eval::<i64>(expression)
            .map_err(|error| Diagnostic::from_error(&error, "test").message)
    }

    #[test]
    fn division_of_whole_numbers_with_a_remainder_is_an_error() {
        assert_eq!(evaluated("10 / 5"), Ok(2));
        assert_eq!(evaluated("let a = -9; a /= 3; a"), Ok(-3));
        for lossy in ["5 / 10", "let a = 5; a / 10", "let a = 5; a /= 10; a"] {
            let message = "dividing whole numbers would round `5 / 10` to 0".to_owned();
            assert_eq!(evaluated(lossy), Err(message), "{lossy}");
        }
        assert!(evaluated("let n = 3; let part = |x| x / n; part.call(7)").is_err());
    }

    #[test]
    fn division_with_a_float_keeps_its_fraction() {
        for (expression, quotient) in [
            ("5 / 10.0", 0.5),
            ("5.to_float() / 10", 0.5),
            ("let a = 5; a /= 2.0; a", 2.5),
        ] {
            let value = compiler().eval::<f64>(expression).expect(expression);
            assert!((value - quotient).abs() < 1e-9, "{expression}");
        }
    }

    #[test]
    fn div_floor_rounds_down() {
        let quotients = [
            (7, 2, 3),
            (-7, 2, -4),
            (7, -2, -4),
            (-7, -2, 3),
            (-8, 2, -4),
            (0, 5, 0),
        ];
        for (a, b, quotient) in quotients {
            assert_eq!(
                evaluated(&format!("div_floor({a}, {b})")),
                Ok(quotient),
                "{a} by {b}"
            );
        }
    }

    #[test]
    fn division_by_zero_and_overflow_are_errors() {
        for divided in ["n / 0", "n /= 0", "div_floor(n, 0)"] {
            let error = evaluated(&format!("let n = 1; {divided}; n"));
            assert_eq!(error, Err("division by zero: 1 / 0".into()), "{divided}");
        }
        for divided in ["least / -1", "div_floor(least, -1)"] {
            let error = evaluated(&format!("let least = -9223372036854775807 - 1; {divided}"));
            assert_eq!(
                error,
                Err("division overflow: -9223372036854775808 / -1".into()),
                "{divided}"
            );
        }
    }
}
