//! What the client spends on a request beside the waiting. `cargo bench --bench client`.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use lmrun::core::workload::{
    Arrivals, Flow, Generator, Lexicon, Random, RequestOptions, TextOptions, WorkloadConfig,
};
use lmrun::core::{Distribution, Row};
use lmrun::driver::clock::Stamp;
use lmrun::driver::http::{Arrival, Exchange, Reader};
use lmrun::report::Rows;
use serde_json::Map;
use std::sync::Arc;

fn main() {
    divan::main();
}

const CHUNKS: usize = 1_000;

/// An answer of `CHUNKS` tokens as vLLM writes it, cut into reads of `events` events.
fn reads(events: usize) -> Vec<Vec<u8>> {
    let head = r#"data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1764000000,"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{"index":0,"delta":{"content":""#;
    let tail = r#"},"logprobs":null,"finish_reason":null,"token_ids":null}]}"#;
    let event = |i: usize| format!("{head} word{i}\"{tail}\n\n");
    let all: Vec<String> = (0..CHUNKS).map(event).collect();
    all.chunks(events)
        .map(|part| part.concat().into_bytes())
        .collect()
}

/// From the bytes of a read to its stamped chunks; an item is a chunk.
#[divan::bench(args = [1, 16])]
fn read_answer(bencher: Bencher, events_a_read: usize) {
    let reads = reads(events_a_read);
    bencher
        .counter(ItemsCount::new(CHUNKS))
        .bench(|| read(&reads, false));
}

/// The same where the text is kept, for a conversation.
#[divan::bench]
fn read_answer_and_keep_its_text(bencher: Bencher) {
    let reads = reads(1);
    bencher
        .counter(ItemsCount::new(CHUNKS))
        .bench(|| read(&reads, true));
}

fn read(reads: &[Vec<u8>], keep_text: bool) -> Exchange {
    let (mut reader, mut seen) = (Reader::new(keep_text), Exchange::default());
    let arrival = Arrival {
        kernel: Some(Stamp(1)),
        read: Stamp(2),
    };
    for bytes in reads {
        assert!(reader.feed(bytes, arrival, &mut seen).is_ok());
    }
    assert_eq!(seen.chunks.len(), CHUNKS);
    seen
}

/// Ten thousand requests with their moments, as `lmrun load` plans them.
fn config() -> WorkloadConfig {
    let arrivals = Arrivals {
        requests: Some(10_000),
        qps: Some(400.0),
        ..Arrivals::default()
    };
    let generator = Generator::Random(Random::default());
    WorkloadConfig::new(
        generator,
        arrivals,
        TextOptions::default(),
        RequestOptions::default(),
    )
    .expect("a workload")
}

/// From a config to its requests and the moments of the first; an item is a request.
#[divan::bench]
fn plan(bencher: Bencher) {
    let config = config();
    bencher.counter(ItemsCount::new(config.count())).bench(|| {
        let requests = Arc::new(config.generate(&config.lexicon));
        Flow::start(requests, None).1.len()
    });
}

/// The body of a request, built just before it is sent.
#[divan::bench]
fn body(bencher: Bencher) {
    let config = config();
    let lexicon: &Lexicon = &config.lexicon;
    let requests = config.generate(lexicon);
    let (request, options) = (&requests[0], RequestOptions::default());
    bencher.bench(|| {
        let said: Vec<_> = request
            .messages
            .iter()
            .map(|message| (message.role.clone(), message.text(lexicon)))
            .collect();
        options.body("m", black_box(request), &said, &Map::new())
    });
}

/// A row into its file, through to the system.
#[divan::bench]
fn write_row(bencher: Bencher) {
    let path = std::env::temp_dir().join(format!("lmrun-bench-{}.csv", std::process::id()));
    let mut rows = Rows::create(path.clone()).expect("a file");
    let row = Row {
        ttft: Some(0.5),
        latency: Some(2.5),
        throughput: Some(40.0),
        status: "ok",
        ..Row::default()
    };
    bencher.bench_local(|| rows.write(black_box(&row)));
    std::fs::remove_file(path).expect("it was there");
}

/// A million samples, sorted once, and three percentiles of them.
#[divan::bench]
fn distribution_of_a_million(bencher: Bencher) {
    let samples: Vec<f64> = (0..1_000_000_u64)
        .map(|i| (i.wrapping_mul(2_654_435_761) % 1_000_003) as f64)
        .collect();
    bencher.bench(|| {
        let seen: Distribution = samples.iter().copied().collect();
        [50.0, 90.0, 99.0].map(|p| seen.percentile(p))
    });
}
