use super::super::{After, ConfigError, Request, estimate_tokens};
use super::super::{Arrivals, Generator, Lexicon, RequestOptions, TextOptions, WorkloadConfig};
use super::*;
use proptest::prelude::*;

fn read(options: &str, text: &str) -> Result<Trace, ConfigError> {
    let trace: Trace = serde_json::from_str(options).expect(options);
    trace.read("t".into(), text.as_bytes(), &estimate_tokens)
}

fn sample(name: &str, options: &str) -> Trace {
    let path = format!("{}/scripts/data/{name}", env!("CARGO_MANIFEST_DIR"));
    read(options, &std::fs::read_to_string(path).expect(name)).expect(name)
}

fn requests(trace: Trace, arrivals: &str) -> Vec<Request> {
    let arrivals: Arrivals = serde_json::from_str(arrivals).expect(arrivals);
    let generator = Generator::Trace(trace);
    let config = WorkloadConfig::new(
        generator,
        arrivals,
        TextOptions::default(),
        RequestOptions::default(),
    )
    .expect("a workload");
    config.generate(&Lexicon::default())
}

const MOONCAKE: &str = r#"
{"timestamp": 2000, "input_length": 1030, "output_length": 5, "hash_ids": [7, 8, 9]}
{"timestamp": 3500, "input_length": 700, "output_length": 6, "hash_ids": [7, 8]}
{"timestamp": 9000, "input_length": 10, "output_length": 0, "hash_ids": [1]}
{"timestamp": 9500, "input_length": 10}
"#;

#[test]
fn equal_hash_ids_are_equal_text_and_times_count_from_the_first() {
    let made = requests(read("{}", MOONCAKE).expect("a trace"), "{}");
    assert_eq!(
        made.iter()
            .map(|request| request.timestamp)
            .collect::<Vec<_>>(),
        [Some(0.0), Some(1.5)]
    );
    assert_eq!(
        made.iter()
            .map(|request| request.query_len)
            .collect::<Vec<_>>(),
        [1030, 700]
    );
    assert_eq!(made[1].output_len, Some(6));
    let words = |request: &Request| -> Vec<String> {
        request
            .text(&Lexicon::default())
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let (first, second) = (words(&made[0]), words(&made[1]));
    assert_eq!((first.len(), second.len()), (1030, 700));
    assert_eq!(first[..700], second[..700]);
}

#[test]
fn what_is_left_out_is_counted_and_said() {
    assert_eq!(
        read("{}", MOONCAKE)
            .expect("a trace")
            .noted()
            .expect("notes"),
        "t: 1 rows that cannot be read: left out; 1 rows without output (failed calls): left out"
    );
}

#[test]
fn a_slice_is_sped_up_and_cut() {
    let options =
        r#"{"start_s": 1, "duration_s": 5, "speed": 2, "max_input_len": 600, "max_output_len": 3}"#;
    let trace = read(options, MOONCAKE).expect("a trace");
    assert!(
        trace
            .noted()
            .expect("notes")
            .contains("1 rows longer than `max_input_len` or `max_output_len`: cut")
    );
    let made = requests(trace, "{}");
    assert_eq!((made.len(), made[0].timestamp), (1, Some(0.25)));
    assert_eq!((made[0].query_len, made[0].output_len), (600, Some(3)));
}

#[test]
fn recorded_texts_are_cut_where_the_user_spoke_last() {
    let text = r#"
{"timestamp": 0, "text_input": "one two three four, größer als fünf", "output_length": 5}
{"timestamp": 1, "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one two three four"}], "output_length": 5}
{"timestamp": 2, "messages": [{"role": "system", "content": "be brief and kind always"}, {"role": "user", "content": "one"}], "output_length": 5}
{"timestamp": 3, "text_input": "one two", "output_length": 5}
"#;
    let trace = read(r#"{"max_input_len": 5}"#, text).expect("a trace");
    assert_eq!(
        trace.noted().expect("notes"),
        "t: 2 rows longer than `max_input_len` or `max_output_len`: cut; \
         1 rows whose other messages alone are longer than `max_input_len`: left out"
    );
    let made = requests(trace, "{}");
    let texts: Vec<String> = made
        .iter()
        .map(|request| request.text(&Lexicon::default()))
        .collect();
    assert_eq!(
        texts,
        ["one two three four,", "be brief\none two three", "one two"]
    );
    for (request, text) in made.iter().zip(&texts) {
        assert_eq!(request.query_len, estimate_tokens(text));
    }
    let error = read(
        r#"{"max_input_len": 1}"#,
        text.lines().nth(2).expect("a line"),
    )
    .expect_err("no rest");
    assert_eq!(
        error.to_string(),
        "`max_input_len` leaves no request of t: the texts cannot be cut so short"
    );
}

