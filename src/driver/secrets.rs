//! Values that nobody should read: known by the names of the variables, options and flags that hold
//! them, or by their place in a URL, and taken out of whatever this program writes.

use super::files;
use memchr::memmem;
use parking_lot::RwLock;
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::LazyLock;

/// How the words of such names end. `MAX_TOKENS` and `TOKENIZERS_PARALLELISM` are none.
const ENDINGS: [&str; 9] = [
    "KEY",
    "KEYS",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "CREDENTIALS",
];
/// Last words of such names that have other meanings as the end of a word or before others: `COMPASS`,
/// `COMPAT` and `SSH_AUTH_SOCK` are not secret.
const LAST_WORDS: [&str; 6] = ["PASS", "AUTH", "PAT", "BEARER", "COOKIE", "AUTHORIZATION"];
/// How a name ends that only says where a secret is.
const ELSEWHERE: [&str; 5] = ["ENV", "FILE", "PATH", "DIR", "NAME"];
/// What stands in their place.
pub const REMOVED: &str = "(removed)";
/// A shorter value may be a word that stands everywhere for other reasons.
const SHORTEST: usize = 6;

/// All that this program has seen of them, the longest first. What it inherited is known from the start.
static KNOWN: LazyLock<RwLock<Vec<String>>> = LazyLock::new(|| {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let inherited: BTreeMap<String, String> = std::env::vars_os().filter_map(text).collect();
    RwLock::new(values(
        inherited
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    ))
});

/// Whether the value of a variable, option or flag of this name is secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    let last = words.clone().next_back().unwrap_or_default();
    let is_secret_word = |word: &str| ENDINGS.iter().any(|ending| word.ends_with(ending));
    !ELSEWHERE.contains(&last) && (LAST_WORDS.contains(&last) || words.any(is_secret_word))
}

/// Notes the secret ones among these variables: [`scrub`] takes them out from now on.
pub fn learn<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let mut known = KNOWN.write();
    known.extend(values(variables));
    sort(&mut known);
}

/// Notes the secrets of a command: of its flags, `--api-key x` and `--api-key=x`, and of URLs.
pub fn learn_flags(argv: &[String]) {
    learn(argv.iter().map(|word| ("", word.as_str())));
    let joined = argv.iter().filter_map(|word| word.split_once('='));
    let pairs = argv
        .windows(2)
        .map(|pair| (pair[0].as_str(), pair[1].as_str()));
    learn(
        joined
            .chain(pairs)
            .filter(|(flag, _)| flag.starts_with('-')),
    );
}

/// Notes the passwords of URLs in a text.
pub fn learn_urls(text: &str) {
    learn([("", text)]);
}

/// Returns `text` without any secret that this program has seen, and without those in its URLs.
pub fn scrub(text: &str) -> String {
    replaced(text, &KNOWN.read(), &|_| REMOVED.into())
}

/// Returns `text` with an asterisk for each byte of a secret, so that nothing else moves.
pub fn starred(text: &str) -> String {
    replaced(text, &KNOWN.read(), &stars)
}

/// Returns a script with asterisks for its secrets, including texts whose names say that they are secret.
pub fn starred_script(text: &str) -> String {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        let pair = r#"(?:([A-Za-z_][A-Za-z0-9_-]*)"?\s*[:=]|"--([A-Za-z0-9-]+)"\s*,)\s*"((?:[^"\\]|\\.)*)""#;
        Regex::new(pair).expect("a pattern that a test uses")
    });
    let star = |found: &Captures<'_>| {
        let (name, value) = (found.get(1).or(found.get(2)), &found[3]);
        let name = name.map_or("", |name| name.as_str());
        // A plain `key` is an option of tables and plots.
        if name == "key" || !is_secret(name) {
            return found[0].to_owned();
        }
        let at = found[0].len() - value.len() - 1;
        format!("{}{}\"", &found[0][..at], stars(value))
    };
    starred(&NAMED.replace_all(text, star))
}

fn stars(secret: &str) -> String {
    "*".repeat(secret.len())
}

