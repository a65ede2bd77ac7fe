use super::super::{Arrivals, Generator, Lexicon, RequestOptions, TextOptions, WorkloadConfig};
use super::*;
use proptest::prelude::*;

fn read(options: &str, text: &str) -> Result<Trace, ConfigError> {
    let trace: Trace = serde_json::from_str(options).expect(options);
    trace.read("t".into(), text.as_bytes())
}

fn sample(name: &str, options: &str) -> Trace {
    let path = format!("{}/scripts/data/{name}", env!("CARGO_MANIFEST_DIR"));
    read(options, &std::fs::read_to_string(path).expect(name)).expect(name)
}

fn requests(trace: Trace, arrivals: &str) -> Vec<Request> {
    let arrivals: Arrivals = serde_json::from_str(arrivals).expect(arrivals);
    let generator = Generator::Trace(trace);
    let config = WorkloadConfig::new(generator, arrivals, TextOptions::default(), RequestOptions::default())
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
    assert_eq!(made.iter().map(|request| request.timestamp).collect::<Vec<_>>(), [Some(0.0), Some(1.5)]);
    assert_eq!(made.iter().map(|request| request.query_len).collect::<Vec<_>>(), [1030, 700]);
    assert_eq!(made[1].output_len, Some(6));
    let words = |request: &Request| -> Vec<String> {
        request.text(&Lexicon::default()).split_whitespace().map(str::to_owned).collect()
    };
    let (first, second) = (words(&made[0]), words(&made[1]));
    assert_eq!((first.len(), second.len()), (1030, 700));
    assert_eq!(first[..700], second[..700]);
}

#[test]
fn what_is_left_out_is_counted_and_said() {
    assert_eq!(
        read("{}", MOONCAKE).expect("a trace").noted().expect("notes"),
        "t: 1 rows that cannot be read: left out; 1 rows without output (failed calls): left out"
    );
}

#[test]
fn a_slice_is_sped_up_and_cut() {
    let options = r#"{"start_s": 1, "duration_s": 5, "speed": 2, "max_input_len": 600, "max_output_len": 3}"#;
    let trace = read(options, MOONCAKE).expect("a trace");
    assert!(
        trace.noted().expect("notes").contains("1 rows longer than `max_input_len` or `max_output_len`: cut")
    );
    let made = requests(trace, "{}");
    assert_eq!((made.len(), made[0].timestamp), (1, Some(0.25)));
    assert_eq!((made[0].query_len, made[0].output_len), (600, Some(3)));
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
    let second =
        made.iter().find(|request| request.session == made[0].session && request.turn == 1).expect("a turn");
    assert_eq!(second.timestamp, None);
    assert_eq!(second.after, Some(After { request: 0, wait_s: 0.4, continues: true }));
    assert_eq!(second.text(&Lexicon::default()), "Give an example.");
}

#[test]
fn burstgpt_sessions_grow_and_failed_calls_are_left_out() {
    let trace = sample("burstgpt.csv", "{}");
    assert_eq!(trace.noted().expect("notes"), "t: 2 rows without output (failed calls): left out");
    let made = requests(trace, "{}");
    assert_eq!((made.len(), made[0].timestamp), (18, Some(0.0)));
    let session: Vec<&Request> = made.iter().filter(|request| request.session == 0).collect();
    let texts: Vec<String> = session.iter().map(|request| request.text(&Lexicon::default())).collect();
    assert!(texts[1].starts_with(&texts[0]) && texts[1].len() > texts[0].len());
    assert!(session[1].after.is_some_and(|after| !after.continues));
}

#[test]
fn azure_times_with_and_without_fractions_and_offsets() {
    let made = requests(sample("azure.csv", "{}"), "{}");
    assert_eq!((made.len(), made[0].timestamp), (20, Some(0.0)));
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,10,2\n2023-11-16 18:17:05+00:00,20,3\n";
    let made = requests(read("{}", text).expect("a trace"), "{}");
    assert!((made[1].timestamp.expect("a time") - 1.02004).abs() < 1e-6, "{:?}", made[1].timestamp);
}

#[test]
fn sharegpt_takes_its_arrivals_from_the_options() {
    let trace = sample("sharegpt.json", r#"{"turns": 2}"#);
    assert_eq!(trace.noted().expect("notes"), "t: 1 rows without a question and its answer: left out");
    let made = requests(trace, r#"{"qps": 2}"#);
    let first: Vec<f64> = made.iter().filter_map(|request| request.timestamp).collect();
    assert_eq!(first, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
    assert!(made.iter().any(|request| request.continued().is_some()));
    assert!(made.iter().any(|request| &*request.messages[0].role == "system"));
}

#[test]
fn a_rate_replaces_the_times_of_a_trace() {
    let made = requests(sample("azure.csv", r#"{"requests": 3}"#), r#"{"gap_s": 4}"#);
    assert_eq!(
        made.iter().map(|request| request.timestamp).collect::<Vec<_>>(),
        [Some(0.0), Some(4.0), Some(8.0)]
    );
}

#[test]
fn what_is_no_trace_is_said() {
    let error = |options, text| read(options, text).expect_err("no trace").to_string();
    assert_eq!(
        error("{}", ""),
        "`file` t is no trace of a known format: mooncake, burstgpt, azure or sharegpt"
    );
    assert!(
        error("{}", "{\"a\": 1}\n")
            .contains("no request that can be replayed: line 1: it has no `input_length`")
    );
    assert_eq!(error(r#"{"start_s": 100}"#, MOONCAKE), "`start_s` and `duration_s` leave no request of t");
    let other = error(r#"{"format": "azure"}"#, MOONCAKE);
    assert!(other.contains("no request that can be replayed: row 1: "), "{other}");
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
        if let Ok(trace) = trace.read("t".into(), bytes.as_slice()) {
            let made = requests(trace, r#"{"gap_s": 1}"#);
            prop_assert!(!made.is_empty());
            prop_assert!(made.iter().all(|request| request.query_len > 0 && request.output_len > Some(0)));
        }
    }
}