#[test]
fn texts_are_counted_by_whom_they_are_told() {
    let trace: Trace = serde_json::from_str(r#"{"max_input_len": 8}"#).expect("options");
    let text = r#"{"timestamp": 0, "text_input": "größer als", "output_length": 5}"#;
    let letters = |text: &str| text.chars().count() as u64;
    let made = requests(
        trace
            .read("t".into(), text.as_bytes(), &letters)
            .expect("a trace"),
        "{}",
    );
    assert_eq!(
        (
            made[0].query_len,
            made[0].text(&Lexicon::default()).as_str()
        ),
        (8, "größer a")
    );
    let engine = TextOptions {
        tokenizer: Some("engine".into()),
        ..TextOptions::default()
    };
    let generator = Generator::Trace(read("{}", text).expect("a trace"));
    let config = WorkloadConfig::new(
        generator,
        Arrivals::default(),
        engine,
        RequestOptions::default(),
    );
    assert_eq!(
        config.expect_err("too late").to_string(),
        "`tokenizer` cannot be \"engine\" for a trace with texts: they are counted before any engine runs"
    );
}

#[test]
fn times_hold_for_all_or_are_left_out() {
    let line = |more: &str| format!("{{{more} \"input_length\": 5, \"output_length\": 1}}\n");
    let timed = line(r#""timestamp": 4000, "session_id": "a","#);
    let turn = line(r#""session_id": "a","#);
    let untimed = [line(r#""session_id": "b","#), line("")].concat();
    let some = read("{}", &format!("{timed}{turn}{untimed}")).expect("a trace");
    assert_eq!(
        some.noted().expect("notes"),
        "t: 2 rows without a time, which others have: left out"
    );
    let made = requests(some, "{}");
    assert_eq!(
        made.iter()
            .map(|request| request.timestamp)
            .collect::<Vec<_>>(),
        [Some(0.0); 2]
    );
    let none = read("{}", &untimed).expect("a trace");
    assert_eq!(none.noted(), None);
    let made = requests(none, "{}");
    assert_eq!(
        made.iter()
            .map(|request| request.timestamp)
            .collect::<Vec<_>>(),
        [Some(0.0), Some(1.0)]
    );
}

#[test]
fn one_bad_row_costs_no_other() {
    let said = r#"[{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]"#;
    let good = format!(r#"{{"conversations": {said}}}"#);
    let trace = read(
        "{}",
        &format!(r#"[{good}, {{"conversations": [{{"from": 3}}]}}, 7, {good}]"#),
    )
    .expect("a trace");
    assert_eq!(
        trace.noted().expect("notes"),
        "t: 2 rows that cannot be read: left out"
    );
    assert_eq!(requests(trace, "{}").len(), 2);
    let broken = read(
        "{}",
        &format!("[{good},\n{good},\n{{\"conversations\": oops"),
    )
    .expect("a trace");
    let noted = broken.noted().expect("notes");
    assert!(
        noted.starts_with(
            "t: the rest of the file, from line 3 on: left out (column 19: expected value)"
        ),
        "{noted}"
    );
    assert_eq!(requests(broken, "{}").len(), 2);
    let line = br#"{"timestamp": 1, "input_length": 5, "output_length": 1}"#;
    let bytes = [&line[..], b"\n\xff\n", &line[..]].concat();
    let trace: Trace = serde_json::from_str("{}").expect("options");
    let trace = trace
        .read("t".into(), bytes.as_slice(), &estimate_tokens)
        .expect("a trace");
    assert_eq!(
        trace.noted().expect("notes"),
        "t: 1 rows that cannot be read: left out"
    );
    assert_eq!(requests(trace, "{}").len(), 2);
}

#[test]
fn a_turn_that_is_no_longer_than_another_is_another_prompt() {
    let head = "Timestamp,Session ID,Request tokens,Response tokens\n";
    let trace = read(
        "{}",
        &format!("{head}1,a,20,1\n2,a,30,1\n3,a,30,1\n4,a,10,1\n5,a,40,1\n"),
    )
    .expect("a trace");
    let made = requests(trace, "{}");
    let words = |i: usize| -> Vec<String> {
        made[i]
            .text(&Lexicon::default())
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let all: Vec<Vec<String>> = (0..5).map(words).collect();
    assert_eq!(
        all.iter().map(Vec::len).collect::<Vec<_>>(),
        [20, 30, 30, 10, 40]
    );
    assert_eq!(all[1][..20], all[0][..]);
    assert_eq!(all[2][..29], all[1][..29]);
    assert_eq!(all[3][..9], all[1][..9]);
    assert_eq!(all[4][..30], all[1][..]);
    assert!(
        all[2][29] != all[1][29] && all[3][9] != all[1][9],
        "no prompt is a prefix of one before it"
    );
}

#[test]
fn dialects_of_time() {
    let line = |time: &str| {
        format!(
            "{{\"timestamp\": {time}, \"input_length\": 5, \"output_length\": 1}}\n{{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}}"
        )
    };
    for (time, options, seconds) in [
        ("1500", "{}", 1.5),
        ("12.5", r#"{"time_unit": "s"}"#, 12.5),
        ("\"2500000000\"", "{}", 2.5),
        ("40", r#"{"time_unit": "us"}"#, 4e-5),
    ] {
        let made = requests(read(options, &line(time)).expect(time), "{}");
        assert_eq!(made[1].timestamp, Some(seconds), "{time}");
    }
}

#[test]
fn sessions_are_conversations() {
    let made = requests(sample("mooncake_sessions.jsonl", "{}"), "{}");
    assert_eq!(made.len(), 9);
    let second = made
        .iter()
        .find(|request| request.session == made[0].session && request.turn == 1)
        .expect("a turn");
    assert_eq!(second.timestamp, None);
    assert_eq!(
        second.after,
        Some(After {
            request: 0,
            wait_s: 0.4,
            continues: true
        })
    );
    assert_eq!(second.text(&Lexicon::default()), "Give an example.");
}

#[test]
fn burstgpt_sessions_grow_and_failed_calls_are_left_out() {
    let trace = sample("burstgpt.csv", "{}");
    assert_eq!(
        trace.noted().expect("notes"),
        "t: 2 rows without output (failed calls): left out"
    );
    let made = requests(trace, "{}");
    assert_eq!((made.len(), made[0].timestamp), (18, Some(0.0)));
    let session: Vec<&Request> = made.iter().filter(|request| request.session == 0).collect();
    let texts: Vec<String> = session
        .iter()
        .map(|request| request.text(&Lexicon::default()))
        .collect();
    assert!(texts[1].starts_with(&texts[0]) && texts[1].len() > texts[0].len());
    assert!(session[1].after.is_some_and(|after| !after.continues));
}

#[test]
fn azure_times_with_and_without_fractions_and_offsets() {
    let made = requests(sample("azure.csv", "{}"), "{}");
    assert_eq!((made.len(), made[0].timestamp), (20, Some(0.0)));
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,10,2\n2023-11-16 18:17:05+00:00,20,3\n";
    let made = requests(read("{}", text).expect("a trace"), "{}");
    assert!(
        (made[1].timestamp.expect("a time") - 1.02004).abs() < 1e-6,
        "{:?}",
        made[1].timestamp
    );
}

#[test]
fn sharegpt_takes_its_arrivals_from_the_options() {
    let trace = sample("sharegpt.json", r#"{"turns": 2}"#);
    assert_eq!(
        trace.noted().expect("notes"),
        "t: 1 rows without a question and its answer: left out"
    );
    let made = requests(trace, r#"{"qps": 2}"#);
    let first: Vec<f64> = made
        .iter()
        .filter_map(|request| request.timestamp)
        .collect();
    assert_eq!(first, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
    assert!(made.iter().any(|request| request.continued().is_some()));
    assert!(
        made.iter()
            .any(|request| &*request.messages[0].role == "system")
    );
}

#[test]
fn a_rate_replaces_the_times_of_a_trace() {
    let made = requests(sample("azure.csv", r#"{"requests": 3}"#), r#"{"gap_s": 4}"#);
    assert_eq!(
        made.iter()
            .map(|request| request.timestamp)
            .collect::<Vec<_>>(),
        [Some(0.0), Some(4.0), Some(8.0)]
    );
}

#[test]
fn what_is_no_trace_is_said() {
    let error = |options: &str, text: &str| read(options, text).expect_err("no trace").to_string();
    assert_eq!(error("{}", ""), "`file` t is empty");
    assert_eq!(
        error("{}", "a,b\n1,2\n"),
        "`file` t begins with `a,b`: expected JSON lines (mooncake), a JSON array (sharegpt), or a CSV with \
         `ContextTokens` (azure) or `Request tokens` (burstgpt)"
    );
    assert!(
        error("{}", "{\"a\": 1}\n")
            .contains("no request that can be replayed: line 1: it has no `input_length`")
    );
    assert_eq!(
        error(r#"{"start_s": 100}"#, MOONCAKE),
        "`start_s` and `duration_s` leave no request of t"
    );
    assert_eq!(
        error(
            "{}",
            r#"{"timestamp": 1, "input_length": 5, "output_length": 0}"#
        ),
        "`file` t has no request that can be replayed: 1 rows without output (failed calls): left out"
    );
    for option in ["requests", "turns", "block_len", "max_input_len"] {
        let message = format!("`{option}` must be greater than zero");
        assert_eq!(error(&format!("{{\"{option}\": 0}}"), MOONCAKE), message);
    }
    assert!(
        error("{}", "[oops").contains("replayed: the rest of the file, from line 1 on: left out")
    );
    let other = error(r#"{"format": "azure"}"#, MOONCAKE);
    assert!(
        other.ends_with("replayed: line 1: there is no column `TIMESTAMP`"),
        "{other}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever a file holds, reading it ends, and what was read can be generated.
    #[test]
    fn no_file_breaks_a_reader(
        format in prop::sample::select(vec!["mooncake", "burstgpt", "azure", "sharegpt"]),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let name = match format { "burstgpt" => "burstgpt.csv", "azure" => "azure.csv", "sharegpt" => "sharegpt.json", _ => "mooncake.jsonl" };
        let mut bytes = std::fs::read(format!("{}/scripts/data/{name}", env!("CARGO_MANIFEST_DIR"))).expect(name);
        for (at, byte) in noise {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let trace: Trace = serde_json::from_str(&format!(r#"{{"format": "{format}", "max_input_len": 5000}}"#)).expect("options");
        if let Ok(trace) = trace.read("t".into(), bytes.as_slice(), &estimate_tokens) {
            let made = requests(trace, r#"{"gap_s": 1}"#);
            prop_assert!(!made.is_empty());
            prop_assert!(made.iter().all(|request| (1..=5000).contains(&request.query_len) && request.output_len > Some(0)));
        }
    }
}