/// Overwrites every secret that this program has seen in a file, from `start` on.
///
/// # Errors
/// When the file cannot be read or written.
pub fn mask_known(path: &Path, start: u64) -> Result<()> {
    let known = KNOWN.read().clone();
    mask(path, start, &known)
}

/// The values of the secret ones among these variables, as they are and as JSON writes them, where
/// they can be told from other text.
fn values<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let is_flag = |value: &str| value.starts_with("--");
    let escaped = |value: &str| serde_json::Value::from(value).to_string();
    let mut values = Vec::new();
    for (name, value) in variables {
        let whole = (is_secret(name) && !is_flag(value)).then_some(value);
        for told in whole
            .into_iter()
            .chain(passwords_of(value))
            .filter(|told| is_telling(told))
        {
            values.extend([told.to_owned(), escaped(told).trim_matches('"').to_owned()]);
        }
    }
    sort(&mut values);
    values
}

/// The longest first: one may be part of another.
fn sort(values: &mut Vec<String>) {
    values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    values.dedup();
}

fn is_telling(value: &str) -> bool {
    value.len() >= SHORTEST && !value.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The part of `scheme://user:password@host` between the slashes and the `@`.
static USER_INFO: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"://([^/?#\s"'`\\<>]*)@"#).expect("a pattern that a test uses"));
/// A field of a URL's query and its value.
static QUERY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"([?&;][A-Za-z0-9_.-]+)=([^&;#\s"'`\\<>]+)"#).expect("a pattern that a test uses")
});

/// The passwords of the URLs in a text.
fn passwords_of(text: &str) -> impl Iterator<Item = &str> {
    let infos = USER_INFO
        .captures_iter(text)
        .filter_map(|found| found.get(1));
    infos
        .filter_map(|info| info.as_str().split_once(':'))
        .map(|(_, password)| password)
}

fn replaced(text: &str, secrets: &[String], by: &dyn Fn(&str) -> String) -> String {
    let mut text = Cow::Borrowed(text);
    for secret in secrets {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), &by(secret)).into();
        }
    }
    if text.contains("://") {
        let user = |found: &Captures<'_>| format!("://{}@", by(&found[1]));
        let field = |found: &Captures<'_>| {
            let value = if is_secret(&found[1]) {
                by(&found[2])
            } else {
                found[2].to_owned()
            };
            format!("{}={value}", &found[1])
        };
        text = QUERY
            .replace_all(&USER_INFO.replace_all(&text, user), field)
            .into_owned()
            .into();
    }
    text.into_owned()
}

