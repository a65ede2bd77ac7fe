//! Secrets, known by the names of the variables, options and flags that hold them, or by their
//! place in a URL. They are removed from everything that this program writes.

use super::files;
use memchr::memmem;
use parking_lot::RwLock;
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::LazyLock;

/// The endings of words in the names of secrets. `MAX_TOKENS` and `TOKENIZERS_PARALLELISM` do not
/// match.
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
/// The last words in the names of secrets that have another meaning as an ending or before other
/// words: `COMPASS`, `COMPAT` and `SSH_AUTH_SOCK` do not name secrets.
const LAST_WORDS: [&str; 6] = ["PASS", "AUTH", "PAT", "BEARER", "COOKIE", "AUTHORIZATION"];
/// The last words of names that only refer to the place of a secret.
const REFERENCES: [&str; 5] = ["ENV", "FILE", "PATH", "DIR", "NAME"];
/// The text that replaces a secret.
pub(crate) const REMOVED: &str = "(removed)";
/// The minimum length of a secret, bytes. A shorter value may be a common word.
const MIN_LENGTH: usize = 6;

/// The secrets that this program has seen, the longest first. It begins with those of the inherited
/// environment.
static KNOWN: LazyLock<RwLock<Vec<String>>> = LazyLock::new(|| {
    let mut known = Vec::new();
    for (name, value) in std::env::vars_os() {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
            known.extend(secrets_in(name, value));
        }
    }
    sort(&mut known);
    RwLock::new(known)
});

/// Returns true if the value of a variable, option or flag with this name is secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
    let last = words[words.len() - 1];
    !REFERENCES.contains(&last)
        && (LAST_WORDS.contains(&last) || words.iter().any(|word| has_secret_ending(word)))
}

fn has_secret_ending(word: &str) -> bool {
    ENDINGS.iter().any(|ending| word.ends_with(ending))
}

/// Adds the secrets among these variables. [`scrub`] removes them from now on.
pub(crate) fn register<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let mut known = KNOWN.write();
    for (name, value) in variables {
        known.extend(secrets_in(name, value));
    }
    sort(&mut known);
}

/// Adds the secrets of a command: those of its flags, `--api-key x` and `--api-key=x`, and of URLs.
pub(crate) fn register_flags(argv: &[String]) {
    register(argv.iter().map(|word| ("", word.as_str())));
    let joined = argv.iter().filter_map(|word| word.split_once('='));
    let pairs = argv
        .windows(2)
        .map(|pair| (pair[0].as_str(), pair[1].as_str()));
    register(
        joined
            .chain(pairs)
            .filter(|(flag, _)| flag.starts_with('-')),
    );
}

/// Adds the passwords of the URLs in a text.
pub(crate) fn register_urls(text: &str) {
    register([("", text)]);
}

/// Returns `text` without the secrets that this program has seen, and without those in its URLs.
pub(crate) fn scrub(text: &str) -> String {
    replace_secrets(text, &KNOWN.read(), |_| REMOVED.into())
}

/// Returns `text` with an asterisk for each byte of a secret, so that nothing else moves.
pub(crate) fn mask(text: &str) -> String {
    replace_secrets(text, &KNOWN.read(), asterisks)
}

/// Returns a script with asterisks for its secrets, including the values of secret names.
pub(crate) fn mask_script(text: &str) -> String {
    static NAMED_VALUE: LazyLock<Regex> = LazyLock::new(|| {
        let name = r#"(?:([A-Za-z_][A-Za-z0-9_-]*)"?\s*[:=]|"--([A-Za-z0-9-]+)"\s*,)"#;
        let value = r#"\s*"((?:[^"\\]|\\.)*)""#;
        Regex::new(&format!("{name}{value}")).expect("a valid pattern")
    });
    let masked = NAMED_VALUE.replace_all(text, |found: &Captures<'_>| {
        let name = found.get(1).or(found.get(2));
        let name = name.map_or("", |name| name.as_str());
        // A plain `key` is an option of tables and plots.
        if name == "key" || !is_secret(name) {
            return found[0].to_owned();
        }
        let value = &found[3];
        let value_start = found[0].len() - value.len() - 1;
        format!("{}{}\"", &found[0][..value_start], asterisks(value))
    });
    mask(&masked)
}

fn asterisks(secret: &str) -> String {
    "*".repeat(secret.len())
}

/// Overwrites every secret that this program has seen in a file, from byte `start` on.
///
/// # Errors
/// Fails if the file cannot be read or written.
pub(crate) fn mask_file(path: &Path, start: u64) -> Result<()> {
    let known = KNOWN.read().clone();
    overwrite(path, start, &known)
}

/// Returns the secrets in the value of a variable that are distinct from other text, as they are
/// and as JSON writes them.
fn secrets_in(name: &str, value: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    if is_secret(name) && !value.starts_with("--") {
        secrets.push(value);
    }
    secrets.extend(url_passwords(value));
    secrets.retain(|secret| is_distinct(secret));
    secrets
        .into_iter()
        .flat_map(|secret| [secret.to_owned(), json_escaped(secret)])
        .collect()
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.trim_matches('"').to_owned()
}

/// Sorts the longest first, as one may be part of another.
fn sort(secrets: &mut Vec<String>) {
    secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    secrets.dedup();
}

