use super::sample::Weighted;
use super::*;
use crate::core::Row;
use crate::core::result::{Results, Status, parse};

/// A request sent at `sent_s`: role after 0.1 s, first token after 0.2 s, last after `last_s`, stream end
/// 0.05 s later.
fn row(request_id: usize, sent_s: f64, last_s: f64, output_tokens: u64) -> Row {
    Row {
        expr_id: Some(0),
        request_id,
        engine: "vllm-a".into(),
        model: "m".into(),
        sent_s: Some(sent_s),
        headers_s: Some(sent_s + 0.05),
        first_chunk_s: Some(sent_s + 0.1),
        first_token_s: Some(sent_s + 0.2),
        first_answer_s: Some(sent_s + 0.3),
        last_token_s: Some(sent_s + last_s),
        done_s: Some(sent_s + last_s + 0.05),
        prompt_tokens: Some(100),
        output_tokens: Some(output_tokens),
        output_tokens_from: Some("usage".into()),
        chunks: output_tokens as usize,
        icl_mean_s: Some((last_s - 0.2) / output_tokens.saturating_sub(1).max(1) as f64),
        ..Row::default()
    }
}

fn results(rows: &[Row]) -> Results {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("a row");
    }
    parse(&writer.into_inner().expect("bytes")[..], "a.csv").expect("results")
}

/// Two answers of 11 and 5 tokens, and a failure that ended at 4 s.
fn run() -> Run {
    let failed = Row {
        status: Status::Failed,
        error: Some("HTTP 503".into()),
        last_token_s: None,
        done_s: None,
        ended_s: Some(4.0),
        ..row(2, 2.0, 0.0, 0)
    };
    let rows = [row(1, 1.0, 1.0, 5), row(0, 0.0, 1.2, 11), failed];
    Run::of("a.csv", &results(&rows), None, None).expect("one engine, one experiment")
}

#[track_caller]
fn near(value: &Value, pointer: &str, expected: f64) {
    let found = value
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("{pointer} in {value}"));
    assert!(
        (found - expected).abs() < 1e-9,
        "{pointer}: {found}, not {expected}"
    );
}

