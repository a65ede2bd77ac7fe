//! Laws that hold for every generator.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn read<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).expect(json)
}

fn workload(generator: Generator, arrivals: &str, seed: u64) -> WorkloadConfig {
    let text = TextOptions {
        seed: Some(seed),
        tokenizer: None,
    };
    WorkloadConfig::new(generator, read(arrivals), text, RequestOptions::default())
        .expect("a workload")
}

/// One of each, small.
fn generators() -> Vec<Generator> {
    vec![
        Generator::Dummy(read(r#"{"context_len": 300}"#)),
        Generator::Vary(Dummy {
            growth: Growth::Steps,
            ..read(r#"{"context_len": 300}"#)
        }),
        Generator::MultiTurn(read(r#"{"turns": 4}"#)),
        Generator::PrefixReuse(read(r#"{"context_len": 300, "reuse": "zipf"}"#)),
        Generator::Rag(read(r#"{"document_len": 100}"#)),
        Generator::Rag(read(r#"{"document_len": 100, "reuse": "zipf"}"#)),
        Generator::Chat(read(
            r#"{"users": 3, "turns": 3, "system_len": 100, "context_len": 100}"#,
        )),
        Generator::Agent(read(
            r#"{"steps": 4, "branches": 3, "branch_at": 2, "system_len": 100}"#,
        )),
        Generator::LongDocQa(read(r#"{"context_len": 300}"#)),
        Generator::Random(read(
            r#"{"input_len": {"uniform": [10, 300]}, "output_len": {"normal": [20, 5]}}"#,
        )),
        Generator::Custom(read_custom()),
    ]
}

fn read_custom() -> Custom {
    Custom {
        given: read(
            r#"[{"prompt": "a b"}, {"messages": [{"role": "user", "content": "c"}], "after": 0}]"#,
        ),
    }
}

fn texts(requests: &[Request]) -> Vec<String> {
    requests
        .iter()
        .map(|request| request.text(&Lexicon::default()))
        .collect()
}

#[test]
fn the_same_seed_makes_the_same_workload_and_another_another() {
    for generator in generators() {
        let made = |seed| workload(generator.clone(), "{}", seed).generate(&Lexicon::default());
        assert_eq!(made(1), made(1), "{}", generator.name());
        assert_eq!(texts(&made(1)), texts(&made(1)));
        let seedless = ["dummy", "vary", "multi_turn", "custom"].contains(&generator.name());
        assert_eq!(
            texts(&made(1)) == texts(&made(2)),
            seedless,
            "{}",
            generator.name()
        );
    }
}

#[test]
fn lengths_are_those_of_the_texts() {
    for generator in generators() {
        for request in workload(generator.clone(), "{}", 1).generate(&Lexicon::default()) {
            let (asked, seen) = (
                request.context_len + request.query_len,
                estimate_tokens(&request.text(&Lexicon::default())),
            );
            // Separators and fixed words are not counted; sentences are whole.
            let sentences = |tokens: u64| tokens / 6 * 6;
            let whole = sentences(request.context_len) + sentences(request.query_len);
            let expected = match generator.name() {
                "dummy" | "vary" => whole + 11,
                "multi_turn" => whole + 18,
                "agent" if request.turn > 0 => asked + 3,
                "rag" => asked + 10,
                _ => asked,
            };
            assert_eq!(seen, expected, "{}: {asked} asked", generator.name());
        }
    }
}

#[test]
fn requests_are_counted_without_being_made() {
    for generator in generators() {
        let config = workload(generator.clone(), "{}", 1);
        let requests = config.generate(&Lexicon::default());
        assert_eq!(requests.len(), config.count(), "{}", generator.name());
        for (i, request) in requests.iter().enumerate() {
            assert!(request.after.is_none_or(|after| after.request < i));
            assert!(
                request.timestamp.is_some() || request.after.is_some(),
                "{} {i}",
                generator.name()
            );
        }
        assert!(requests.is_sorted_by_key(|request| request.round));
    }
}

#[test]
fn what_is_to_be_reused_is() {
    let made =
        |generator| workload(generator, r#"{"requests": 60}"#, 1).generate(&Lexicon::default());
    let first = |request: &Request| match &request.messages[0].parts[0] {
        Part::Words { seed, .. } => *seed,
        other => panic!("{other:?}"),
    };
    let reused = made(Generator::PrefixReuse(read(
        r#"{"prefixes": 5, "reuse": "zipf", "zipf_exponent": 1.5}"#,
    )));
    let used = |k: u64| reused.iter().filter(|request| request.session == k).count();
    assert_eq!(reused.iter().map(first).collect::<BTreeSet<_>>().len(), 5);
    assert!(
        used(0) > used(1) && used(1) > used(4),
        "{:?}",
        [0, 1, 2, 3, 4].map(used)
    );
    let rag = made(Generator::Rag(read(
        r#"{"documents": 5, "retrieved": 3, "document_len": 10}"#,
    )));
    assert_eq!(
        texts(&rag)
            .iter()
            .map(|text| text.split(" # # ").nth(1).map(str::to_owned))
            .collect::<BTreeSet<_>>()
            .len(),
        5
    );
}

#[test]
fn retrieval_ends_however_steep_and_prefers_the_first() {
    let made = |options: &str| {
        let rag = Generator::Rag(read(options));
        workload(rag, r#"{"requests": 200}"#, 1).generate(&Lexicon::default())
    };
    let retrieved = |request: &Request| -> Vec<u64> {
        let seed = |document| seed::seed_of(1, "document", document);
        let parts = request.messages[0]
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Words { seed, .. } => Some(*seed),
                _ => None,
            });
        parts
            .filter_map(|part| (0..10).find(|document| seed(*document) == part))
            .collect()
    };
    let all = made(
        r#"{"documents": 10, "retrieved": 10, "reuse": "zipf", "zipf_exponent": 20, "document_len": 1}"#,
    );
    let mut documents = retrieved(&all[0]);
    documents.sort_unstable();
    assert_eq!(documents, (0..10).collect::<Vec<u64>>());
    let some = made(r#"{"documents": 10, "retrieved": 3, "reuse": "zipf", "document_len": 1}"#);
    let mut used = [0; 10];
    for request in &some {
        let documents = retrieved(request);
        assert_eq!(documents.iter().collect::<BTreeSet<_>>().len(), 3);
        for document in &documents {
            used[*document as usize] += 1;
        }
    }
    assert!(used[0] > used[2] && used[2] > used[9], "{used:?}");
    let first = some
        .iter()
        .filter(|request| retrieved(request)[0] == 0)
        .count();
    assert!(
        (20..100).contains(&first),
        "the frequent ones do not all come first: {first} of 200"
    );
}

#[test]
fn texts_of_a_script_are_shared_and_counted_by_the_rule() {
    let custom = read_custom();
    let prompt = custom.given[0].prompt.clone().expect("a prompt");
    let made = workload(Generator::Custom(custom.clone()), "{}", 0).generate(&Lexicon::default());
    match &made[0].messages[0].parts[0] {
        Part::Shared(text) => assert!(std::sync::Arc::ptr_eq(text, &prompt)),
        other => panic!("{other:?}"),
    }
    let text = TextOptions {
        tokenizer: Some("engine".into()),
        ..TextOptions::default()
    };
    let config = WorkloadConfig::new(
        Generator::Custom(custom),
        Arrivals::default(),
        text,
        RequestOptions::default(),
    );
    assert_eq!(
        config.expect_err("no effect").to_string(),
        "`tokenizer` has no effect here: texts of a script are counted by the rule"
    );
}

#[test]
fn long_doc_qa_asks_each_document_once_before_all_questions() {
    for (order, documents) in [
        ("tile", [0, 1, 0, 1, 0, 1]),
        ("interleave", [0, 1, 0, 0, 1, 1]),
    ] {
        let config = format!(r#"{{"documents": 2, "repeats": 2, "order": "{order}"}}"#);
        let made =
            workload(Generator::LongDocQa(read(&config)), "{}", 1).generate(&Lexicon::default());
        assert_eq!(
            made.iter()
                .map(|request| request.session)
                .collect::<Vec<_>>(),
            documents
        );
        assert_eq!(
            made.iter().map(|request| request.round).collect::<Vec<_>>(),
            [0, 0, 1, 1, 1, 1]
        );
        assert_eq!(made[2].timestamp, Some(0.0), "a round counts its own time");
    }
}

#[test]
fn branches_share_their_history() {
    let agent = read(r#"{"agents": 1, "steps": 3, "branches": 2, "branch_at": 2}"#);
    let made = workload(Generator::Agent(agent), "{}", 1).generate(&Lexicon::default());
    assert_eq!(
        made.iter().map(Request::continued).collect::<Vec<_>>(),
        [None, Some(0), Some(1), Some(1)]
    );
    assert_ne!(texts(&made)[2], texts(&made)[3]);
}

#[test]
fn growing_contexts_are_the_originals() {
    let dummy = Dummy {
        growth: Growth::Steps,
        ..read(r#"{"context_len": 12288}"#)
    };
    let made =
        workload(Generator::Vary(dummy), r#"{"requests": 6}"#, 0).generate(&Lexicon::default());
    let lengths: Vec<u64> = made.iter().map(|request| request.context_len).collect();
    assert_eq!(lengths, [12_288, 24_576, 24_576, 32_752, 32_752, 32_752]);
    let texts = texts(&made);
    let shared = texts[0].split(" Index").next().expect("the context");
    assert!(
        texts[1].starts_with(shared),
        "the longer context begins with the shorter"
    );
}

#[test]
fn the_dummy_text_is_the_originals() {
    let dummy = Generator::Dummy(read(r#"{"context_len": 12, "query_len": 7}"#));
    let made = workload(dummy, r#"{"requests": 2}"#, 0).generate(&Lexicon::default());
    assert_eq!(
        texts(&made)[1],
        "This is some dummy text. This is some dummy text.  Index 1. This is some dummy text.  \
         Question: How are you doing today?"
    );
}

#[test]
fn a_closed_loop_plans_no_moments() {
    let dummy = Generator::Dummy(read("{}"));
    let made =
        workload(dummy, r#"{"requests": 3, "concurrency": 2}"#, 0).generate(&Lexicon::default());
    assert!(made.iter().all(|request| request.timestamp.is_none()));
}

#[test]
fn what_cannot_be_generated_is_named() {
    let new = |generator, arrivals| {
        let config = WorkloadConfig::new(
            generator,
            read(arrivals),
            TextOptions::default(),
            RequestOptions::default(),
        );
        config.expect_err("no workload").to_string()
    };
    for (generator, arrivals, message) in [
        (
            Generator::Dummy(read("{}")),
            r#"{"requests": 0}"#,
            "`requests` must be at least one",
        ),
        (
            Generator::Dummy(read(r#"{"query_len": 40000}"#)),
            "{}",
            "`query_len` must be below the longest prompt, 32768 tokens",
        ),
        (
            Generator::Chat(read("{}")),
            r#"{"requests": 5}"#,
            "`requests` is given here by `users` and `turns`",
        ),
        (
            Generator::Rag(read(r#"{"retrieved": 21}"#)),
            "{}",
            "`retrieved` must be at least one and at most `documents`",
        ),
        (
            Generator::Custom(Custom {
                given: read("[{}]"),
            }),
            "{}",
            "`prompt` or `messages`: request 0 needs one of them",
        ),
        (
            Generator::Custom(Custom::default()),
            "{}",
            "`requests` must be at least one: the list is empty",
        ),
        (
            Generator::Chat(read(r#"{"users": 0}"#)),
            "{}",
            "`users` must be at least one",
        ),
        (
            Generator::Agent(read(r#"{"agents": 0}"#)),
            "{}",
            "`agents` must be at least one",
        ),
        (
            Generator::MultiTurn(read(r#"{"turns": 0}"#)),
            "{}",
            "`turns` must be at least one",
        ),
        (
            Generator::LongDocQa(read(r#"{"repeats": 18446744073709551615}"#)),
            "{}",
            "`repeats` must be at most 10000000",
        ),
        (
            Generator::PrefixReuse(read(r#"{"prefixes": 100000000000}"#)),
            "{}",
            "`prefixes` must be at most 10000000",
        ),
        (
            Generator::Chat(read(r#"{"users": 10000000, "turns": 10000000}"#)),
            "{}",
            "`requests` would be 100000000000000: at most 2000000 can be planned",
        ),
        (
            Generator::Rag(read(r#"{"document_len": 18446744073709551615}"#)),
            "{}",
            "`document_len` must be at most 10000000 tokens",
        ),
        (
            Generator::LongDocQa(read("{}")),
            r#"{"stages": [{"duration_s": 15, "qps": 1}]}"#,
            "`stages` bring 15, and 16 come by `documents` and `repeats`: let them last longer",
        ),
    ] {
        assert_eq!(new(generator, arrivals), message);
    }
}

proptest! {
    #[test]
    fn a_dummy_workload_is_as_many_as_asked_sorted_and_of_the_length_asked(
        requests in 1u64..50, gap_s in 0f64..10.0, context_len in 0u64..40_000,
    ) {
        let dummy = Dummy { context_len, ..Dummy::default() };
        let arrivals = format!(r#"{{"requests": {requests}, "gap_s": {gap_s}}}"#);
        let made = workload(Generator::Dummy(dummy), &arrivals, 0).generate(&Lexicon::default());
        prop_assert_eq!(made.len() as u64, requests);
        prop_assert!(made.is_sorted_by(|a, b| a.timestamp <= b.timestamp));
        let text = made[0].text(&Lexicon::default());
        let context = text.split(" Index").next().unwrap_or_default();
        let off = made[0].context_len - estimate_tokens(context);
        prop_assert!(off < estimate_tokens(text::FILLER), "off by {}", off);
    }
}
