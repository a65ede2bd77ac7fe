//! The words of names, comments, help, errors and documents.

use super::assert_at_most;
use super::source::{TextFile, text_files};
use regex::Regex;

const MAX_BANNED_WORDS: usize = 217;
const MAX_DOC_COMMENTS_WITH_QUESTION_WORD_PERCENT: f64 = 1.0;

/// Expressions that a reader has to decode, and plain ones. They are regular expressions that match whole words.
const BANNED: [(&str, &str); 22] = [
    // People: name the subject.
    ("whoever|nobody|somebody|anybody", "the subject by its name"),
    // Negations.
    ("(is|are) no [a-z]+", "`is not a …`"),
    ("what is not there", "missing, unknown, none"),
    ("none (is|are) left", "all … have …"),
    // Starting and ending.
    ("begun", "started"),
    ("gives? up|giving up|given up", "stopped, after the timeout"),
    ("patience", "timeout, deadline"),
    // Sending.
    ("under way", "in flight, running"),
    ("so many at once", "concurrency"),
    (
        r"\d+(\.\d+)? (a|an) (second|minute|hour|day|request|token|chunk|line)",
        "per",
    ),
    // Processes.
    ("strays?", "orphan"),
    // Standing.
    (
        "stands? (for|in|above|below|beside|beneath|before|there|at|over|on)",
        "is, precedes, means",
    ),
    // Keeping and skipping.
    ("leaves? out|left out|leaving out", "skip, ignore"),
    ("heed(s|ed|ing)?", "obey, check"),
    ("mend(s|ed|ing)?", "repair, correct"),
    // Possession.
    ("of (its|their|our|my|your|one's) own", "own, separate"),
    ("to be had", "available"),
    // Speech.
    ("says? so", "the condition itself"),
    ("told", "reported, passed, given"),
    ("in the words of", "in the format of"),
    // Sentences.
    (r"(^|[.!?/] )The same\.", "what it does"),
    ("by itself|of itself", "alone, automatically"),
];

/// Ordinary expressions that contain a banned one.
const ALLOWED: [&str; 3] = [
    "there (is|are) no [a-z]+",
    "(is|are) no (longer|more|less)",
    "no-such",
];

/// The documents and the code that people read.
fn documents() -> Vec<TextFile> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        files.extend(text_files(folder, &["rs", "rhai", "py", "html", "css"]));
    }
    for folder in ["stdlib", "scripts", "outputs"] {
        files.extend(text_files(folder, &["rhai", "sh", "py", "md"]));
    }
    for folder in ["book/src", "README.md", "CHANGELOG.md"] {
        files.extend(text_files(folder, &["md"]));
    }
    // This file names them.
    files.retain(|file| !file.path.ends_with("laws/words.rs"));
    files
}

#[test]
fn banned_words_are_absent() {
    let allowed = Regex::new(&format!(r"(?i)\b({})\b", ALLOWED.join("|"))).expect("a pattern");
    let banned = BANNED.map(|(pattern, instead)| {
        let pattern = Regex::new(&format!(r"(?i)(\b|_)({pattern})(\b|_)")).expect("a pattern");
        (pattern, instead)
    });
    let mut breaches = Vec::new();
    for file in documents() {
        for (number, line) in file.lines() {
            let line = allowed.replace_all(line, "");
            for (pattern, instead) in &banned {
                if let Some(found) = pattern.find(&line) {
                    let place = file.place(number);
                    breaches.push(format!("`{}` ({instead}): {place}", found.as_str()));
                }
            }
        }
    }
    assert_at_most(MAX_BANNED_WORDS, &breaches, "write the plain word");
}

#[test]
fn doc_comments_begin_with_what_the_thing_is() {
    let question =
        Regex::new(r"^(?i)(what|who|where|how|when|which|whether)\b").expect("a pattern");
    let mut comments = 0;
    let mut breaches = Vec::new();
    for file in documents() {
        let mut is_first = true;
        for (number, line) in file.lines() {
            let line = line.trim_start();
            let text = line
                .strip_prefix("///")
                .or_else(|| line.strip_prefix("//!"));
            if is_first && let Some(text) = text {
                comments += 1;
                if question.is_match(text.trim_start()) {
                    breaches.push(file.place(number));
                }
            }
            is_first = text.is_none();
        }
    }
    let max = MAX_DOC_COMMENTS_WITH_QUESTION_WORD_PERCENT / 100.0 * f64::from(comments);
    assert_at_most(
        max as usize,
        &breaches,
        "begin with a noun or with a verb such as `Returns`",
    );
}