#[test]
fn vllms_numbers_start_at_the_first_event() {
    let export = export(&run(), Tool::Vllm);
    near(&export, "/median_ttft_ms", 100.0);
    near(&export, "/mean_e2el_ms", 1100.0); // 1200 and 1000
    near(&export, "/std_e2el_ms", 100.0);
    near(&export, "/p99_e2el_ms", 1198.0); // 1000 + 0.99 × 200
    near(&export, "/mean_tpot_ms", f64::midpoint(110.0, 225.0)); // 1100 / 10, 900 / 4
    near(&export, "/duration", 4.0); // until the failed one has ended
    near(&export, "/output_throughput", 4.0); // 16 tokens in 4 s
    near(&export, "/total_token_throughput", 54.0);
    near(&export, "/request_throughput", 0.5);
    assert_eq!(
        (&export["completed"], &export["failed"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(export["output_lens"], json!([11, 5]));
    assert_eq!(export.get("itls"), None);
    // 10 gaps of 100 ms and 4 of 200 ms; their other statistics would take the gaps themselves
    near(&export, "/mean_itl_ms", 1800.0 / 14.0);
    assert_eq!(export.get("median_itl_ms"), None);
    let remark = &export["lmrun"]["remarks"]["itl, itls, median_itl_ms, std_itl_ms, p99_itl_ms"];
    assert_eq!(remark, "left out: a row has no list of gaps");
}

/// The fields of vLLM's result that describe the load, for a workload in the manifest.
fn asked(workload: &Value) -> [Option<Value>; 6] {
    let manifest = json!({
        "started_unix_s": 1_795_558_478,
        "experiments": [{ "expr_id": 0, "workload": workload, "engines": [{ "name": "vllm-a" }] }],
    });
    let export = export(&run().with_manifest(&manifest), Tool::Vllm);
    [
        "date",
        "backend",
        "tokenizer_id",
        "request_rate",
        "burstiness",
        "max_concurrency",
    ]
    .map(|name| export.get(name).cloned())
}

#[test]
fn vllms_load_is_that_of_the_manifest() {
    let date = || Some(json!("20261124-221438"));
    let chat = || Some(json!("openai-chat"));
    let null = || Some(Value::Null);
    let closed =
        json!({ "concurrency": 8, "tokenizer": "m/t", "request": { "endpoint": "completions" } });
    assert_eq!(
        asked(&closed),
        [
            date(),
            Some("openai".into()),
            Some("m/t".into()),
            Some("inf".into()),
            None,
            Some(json!(8))
        ]
    );
    let even = json!({ "gap_s": 0.5, "arrivals": "constant", "seed": 0 });
    assert_eq!(
        asked(&even),
        [date(), chat(), null(), Some(json!(2.0)), None, null()]
    );
    let poisson = json!({ "qps": 3.0, "arrivals": "poisson" });
    assert_eq!(
        asked(&poisson),
        [
            date(),
            chat(),
            null(),
            Some(json!(3.0)),
            Some(json!(1.0)),
            null()
        ]
    );
    let gamma = json!({ "qps": 3.0, "arrivals": "gamma", "burstiness": 0.25 });
    assert_eq!(
        asked(&gamma),
        [
            date(),
            chat(),
            null(),
            Some(json!(3.0)),
            Some(json!(0.25)),
            null()
        ]
    );
    assert_eq!(
        asked(&json!({ "gap_s": 0.0 })),
        [date(), chat(), null(), Some("inf".into()), None, null()]
    );
    let ramp = json!({ "qps": 1.0, "to_qps": 3.0, "arrivals": "constant" });
    assert_eq!(asked(&ramp), [date(), chat(), null(), None, None, null()]);
}

#[test]
fn load_without_a_manifest_is_left_out_with_a_remark() {
    let other = json!({ "experiments": [{ "expr_id": 7, "workload": {}, "engines": [] }] });
    for run in [
        run(),
        run().with_manifest(&other),
        run().with_manifest(&json!({})),
    ] {
        let export = export(&run, Tool::Vllm);
        assert_eq!(
            (export.get("request_rate"), export.get("max_concurrency")),
            (None, None)
        );
        let remarks = export["lmrun"]["remarks"].to_string();
        assert!(
            remarks.contains("left out: no manifest beside the CSV has the experiment"),
            "{remarks}"
        );
    }
}

#[test]
fn a_rate_of_sessions_is_not_a_rate_of_requests() {
    let turns = [
        row(0, 0.0, 1.0, 3),
        Row {
            turn: 1,
            ..row(1, 2.0, 1.0, 3)
        },
    ];
    let manifest =
        json!({ "experiments": [{ "expr_id": 0, "workload": { "qps": 2.0 }, "engines": [] }] });
    let run = Run::of("a.csv", &results(&turns), None, None)
        .expect("a run")
        .with_manifest(&manifest);
    let export = export(&run, Tool::Vllm);
    assert_eq!(export.get("request_rate"), None);
    let remark = &export["lmrun"]["remarks"]["request_rate"];
    assert_eq!(remark, "left out: one rate does not describe the requests");
}

#[test]
fn guidellms_numbers_are_weighted_by_tokens() {
    let export = export(&run(), Tool::Guidellm);
    let of = |name: &str, statistic: &str| {
        format!("/benchmarks/0/metrics/{name}/successful/{statistic}")
    };
    near(&export, &of("time_to_first_token_ms", "mean"), 200.0);
    near(&export, &of("time_to_first_output_token_ms", "mean"), 300.0);
    near(&export, &of("request_latency", "max"), 1.25); // to the end of the stream
    // (1000 + 800) ms over 10 + 4 gaps
    near(
        &export,
        &of("inter_token_latency_ms", "mean"),
        1800.0 / 14.0,
    );
    near(&export, &of("inter_token_latency_ms", "median"), 100.0); // 10 of 14 weigh more than half
    near(
        &export,
        &of("inter_token_latency_ms", "percentiles/p90"),
        200.0,
    );
    near(&export, &of("inter_token_latency_ms", "count"), 14.0);
    near(&export, &of("inter_token_latency_ms", "total_sum"), 1800.0);
    near(&export, &of("inter_token_latency_ms", "mode"), 100.0);
    // with the time to the first token: (1200 + 1000) ms over 11 + 5 tokens
    near(
        &export,
        &of("time_per_output_token_ms", "mean"),
        2200.0 / 16.0,
    );
    near(
        &export,
        &of("time_per_output_token_ms", "total_sum"),
        2200.0,
    );
    let totals = json!({ "successful": 2, "errored": 1, "incomplete": 0, "total": 3 });
    assert_eq!(export["benchmarks"][0]["metrics"]["request_totals"], totals);
}

#[test]
fn guidellms_rates_and_concurrency_weigh_as_long_as_they_last() {
    let export = export(&run(), Tool::Guidellm);
    let of = |name: &str, statistic: &str| {
        format!("/benchmarks/0/metrics/{name}/successful/{statistic}")
    };
    // In flight from 0 to 1.25 s and from 1 to 2.05 s; the run ends at 4 s with the failed request.
    near(
        &export,
        &of("request_concurrency", "mean"),
        (1.25 + 1.05) / 4.0,
    );
    near(&export, &of("request_concurrency", "max"), 2.0);
    near(&export, &of("request_concurrency", "count"), 2.0);
    // One end at 1.25 s, which lasts from 0.625 to 1.65 s, and one at 2.05 s, from there to 3.025 s.
    near(&export, &of("requests_per_second", "mean"), 2.0 / 4.0);
    near(
        &export,
        &of("requests_per_second", "max"),
        1.0 / (1.65 - 0.625),
    );
    near(&export, &of("output_tokens_per_second", "mean"), 16.0 / 4.0);
    near(&export, &of("output_tokens_per_iteration", "mean"), 1.0);
    near(&export, &of("prompt_tokens_per_second", "count"), 200.0);
}

#[test]
fn guidellms_report_has_its_frame_and_the_requests() {
    let manifest = json!({
        "run_id": "lmrun-1", "experiments": [{
            "expr_id": 0, "workload": { "concurrency": 2 }, "engines": [{ "name": "vllm-a", "url": "http://h:1" }],
        }],
    });
    let export = export(&run().with_manifest(&manifest), Tool::Guidellm);
    let benchmark = &export["benchmarks"][0];
    assert_eq!(
        benchmark["config"]["strategy"],
        json!({ "type_": "concurrent", "streams": 2 })
    );
    assert_eq!(benchmark["config"]["backend"]["target"], "http://h:1");
    assert_eq!(
        export["config"]["spec"]["profile"],
        json!({ "kind": "concurrent", "streams": [2] })
    );
    assert_eq!(
        export["config"]["spec"]["data"],
        json!([{ "kind": "csv_file", "path": "a.csv" }])
    );
    let (successful, errored) = (
        &benchmark["requests"]["successful"],
        &benchmark["requests"]["errored"],
    );
    assert_eq!(
        successful[1]["info"]["timings"]["first_token_iteration"],
        1.2
    );
    assert_eq!(errored[0]["info"]["error"], "HTTP 503");
    assert_eq!(errored.as_array().map(Vec::len), Some(1));
}

#[test]
fn aiperfs_numbers_are_means_of_requests() {
    let export = export(&run(), Tool::Aiperf);
    near(&export, "/time_to_first_token/avg", 200.0);
    near(&export, "/request_latency/p50", 1100.0);
    near(&export, "/request_latency/std", 100.0); // over n
    near(
        &export,
        "/inter_token_latency/avg",
        f64::midpoint(100.0, 200.0),
    );
    near(&export, "/benchmark_duration/avg", 2.0); // to the last output of an answer
    near(&export, "/output_token_throughput/avg", 8.0);
    near(&export, "/error_request_count/avg", 1.0);
    assert_eq!(export["request_latency"]["count"], 2);
}

#[test]
fn what_the_engine_has_not_counted_is_left_out_and_said() {
    let uncounted = Row {
        prompt_tokens: None,
        output_tokens_from: Some("chunks".into()),
        ..row(0, 0.0, 1.0, 3)
    };
    let run = Run::of("a.csv", &results(&[uncounted]), Some("vllm-a"), Some(0)).expect("a run");
    let export = export(&run, Tool::Vllm);
    assert_eq!(
        (
            export.get("total_input_tokens"),
            export.get("total_token_throughput")
        ),
        (None, None)
    );
    let remarks = export["lmrun"]["remarks"].as_object().expect("remarks");
    assert!(
        remarks.contains_key("output tokens") && remarks.contains_key("input tokens"),
        "{remarks:?}"
    );
}

#[test]
fn one_engine_and_one_experiment_are_chosen() {
    let other = Row {
        engine: "b".into(),
        expr_id: Some(1),
        ..row(0, 0.0, 1.0, 3)
    };
    let results = results(&[
        row(0, 0.0, 1.0, 3),
        other,
        Row {
            expr_id: Some(2),
            engine: "b".into(),
            ..row(0, 0.0, 1.0, 3)
        },
    ]);
    let of = |engine, experiment| {
        Run::of("a.csv", &results, engine, experiment).map(|run| run.all().len())
    };
    assert_eq!(
        of(None, None),
        Err("a.csv holds the engines `b`, `vllm-a`: choose one with `--engine`".into())
    );
    assert_eq!(
        of(Some("c"), None),
        Err("a.csv has no engine `c`; `--engine` takes `b`, `vllm-a`".into())
    );
    assert_eq!(
        of(Some("b"), None),
        Err("a.csv holds the experiments `1`, `2`: choose one with `--experiment`".into())
    );
    assert_eq!(of(Some("b"), Some(2)), Ok(1));
    assert_eq!(of(Some("vllm-a"), None), Ok(1));
}

#[test]
fn results_without_moments_are_refused() {
    let header = "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory";
    let results = parse(
        format!("{header}\n0,0,0,0,1,1,2,8,1,\n").as_bytes(),
        "a.csv",
    )
    .expect("results");
    let refused = Run::of("a.csv", &results, None, None).expect_err("no moments");
    assert_eq!(
        refused,
        "a.csv has no moments, such as `sent_s`: only CSVs of lmrun can be exported"
    );
}

#[test]
fn a_quantile_is_the_first_value_that_reaches_it() {
    let sample = Weighted::new([(3.0, 1.0), (1.0, 1.0), (2.0, 2.0), (9.0, 0.0)]);
    assert_eq!(
        (
            sample.quantile(0.25),
            sample.quantile(0.5),
            sample.quantile(0.76)
        ),
        (Some(1.0), Some(2.0), Some(3.0))
    );
    assert_eq!((sample.mean(), sample.variance()), (2.0, 0.5));
}
