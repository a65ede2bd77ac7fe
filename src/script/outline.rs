//! The tests of a script, found without running it.

use rhai::{AST, FnAccess};
use std::collections::HashMap;

/// A public function without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestFunction {
    /// The name.
    pub(crate) name: String,
    /// The doc comment without slashes.
    pub(crate) doc: String,
}

impl TestFunction {
    /// Returns the first sentence of its doc comment.
    pub(crate) fn claim(&self) -> String {
        first_sentence(&self.doc)
    }
}

/// Returns the first sentence of a text.
pub(crate) fn first_sentence(text: &str) -> String {
    let paragraph = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
    paragraph[..end].to_owned()
}

/// Returns the tests of a script in the order of the file.
pub(crate) fn tests(ast: &AST, text: &str) -> Vec<TestFunction> {
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
    // Rhai lists functions without an order.
    let lines = lines_of_functions(text);
    tests.sort_by_key(|test| lines.get(test.name.as_str()).copied().unwrap_or(usize::MAX));
    tests
}

/// Returns the line of each function, by name.
fn lines_of_functions(text: &str) -> HashMap<&str, usize> {
    let mut lines = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(name) = function_name(line) {
            lines.entry(name).or_insert(number);
        }
    }
    lines
}

/// Returns the name of the public function that is defined at the start of a line.
fn function_name(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start().strip_prefix("fn ")?.split_once('(')?;
    Some(name.trim())
}

/// Returns the text of comments without slashes.
pub(crate) fn doc(comments: &[&str]) -> String {
    let lines: Vec<&str> = comments
        .iter()
        .flat_map(|comment| comment.lines())
        .map(without_slashes)
        .collect();
    lines.join("\n").trim().to_owned()
}

fn without_slashes(line: &str) -> &str {
    let line = line.trim_start();
    let line = line
        .strip_prefix("//!")
        .unwrap_or_else(|| line.trim_start_matches(['/', '*']));
    let line = line.trim_end_matches("*/");
    line.strip_prefix(' ').unwrap_or(line).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_public_functions_without_parameters_in_file_order() {
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