/// Returns true if a value is neither short nor a number.
fn is_distinct(value: &str) -> bool {
    value.len() >= MIN_LENGTH && !value.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The part of `scheme://user:password@host` between the slashes and the `@`.
static USER_INFO: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"://([^/?#\s"'`\\<>]*)@"#).expect("a valid pattern"));
/// A field of a URL's query and its value.
static QUERY_FIELD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"([?&;][A-Za-z0-9_.-]+)=([^&;#\s"'`\\<>]+)"#).expect("a valid pattern")
});

/// Returns the passwords of the URLs in a text.
fn url_passwords(text: &str) -> impl Iterator<Item = &str> {
    USER_INFO
        .captures_iter(text)
        .filter_map(|found| found.get(1)?.as_str().split_once(':'))
        .map(|(_, password)| password)
}

/// Replaces `secrets` and those in URLs by the result of `replacement`.
fn replace_secrets(text: &str, secrets: &[String], replacement: impl Fn(&str) -> String) -> String {
    let mut text = Cow::Borrowed(text);
    for secret in secrets {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), &replacement(secret)).into();
        }
    }
    if !text.contains("://") {
        return text.into_owned();
    }
    let text = USER_INFO.replace_all(&text, |found: &Captures<'_>| {
        format!("://{}@", replacement(&found[1]))
    });
    let text = QUERY_FIELD.replace_all(&text, |found: &Captures<'_>| {
        if is_secret(&found[1]) {
            format!("{}={}", &found[1], replacement(&found[2]))
        } else {
            found[0].to_owned()
        }
    });
    text.into_owned()
}

/// Overwrites secrets in a file with asterisks, from byte `start` on. No byte moves, as other
/// programs may read and write the file.
fn overwrite(path: &Path, start: u64, secrets: &[String]) -> Result<()> {
    const WINDOW: usize = 1 << 20;
    let longest = secrets.iter().map(String::len).max().unwrap_or(0);
    if longest == 0 {
        return Ok(());
    }
    let file = files::open_own(path, OpenOptions::new().read(true).write(true))?;
    let end = file.metadata()?.len();
    let mut window = vec![0; WINDOW + longest];
    let mut at = start;
    while at < end {
        // Windows overlap, so that a secret which crosses the end of one is whole in the next.
        let length = file.read_at(&mut window, at)?;
        for secret in secrets {
            for found in memmem::find_iter(&window[..length], secret.as_bytes()) {
                file.write_all_at(asterisks(secret).as_bytes(), at + found as u64)?;
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
    fn is_secret_knows_secret_names() {
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
    fn scrub_removes_secrets_of_urls() {
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
        register([("STORE_URL", "redis://:url-pw-4711@host")]);
        register_flags(&[
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
    fn mask_script_masks_the_values_of_secret_names() {
        for (script, expected) in [
            (
                r#"env: #{ HF_TOKEN: "hf_ab" }"#,
                r#"env: #{ HF_TOKEN: "*****" }"#,
            ),
            (r#""x-auth": "sk-\"1\"23""#, r#""x-auth": "**********""#),
            (r#"name: "plain", key: "id""#, r#"name: "plain", key: "id""#),
            (
                r#"["--api-key", "sk-123", "--port", "8000"]"#,
                r#"["--api-key", "******", "--port", "8000"]"#,
            ),
            (r#"url: "http://u:pw@h""#, r#"url: "http://****@h""#),
        ] {
            assert_eq!(mask_script(script), expected);
        }
    }

    #[test]
    fn common_values_are_not_secrets() {
        let variables = [
            ("A_KEY", "sk-longer"),
            ("B_KEY", "sk-longer-still"),
            ("C_KEY", "1234567890"),
            ("D_KEY", "true"),
        ];
        let mut secrets: Vec<String> = variables
            .iter()
            .flat_map(|(name, value)| secrets_in(name, value))
            .collect();
        sort(&mut secrets);
        assert_eq!(secrets, ["sk-longer-still", "sk-longer"]);
        let shown = replace_secrets("a sk-longer-still b sk-longer", &secrets, |_| {
            REMOVED.into()
        });
        assert_eq!(shown, "a (removed) b (removed)");
    }

    #[test]
    fn scrub_removes_registered_secrets() {
        register([
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
        register_flags(&argv.map(String::from));
        let text = r#"sk-"quoted"-0815 {"a": "sk-\"quoted\"-0815"}"#;
        assert_eq!(scrub(text), r#"(removed) {"a": "(removed)"}"#);
        assert_eq!(
            scrub("sk-flag-0815 tk-flag-0815 harmless --seed"),
            "(removed) (removed) harmless --seed"
        );
    }

    #[test]
    fn secrets_in_a_file_are_overwritten_in_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        let padding = "x".repeat((1 << 20) - 10);
        std::fs::write(&path, format!("sk-secret {padding} sk-secret\n")).expect("a log");
        overwrite(&path, 5, &["sk-secret".into()]).expect("masked");
        let text = std::fs::read_to_string(&path).expect("the log");
        assert_eq!(
            text,
            format!("sk-secret {padding} *********\n"),
            "what an earlier run wrote stays"
        );
        overwrite(&path, 0, &["sk-secret".into()]).expect("masked");
        assert!(
            std::fs::read_to_string(&path)
                .expect("the log")
                .starts_with("********* xx")
        );
    }
}
