//! Division of whole numbers: exact, or rounded down if a script asks for it.

use crate::script::fault::Fault;
use rhai::plugin::*;
use rhai::{EvalAltResult, Module, Position};

/// The functions that replace Rhai's division in every script, which drops a remainder silently.
pub fn module() -> Module {
    exported_module!(natives)
}

/// The quotient of whole numbers that leave no remainder.
fn exact(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
    let quotient = truncated(a, b)?;
    if a.wrapping_rem(b) == 0 {
        Ok(quotient)
    } else {
        Err(remainder(a, b).into())
    }
}

/// The quotient rounded towards zero.
fn truncated(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
    let kind = if b == 0 { "by zero" } else { "overflow" };
    let failed =
        || EvalAltResult::ErrorArithmetic(format!("Division {kind}: {a} / {b}"), Position::NONE);
    Ok(a.checked_div(b).ok_or_else(failed)?)
}

/// The quotient rounded down.
fn floored(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
    let quotient = truncated(a, b)?;
    let is_above = (a < 0) != (b < 0) && a.wrapping_rem(b) != 0;
    Ok(if is_above { quotient - 1 } else { quotient })
}

/// Returns the error for `a / b`, which leaves a remainder.
pub fn remainder(a: i64, b: i64) -> Fault {
    let fraction = a as f64 / b as f64;
    let floored = floored(a, b).unwrap_or_default();
    Fault::new(format!("dividing whole numbers would round `{a} / {b}` to {}", a / b)).help(format!(
        "`a.to_float() / b` keeps the fraction ({fraction}), `div_floor(a, b)` rounds down ({floored})"
    ))
}

/// Whole numbers.
#[export_module]
mod natives {
    /// Divides whole numbers that leave no remainder.
    #[rhai_fn(name = "/", return_raw)]
    pub fn divide(a: i64, b: i64) -> Result<i64, Box<EvalAltResult>> {
        exact(a, b)
    }

    /// Divides a variable by a whole number that leaves no remainder.
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
    use crate::script::fault::Diagnosis;
    use crate::script::language::compiler;

    fn evaluated(expression: &str) -> Result<i64, String> {
        compiler()
            .eval::<i64>(expression)
            .map_err(|error| Diagnosis::of(&error, "test").message)
    }

    #[test]
    fn division_of_whole_numbers_is_exact_or_refused() {
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
        let float = |expression| {
            compiler()
                .eval::<f64>(expression)
                .map_err(|error| error.to_string())
        };
        assert_eq!(float("5 / 10.0"), Ok(0.5));
        assert_eq!(float("5.to_float() / 10"), Ok(0.5));
        assert_eq!(float("let a = 5; a /= 2.0; a"), Ok(2.5));
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
