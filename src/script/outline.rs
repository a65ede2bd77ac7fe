//! The tests of a script, read without running it.

use rhai::{AST, FnAccess};
use std::collections::HashMap;

/// A public function without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFunction {
    /// Its name.
    pub name: String,
    /// Its doc comment, without the slashes.
    pub doc: String,
}

impl TestFunction {
    /// The first sentence of its doc comment: what it claims.
    pub fn claim(&self) -> String {
        first_sentence(&self.doc)
    }
}

/// The first sentence of a text.
pub fn first_sentence(text: &str) -> String {
    let paragraph = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
    paragraph[..end].to_owned()
}

/// The tests of a script in the order in which they stand in it.
pub fn tests(ast: &AST, text: &str) -> Vec<TestFunction> {
    let mut tests: Vec<TestFunction> = ast
        .iter_functions()
        .filter(|f| {
            f.access == FnAccess::Public && f.params.is_empty() && !f.name.starts_with("anon$")
        })
        .map(|f| TestFunction {
            name: f.name.to_owned(),
            doc: doc(&f.comments),
        })
        .collect();
    // Rhai lists functions in no order.
    let places = places(text);
    tests.sort_by_key(|test| {
        places
            .get(test.name.as_str())
            .copied()
            .unwrap_or(usize::MAX)
    });
    tests
}

/// The line of each function, by name.
fn places(text: &str) -> HashMap<&str, usize> {
    let mut places = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        if let Some(name) = defined(line) {
            places.entry(name).or_insert(at);
        }
    }
    places
}

/// The name of the public function whose definition begins a line.
fn defined(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start().strip_prefix("fn ")?.split_once('(')?;
    Some(name.trim())
}

/// Comments without their slashes.
pub fn doc(comments: &[&str]) -> String {
    let lines = comments
        .iter()
        .flat_map(|comment| comment.lines())
        .map(|line| {
            let line = line.trim_start();
            let line = line
                .strip_prefix("//!")
                .unwrap_or_else(|| line.trim_start_matches(['/', '*']));
            let line = line.trim_end_matches("*/");
            line.strip_prefix(' ').unwrap_or(line).trim_end()
        });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_functions_without_parameters_in_file_order() {
        let text = "
            //! A script.
            /// Zeta first. And more.
            ///
            /// Details.
            fn test_zeta() { let f = || 1; }
            private fn test_private() {}
            fn helper(x) {}
            /// Alpha is split
            /// over two lines.
            fn test_alpha () {}
            fn offline_test() {}";
        let ast = rhai::Engine::new().compile(text).expect("a script");
        let tests = tests(&ast, text);
        let names: Vec<_> = tests
            .iter()
            .map(|test| (test.name.as_str(), test.claim()))
            .collect();
        assert_eq!(
            names,
            [
                ("test_zeta", "Zeta first.".to_owned()),
                ("test_alpha", "Alpha is split over two lines.".to_owned()),
                ("offline_test", String::new())
            ]
        );
    }
}
