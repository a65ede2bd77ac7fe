//! Values that nobody should read: known by the names of the variables that hold them.

use memchr::memmem;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How the words of such names end. `MAX_TOKENS` and `TOKENIZERS_PARALLELISM` are none.
const ENDINGS: [&str; 8] =
    ["KEY", "KEYS", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "CREDENTIALS"];
/// What stands in their place.
pub const REMOVED: &str = "(removed)";
/// A shorter value may be a word that stands everywhere for other reasons.
const SHORTEST: usize = 6;

/// Whether the value of a variable, option or flag of this name is secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    name.split(|c: char| !c.is_alphanumeric()).any(|word| ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

/// The secret values among these variables that can be told from other text. The longest come
/// first: one may be part of another.
pub fn values<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let secret = variables.into_iter().filter(|(name, value)| is_secret(name) && is_telling(value));
    let mut values: Vec<String> = secret.map(|(_, value)| value.to_owned()).collect();
    values.sort_by_key(|value| (std::cmp::Reverse(value.len()), value.clone()));
    values.dedup();
    values
}

/// The environment of this process, as far as it is text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn is_telling(value: &str) -> bool {
    value.len() >= SHORTEST && !value.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `text` without any of `secrets`.
pub fn without(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), REMOVED) } else { text }
    })
}

/// Overwrites every one of `secrets` in a file, from `start` on, with as many asterisks: whoever
/// still writes to it or reads it sees no byte move.
///
/// # Errors
/// When the file cannot be read or written.
pub fn mask(path: &Path, start: u64, secrets: &[String]) -> Result<()> {
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
        for name in [
            "HF_TOKEN",
            "OPENAI_API_KEY",
            "openai_apikey",
            "DB_PASSWORD",
            "AWS_SECRET_ACCESS_KEY",
            "--api-key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["MAX_TOKENS", "TOKENIZERS_PARALLELISM", "KEYBOARD", "HOME", "--max-num-batched-tokens"] {
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
