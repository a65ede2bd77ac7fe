//! The client's own time per request. Run with `cargo bench --bench client`.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use lmrun::core::workload::{
    Arrivals, DependencyTracker, Generator, Lexicon, Random, RequestOptions, TextOptions,
    WorkloadConfig,
};
use lmrun::core::{Distribution, Row};
use lmrun::driver::clock::Stamp;
use lmrun::driver::http::{Arrival, Exchange, Reader, TextPolicy};
use lmrun::report::Rows;
use serde_json::Map;
use std::sync::Arc;

fn main() {
    divan::main();
}

const CHUNKS: usize = 1_000;

/// Returns an answer of `CHUNKS` tokens as vLLM writes it, in reads of this many events.
fn reads(events_per_read: usize) -> Vec<Vec<u8>> {
    let head = concat!(
        r#"data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","#,
        r#""object":"chat.completion.chunk","created":1764000000,"#,
        r#""model":"meta-llama/Llama-3.1-8B-Instruct","#,
        r#""choices":[{"index":0,"delta":{"content":""#,
    );
    let tail = r#"},"logprobs":null,"finish_reason":null,"token_ids":null}]}"#;
    let events: Vec<String> = (0..CHUNKS)
        .map(|number| format!("{head} word{number}\"{tail}\n\n"))
        .collect();
    events
        .chunks(events_per_read)
        .map(|part| part.concat().into_bytes())
        .collect()
}

/// Reads an answer into its stamped chunks; an item is a chunk.
#[divan::bench(args = [1, 16])]
fn read_answer(bencher: Bencher, events_per_read: usize) {
    let reads = reads(events_per_read);
    bencher
        .counter(ItemsCount::new(CHUNKS))
        .bench(|| read(&reads, TextPolicy::Discard));
}

/// Reads an answer and keeps its text, as for a conversation; an item is a chunk.
#[divan::bench]
fn read_answer_and_keep_its_text(bencher: Bencher) {
    let reads = reads(1);
    bencher
        .counter(ItemsCount::new(CHUNKS))
        .bench(|| read(&reads, TextPolicy::Keep));
}

fn read(reads: &[Vec<u8>], text_policy: TextPolicy) -> Exchange {
    let mut reader = Reader::new(text_policy);
    let mut exchange = Exchange::default();
    let arrival = Arrival {
        kernel: Some(Stamp(1)),
        read: Stamp(2),
    };
    for bytes in reads {
        assert!(reader.feed(bytes, arrival, &mut exchange).is_ok());
    }
    assert_eq!(exchange.chunks.len(), CHUNKS);
    exchange
}

/// Returns a workload of ten thousand requests, as `lmrun load` plans them.
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

/// Generates the requests of a workload and the times of the first; an item is a request.
#[divan::bench]
fn plan(bencher: Bencher) {
    let config = config();
    bencher.counter(ItemsCount::new(config.count())).bench(|| {
        let requests = Arc::new(config.generate(&config.lexicon));
        DependencyTracker::start(requests, None).1.len()
    });
}

/// Builds the body of a request, as shortly before it is sent.
#[divan::bench]
fn body(bencher: Bencher) {
    let config = config();
    let lexicon: &Lexicon = &config.lexicon;
    let requests = config.generate(lexicon);
    let request = &requests[0];
    let options = RequestOptions::default();
    bencher.bench(|| {
        let said: Vec<_> = request
            .messages
            .iter()
            .map(|message| (message.role.clone(), message.text(lexicon)))
            .collect();
        options.body("m", black_box(request), &said, &Map::new())
    });
}

/// Writes a row to its file.
#[divan::bench]
fn write_row(bencher: Bencher) {
    let path = std::env::temp_dir().join(format!("lmrun-bench-{}.csv", std::process::id()));
    let mut rows = Rows::create(path.clone()).expect("a file");
    let row = Row {
        ttft: Some(0.5),
        latency: Some(2.5),
        throughput: Some(40.0),
        ..Row::default()
    };
    bencher.bench_local(|| rows.write(black_box(&row)));
    std::fs::remove_file(path).expect("the file");
}

/// Sorts a million samples, and reads three percentiles of them.
#[divan::bench]
fn distribution_of_a_million(bencher: Bencher) {
    let samples: Vec<f64> = (0..1_000_000_u64)
        .map(|i| (i.wrapping_mul(2_654_435_761) % 1_000_003) as f64)
        .collect();
    bencher.bench(|| {
        let distribution: Distribution = samples.iter().copied().collect();
        [50.0, 90.0, 99.0].map(|p| distribution.percentile(p))
    });
}
