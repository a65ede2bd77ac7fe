//! What people write who come from Python or Rust, and what it is called here.

/// Advice for an error of the parser: `rest` is the line from the place of the error on, `before` what stands
/// before it.
pub fn of_text(message: &str, before: &str, rest: &str) -> Option<&'static str> {
    match message.split_once(": ") {
        Some(("undefined variable", name)) => {
            let after = rest.strip_prefix(name).unwrap_or_default();
            of_word(name).or_else(|| of_surroundings(before.trim_end(), after))
        }
        Some(("unknown operator", "'++'")) => Some("write `x += 1`"),
        Some(("unknown operator", "'--'")) => Some("write `x -= 1`"),
        Some(("invalid character", _)) => {
            Some("a text stands in double quotes; single ones hold one character")
        }
        _ if message.starts_with("'#' is a reserved symbol") => {
            Some("a comment begins with `//`, a map with `#{`")
        }
        _ if message.starts_with("expecting") => of_token(rest),
        _ => None,
    }
}

/// For a word of another language.
fn of_word(name: &str) -> Option<&'static str> {
    let words = [
        (
            &["None", "null", "nil", "nullptr"][..],
            "what is not there is `()`",
        ),
        (&["True", "False"], "write `true` or `false`"),
        (&["not"], "`!` negates: `!found`"),
        (
            &["def", "func", "function"],
            "a function is `fn name() { … }`",
        ),
        (&["elif"], "write `else if`"),
        (
            &["from"],
            "`import \"std/sim\" as sim;` gives a module a name: `sim::engine()`",
        ),
        (&["lambda"], "a function without a name is `|x| x + 1`"),
        (
            &["assert"],
            "`check::that(holds, \"claim\")` is what a test claims",
        ),
        (&["pass"], "an empty block is `{ }`"),
        (
            &["except", "raise"],
            "errors are thrown with `throw`, and caught with `try { … } catch (e) { … }`",
        ),
    ];
    words
        .iter()
        .find(|(words, _)| words.contains(&name))
        .map(|(_, help)| *help)
}

/// For a name by what stands around it.
fn of_surroundings(before: &str, after: &str) -> Option<&'static str> {
    if before.ends_with("import") {
        Some("write the path and a name: `import \"std/sim\" as sim;`")
    } else if after.starts_with(['"', '\'']) {
        Some("a text with values in it stands in backticks: `${x} s`")
    } else if after.trim_start().starts_with(':') && !after.trim_start().starts_with("::") {
        Some("a map begins with `#{`")
    } else if after.trim_start().starts_with('=')
        && !after.trim_start().starts_with("==")
        && before.ends_with(['(', ','])
    {
        Some("options are given as a map: `#{ requests: 3 }`")
    } else {
        None
    }
}

/// For what stands where something else is expected.
fn of_token(rest: &str) -> Option<&'static str> {
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
    match (word.as_str(), rest.chars().next()) {
        ("and", _) => Some("write `&&`"),
        ("or", _) => Some("write `||`"),
        ("if", _) => Some("a value that depends on something is `if a { 1 } else { 2 }`"),
        ("", Some(':')) => Some("a block stands in braces: `if … { … }`, `for … { … }`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::fault::Diagnosis;
    use crate::script::language::compiler;
    use rhai::EvalAltResult;

    fn advice(text: &str) -> Option<String> {
        let error = compiler().compile(text).expect_err(text);
        let diagnosis = Diagnosis::of(&EvalAltResult::ErrorParsing(*error.0, error.1), "s");
        crate::script::hint::of_text(&diagnosis, text)
    }

    #[test]
    fn what_is_written_elsewhere_has_its_name_here() {
        let habits = [
            ("let x = None;", "what is not there is `()`"),
            ("let x = True;", "write `true` or `false`"),
            ("if not 1 == 2 { }", "`!` negates: `!found`"),
            ("if 1 == 1 and 2 == 2 { }", "write `&&`"),
            ("if 1 == 1 or 2 == 2 { }", "write `||`"),
            (
                "if 1 == 1: print(1)",
                "a block stands in braces: `if … { … }`, `for … { … }`",
            ),
            (
                "for i in range(10): print(i)",
                "a block stands in braces: `if … { … }`, `for … { … }`",
            ),
            ("if 1 == 1 { } elif 2 == 2 { }", "write `else if`"),
            ("def test_a():", "a function is `fn name() { … }`"),
            (
                "let f = lambda x: x;",
                "a function without a name is `|x| x + 1`",
            ),
            (
                "let x = 1 if 2 else 3;",
                "a value that depends on something is `if a { 1 } else { 2 }`",
            ),
            (
                "let x = 'plain';",
                "a text stands in double quotes; single ones hold one character",
            ),
            (
                "let x = f\"a{1}\";",
                "a text with values in it stands in backticks: `${x} s`",
            ),
            ("run({ name: 1 });", "a map begins with `#{`"),
            (
                "run(requests=3);",
                "options are given as a map: `#{ requests: 3 }`",
            ),
            (
                "import sim;",
                "write the path and a name: `import \"std/sim\" as sim;`",
            ),
            (
                "from \"std/sim\" import engine;",
                "`import \"std/sim\" as sim;` gives a module a name: `sim::engine()`",
            ),
            ("# a comment", "a comment begins with `//`, a map with `#{`"),
            ("let i = 0; i++;", "write `x += 1`"),
            (
                "sim::engine();",
                "import it at the top: `import \"std/sim\" as sim;`",
            ),
        ];
        for (text, help) in habits {
            assert_eq!(advice(text).as_deref(), Some(help), "{text}");
        }
    }

    #[test]
    fn a_word_is_told_from_one_that_only_begins_so() {
        assert_eq!(
            of_text("undefined variable: None", "let x = ", "None;"),
            Some("what is not there is `()`")
        );
        assert_eq!(
            of_text("undefined variable: Nones", "let x = ", "Nones;"),
            None
        );
        assert_eq!(of_text("undefined variable: sim", "", "sim::x"), None);
        assert_eq!(of_text("undefined variable: a", "if ", "a == 1"), None);
        assert_eq!(
            of_text("expecting '{' to start a statement block", "if a ", "order"),
            None
        );
    }
}
