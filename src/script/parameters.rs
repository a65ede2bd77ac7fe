//! Parameters that the command line sets.

use super::diagnostic::ScriptError;
use super::suggest::nearest;
use rhai::Dynamic;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Parameters that flags always set: `-m` and `--seed`.
const SET_BY_FLAGS: [&str; 2] = ["model", "seed"];

/// The parameters of a run: the given values, and the names that scripts have read.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    given: BTreeMap<String, String>,
    read: RefCell<BTreeMap<String, String>>,
}

impl Parameters {
    /// Creates parameters with the given values by name.
    pub(crate) fn new(given: BTreeMap<String, String>) -> Self {
        Self {
            given,
            read: RefCell::default(),
        }
    }

    /// Returns the value of `name`, parsed as the type of `default`.
    ///
    /// # Errors
    /// If the given value has another type, or is not finite.
    pub(super) fn get(&self, name: &str, default: Dynamic) -> Result<Dynamic, ScriptError> {
        self.read
            .borrow_mut()
            .insert(name.into(), default.to_string());
        let Some(text) = self.given.get(name) else {
            return Ok(default);
        };
        let value = parse(text, &default);
        let number = value.as_ref().and_then(|value| value.as_float().ok());
        let is_finite = number.is_none_or(f64::is_finite);
        if let Some(value) = value.filter(|_| is_finite) {
            return Ok(value);
        }
        let expected = match default.type_name() {
            _ if !is_finite => "a finite number".into(),
            "i64" | "f64" => "a number".into(),
            "bool" => "`true` or `false`".into(),
            _ => format!("a value like {default}"),
        };
        let message = format!("parameter `{name}`: expected {expected}, found `{text}`");
        let help = format!("the default is {default}; change it with `-P {name}=…`");
        Err(ScriptError::new(message).help(help))
    }

    /// Returns the given parameters that no script has read, each with a warning.
    pub(crate) fn unused(&self) -> Vec<(String, String)> {
        let read = self.read.borrow();
        let mut unused = Vec::new();
        for name in self.given.keys() {
            if read.contains_key(name) || SET_BY_FLAGS.contains(&name.as_str()) {
                continue;
            }
            let mut warning = format!("no test read the parameter `{name}`");
            if let Some(near) = nearest(name, read.keys().map(String::as_str)) {
                warning = format!("{warning}; did you mean `{near}`?");
            }
            unused.push((name.clone(), warning));
        }
        unused
    }
}

/// Parses a value as the type of `default`. A number may be whole or not in either case.
fn parse(text: &str, default: &Dynamic) -> Option<Dynamic> {
    match default.type_name() {
        "i64" | "f64" => number(text),
        "bool" => text.parse::<bool>().ok().map(Dynamic::from),
        "()" => number(text)
            .or_else(|| text.parse::<bool>().ok().map(Dynamic::from))
            .or_else(|| Some(text.into())),
        _ => default.is_string().then(|| text.into()),
    }
}

fn number(text: &str) -> Option<Dynamic> {
    match text.parse::<i64>() {
        Ok(whole) => Some(Dynamic::from(whole)),
        Err(_) => text.parse::<f64>().ok().map(Dynamic::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(given: &[(&str, &str)]) -> Parameters {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Parameters::new(given.collect())
    }

    #[test]
    fn values_have_the_type_of_their_default() {
        let parameters = parameters(&[("gap_s", "0.2"), ("n", "3"), ("on", "true"), ("name", "7")]);
        let get = |name, default| parameters.get(name, default).expect("a value");
        assert_eq!(get("gap_s", 8.into()).as_float(), Ok(0.2));
        assert_eq!(get("n", 8.into()).as_int(), Ok(3));
        assert_eq!(get("on", false.into()).as_bool(), Ok(true));
        assert_eq!(get("name", "x".into()).into_string(), Ok("7".to_owned()));
        assert_eq!(get("absent", 5.into()).as_int(), Ok(5));
    }

    #[test]
    fn values_of_another_type_are_errors() {
        let error = parameters(&[("n", "many")])
            .get("n", 8.into())
            .expect_err("not a number");
        assert_eq!(
            error.message,
            "parameter `n`: expected a number, found `many`"
        );
        assert_eq!(
            error.help.as_deref(),
            Some("the default is 8; change it with `-P n=…`")
        );
    }

    #[test]
    fn numbers_that_are_not_finite_are_errors() {
        for (text, default) in [
            ("nan", 8.into()),
            ("inf", 0.5.into()),
            ("-inf", Dynamic::UNIT),
            ("1e999", 8.into()),
        ] {
            let error = parameters(&[("gap_s", text)])
                .get("gap_s", default)
                .expect_err(text);
            let message = format!("parameter `gap_s`: expected a finite number, found `{text}`");
            assert_eq!(error.message, message);
        }
        let name = parameters(&[("name", "inf")])
            .get("name", "x".into())
            .expect("a string");
        assert_eq!(name.into_string(), Ok("inf".to_owned()));
    }

    #[test]
    fn unused_parameters_have_a_warning() {
        let parameters = parameters(&[("gap", "1")]);
        let _ = parameters.get("gap_s", 8.into());
        let warning = "no test read the parameter `gap`; did you mean `gap_s`?";
        assert_eq!(
            parameters.unused(),
            [("gap".to_owned(), warning.to_owned())]
        );
    }
}
