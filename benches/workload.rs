//! Time and memory of a large workload: 100,000 requests of about 8,000 tokens are planned, and
//! their bodies are built one after the other, as a run does. Run with `cargo bench --bench
//! workload`.

use lmrun::core::workload::{
    Arrivals, Generator, Lexicon, RequestOptions, Said, TextOptions, WorkloadConfig,
};
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

const REQUESTS: u64 = 100_000;
/// The variable that names the only generator to measure.
const ONLY: &str = "LMRUN_BENCH_ONLY";

/// Measures each generator in another process, so that their memory does not add up.
fn main() {
    let generators = [
        Generator::Dummy(options(r#"{"context_len": 8000}"#)),
        Generator::PrefixReuse(options(r#"{"prefixes": 1000, "context_len": 8000}"#)),
        Generator::Rag(options(
            r#"{"documents": 1000, "retrieved": 4, "document_len": 2000}"#,
        )),
        Generator::Random(options(r#"{"input_len": {"lognormal": [8000, 4000]}}"#)),
    ];
    if let Ok(name) = std::env::var(ONLY) {
        return generators
            .into_iter()
            .filter(|generator| generator.name() == name)
            .for_each(measure);
    }
    println!("{REQUESTS} requests      plan s   MiB held   bodies s   GiB of text   peak MiB");
    for generator in generators {
        let program = std::env::current_exe().expect("this program");
        let status = Command::new(program).env(ONLY, generator.name()).status();
        assert!(status.expect("it starts").success());
    }
}

fn options<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).expect("options of the generator")
}

fn measure(generator: Generator) {
    let name = generator.name();
    let arrivals = Arrivals {
        requests: Some(REQUESTS),
        qps: Some(100.0),
        ..Arrivals::default()
    };
    let request = RequestOptions::default();
    let config = WorkloadConfig::new(generator, arrivals, TextOptions::default(), request.clone())
        .expect("a workload");
    let lexicon = Lexicon::default();
    let memory_before = memory_mib("VmRSS:");
    let started = Instant::now();
    let requests = config.generate(&lexicon);
    let plan_s = started.elapsed().as_secs_f64();
    let held_mib = memory_mib("VmRSS:") - memory_before;
    let started = Instant::now();
    let mut bytes = 0;
    for each in &requests {
        let said: Vec<Said> = each
            .messages
            .iter()
            .map(|message| (message.role.clone(), message.text(&lexicon)))
            .collect();
        bytes += black_box(request.body("m", each, &said, &serde_json::Map::new())).len();
    }
    let bodies_s = started.elapsed().as_secs_f64();
    let gib = bytes as f64 / f64::from(1 << 30);
    let peak_mib = memory_mib("VmHWM:");
    println!("{name:<20} {plan_s:8.2} {held_mib:10.0} {bodies_s:10.1} {gib:13.2} {peak_mib:10.0}");
}

/// Returns the memory in a line of `/proc/self/status`, MiB.
fn memory_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("a line of this name");
    let kib = line.split_whitespace().next().expect("a number");
    kib.parse::<f64>().expect("a number") / 1024.0
}