/// Overwrites with as many asterisks: whoever still writes to the file or reads it sees no byte move.
fn mask(path: &Path, start: u64, secrets: &[String]) -> Result<()> {
    const WINDOW: usize = 1 << 20;
    let longest = secrets.iter().map(String::len).max().unwrap_or(0);
    if longest == 0 {
        return Ok(());
    }
    let file = files::open_own(path, OpenOptions::new().read(true).write(true))?;
    let mut window = vec![0; WINDOW + longest];
    let (mut at, end) = (start, file.metadata()?.len());
    while at < end {
        // Windows overlap, so that a secret which straddles two lies whole in one.
        let length = file.read_at(&mut window, at)?;
        for secret in secrets {
            for found in memmem::find_iter(&window[..length], secret.as_bytes()) {
                file.write_all_at("*".repeat(secret.len()).as_bytes(), at + found as u64)?;
            }
        }
        at += WINDOW as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_secret() {
        for name in [
            "HF_TOKEN",
            "OPENAI_API_KEY",
            "openai_apikey",
            "DB_PASSWORD",
            "--api-key",
            "x-api-key",
            "--pass",
            "SSH_PASSPHRASE",
            "PROXY_AUTH",
            "GITHUB_PAT",
            "BEARER",
            "cookie",
            "set-cookie",
            "x-auth",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "MAX_TOKENS",
            "TOKENIZERS_PARALLELISM",
            "KEYBOARD",
            "--max-num-batched-tokens",
            "api_key_env",
            "COMPASS",
            "GLIBC_COMPAT",
            "SSH_AUTH_SOCK",
            "PATH",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn secrets_of_urls_are_removed_wherever_they_stand() {
        for (text, expected) in [
            ("redis://:pw@host:6379/0", "redis://(removed)@host:6379/0"),
            (
                "at postgres://u:p@w@h/db, and http://h/a@b",
                "at postgres://(removed)@h/db, and http://h/a@b",
            ),
            (
                r#"{"url": "https://u:p@h", "to": "me@x"}"#,
                r#"{"url": "https://(removed)@h", "to": "me@x"}"#,
            ),
            (
                "http://h/v1?a=b&api_key=sk-1&c=d",
                "http://h/v1?a=b&api_key=(removed)&c=d",
            ),
            ("http://h/?max_tokens=5", "http://h/?max_tokens=5"),
        ] {
            assert_eq!(scrub(text), expected);
            assert_eq!(scrub(expected), expected, "nothing is left to remove");
        }
        learn([("STORE_URL", "redis://:url-pw-4711@host")]);
        learn_flags(&[
            "serve".into(),
            "--store=lm://u:flag-pw-4711@h".into(),
            "lm://u:word-pw-4711@h".into(),
        ]);
        assert_eq!(
            scrub("url-pw-4711 flag-pw-4711 word-pw-4711"),
            "(removed) (removed) (removed)"
        );
    }

    #[test]
    fn of_a_script_the_values_of_secret_names_are_starred() {
        let script = r#"vllm::engine(#{ env: #{ HF_TOKEN: "hf_ab", "x-auth": "sk-\"1\"23" }, name: "plain", key: "engine_id" });
            command: ["--api-key", "sk-123", "--port", "8000"], url: "http://u:pw@h""#;
        let expected = r#"vllm::engine(#{ env: #{ HF_TOKEN: "*****", "x-auth": "**********" }, name: "plain", key: "engine_id" });
            command: ["--api-key", "******", "--port", "8000"], url: "http://****@h""#;
        assert_eq!(starred_script(script), expected);
    }

    #[test]
    fn values_that_mean_other_things_too_are_left_alone() {
        let variables = [
            ("A_KEY", "sk-longer"),
            ("B_KEY", "sk-longer-still"),
            ("C_KEY", "1234567890"),
            ("D_KEY", "true"),
        ];
        let values = values(variables);
        assert_eq!(values, ["sk-longer-still", "sk-longer"]);
        let shown = replaced("a sk-longer-still b sk-longer", &values, &|_| {
            REMOVED.into()
        });
        assert_eq!(shown, "a (removed) b (removed)");
    }

    #[test]
    fn what_was_learnt_is_taken_out() {
        learn([
            ("OF_A_TEST_KEY", "sk-\"quoted\"-0815"),
            ("NAME", "harmless"),
        ]);
        let argv = [
            "serve",
            "--api-key",
            "sk-flag-0815",
            "--other-token=tk-flag-0815",
            "--key",
            "--seed",
            "7",
        ];
        learn_flags(&argv.map(String::from));
        let text = r#"sk-"quoted"-0815 {"a": "sk-\"quoted\"-0815"} sk-flag-0815 tk-flag-0815 harmless --seed"#;
        assert_eq!(
            scrub(text),
            r#"(removed) {"a": "(removed)"} (removed) (removed) harmless --seed"#
        );
    }

    #[test]
    fn a_secret_in_a_file_is_overwritten_in_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        let padding = "x".repeat((1 << 20) - 10);
        std::fs::write(&path, format!("sk-secret {padding} sk-secret\n")).expect("a log");
        mask(&path, 5, &["sk-secret".into()]).expect("masked");
        let text = std::fs::read_to_string(&path).expect("the log");
        assert_eq!(
            text,
            format!("sk-secret {padding} *********\n"),
            "what an earlier run wrote stays"
        );
        mask(&path, 0, &["sk-secret".into()]).expect("masked");
        assert!(
            std::fs::read_to_string(&path)
                .expect("the log")
                .starts_with("********* xx")
        );
    }
}
