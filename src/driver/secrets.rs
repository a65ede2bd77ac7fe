//! Values that nobody should read: known by the names of the variables, options and flags that hold
//! them, and taken out of whatever this program writes.

use memchr::memmem;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::LazyLock;

/// How the words of such names end. `MAX_TOKENS` and `TOKENIZERS_PARALLELISM` are none.
const ENDINGS: [&str; 8] =
    ["KEY", "KEYS", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "CREDENTIALS"];
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
    RwLock::new(values(inherited.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
});

/// Whether the value of a variable, option or flag of this name is secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    let is_elsewhere = words.clone().next_back().is_some_and(|word| ELSEWHERE.contains(&word));
    !is_elsewhere && words.any(|word| ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

/// Notes the secret ones among these variables: [`scrub`] takes them out from now on.
pub fn learn<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let mut known = KNOWN.write();
    known.extend(values(variables));
    sort(&mut known);
}

/// Notes the secrets among the flags of a command: `--api-key x` and `--api-key=x`.
pub fn learn_flags(argv: &[String]) {
    let joined = argv.iter().filter_map(|word| word.split_once('='));
    let pairs = argv.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str()));
    learn(joined.chain(pairs).filter(|(flag, _)| flag.starts_with('-')));
}

/// `text` without any secret that this program has seen.
pub fn scrub(text: &str) -> String {
    without(text, &KNOWN.read())
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
    let told =
        variables.into_iter().filter(|(name, value)| is_secret(name) && is_telling(value) && !is_flag(value));
    let escaped = |value: &str| serde_json::Value::from(value).to_string();
    let mut values: Vec<String> =
        told.flat_map(|(_, value)| [value.to_owned(), escaped(value).trim_matches('"').to_owned()]).collect();
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

fn without(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), REMOVED) } else { text }
    })
}

/// Overwrites with as many asterisks: whoever still writes to the file or reads it sees no byte move.
fn mask(path: &Path, start: u64, secrets: &[String]) -> Result<()> {
    const WINDOW: usize = 1 << 20;
    let longest = secrets.iter().map(String::len).max().unwrap_or(0);
    if longest == 0 {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
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
        for name in ["HF_TOKEN", "OPENAI_API_KEY", "openai_apikey", "DB_PASSWORD", "--api-key", "x-api-key"] {
            assert!(is_secret(name), "{name}");
        }
        for name in
            ["MAX_TOKENS", "TOKENIZERS_PARALLELISM", "KEYBOARD", "--max-num-batched-tokens", "api_key_env"]
        {
            assert!(!is_secret(name), "{name}");
        }
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
        assert_eq!(without("a sk-longer-still b sk-longer", &values), "a (removed) b (removed)");
    }

    #[test]
    fn what_was_learnt_is_taken_out() {
        learn([("OF_A_TEST_KEY", "sk-\"quoted\"-0815"), ("NAME", "harmless")]);
        let argv =
            ["serve", "--api-key", "sk-flag-0815", "--other-token=tk-flag-0815", "--key", "--seed", "7"];
        learn_flags(&argv.map(String::from));
        let text =
            r#"sk-"quoted"-0815 {"a": "sk-\"quoted\"-0815"} sk-flag-0815 tk-flag-0815 harmless --seed"#;
        assert_eq!(scrub(text), r#"(removed) {"a": "(removed)"} (removed) (removed) harmless --seed"#);
    }

    #[test]
    fn a_secret_in_a_file_is_overwritten_in_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        let padding = "x".repeat((1 << 20) - 10);
        std::fs::write(&path, format!("sk-secret {padding} sk-secret\n")).expect("a log");
        mask(&path, 5, &["sk-secret".into()]).expect("masked");
        let text = std::fs::read_to_string(&path).expect("the log");
        assert_eq!(text, format!("sk-secret {padding} *********\n"), "what an earlier run wrote stays");
        mask(&path, 0, &["sk-secret".into()]).expect("masked");
        assert!(std::fs::read_to_string(&path).expect("the log").starts_with("********* xx"));
    }
}
