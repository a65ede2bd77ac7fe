use super::sample::Weighted;
use super::*;
use crate::bench::Row;
use crate::bench::results::{Results, parse};

/// A request sent at `sent_s`: role after 0.1 s, first token after 0.2 s, last after `last_s`, stream end
/// 0.05 s later.
fn row(request_id: usize, sent_s: f64, last_s: f64, output_tokens: u64) -> Row {
    Row {
        request_id,
        engine: "vllm-a".into(),
        model: "m".into(),
        status: "ok",
        sent_s: Some(sent_s),
        headers_s: Some(sent_s + 0.05),
        first_chunk_s: Some(sent_s + 0.1),
        first_token_s: Some(sent_s + 0.2),
        first_answer_s: Some(sent_s + 0.3),
        last_token_s: Some(sent_s + last_s),
        done_s: Some(sent_s + last_s + 0.05),
        prompt_tokens: Some(100),
        output_tokens: Some(output_tokens),
        output_tokens_from: Some("usage"),
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
        status: "failed",
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
    let found =
        value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} in {value}"));
    assert!((found - expected).abs() < 1e-9, "{pointer}: {found}, not {expected}");
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
    assert_eq!((&export["completed"], &export["failed"]), (&json!(2), &json!(1)));
    assert_eq!(export["output_lens"], json!([11, 5]));
    assert_eq!(export.get("itls"), None);
    assert_eq!(export["lmrun"]["remarks"]["itl, itls"], "left out: a row has no list of gaps");
}

#[test]
fn guidellms_numbers_are_weighted_by_tokens() {
    let export = export(&run(), Tool::Guidellm);
    let of = |name: &str, statistic: &str| format!("/metrics/{name}/successful/{statistic}");
    near(&export, &of("time_to_first_token_ms", "mean"), 200.0);
    near(&export, &of("time_to_first_output_token_ms", "mean"), 300.0);
    near(&export, &of("request_latency", "max"), 1.25); // to the end of the stream
    // (1000 + 800) ms over 10 + 4 gaps
    near(&export, &of("inter_token_latency_ms", "mean"), 1800.0 / 14.0);
    near(&export, &of("inter_token_latency_ms", "median"), 100.0); // 10 of 14 weigh more than half
    near(&export, &of("inter_token_latency_ms", "percentiles/p90"), 200.0);
    // with the time to the first token: (1200 + 1000) ms over 11 + 5 tokens
    near(&export, &of("time_per_output_token_ms", "mean"), 2200.0 / 16.0);
    assert_eq!(export["metrics"]["request_totals"], json!({ "successful": 2, "errored": 1, "total": 3 }));
}

#[test]
fn aiperfs_numbers_are_means_of_requests() {
    let export = export(&run(), Tool::Aiperf);
    near(&export, "/time_to_first_token/avg", 200.0);
    near(&export, "/request_latency/p50", 1100.0);
    near(&export, "/request_latency/std", 100.0 * 2f64.sqrt()); // over n - 1
    near(&export, "/inter_token_latency/avg", f64::midpoint(100.0, 200.0));
    near(&export, "/benchmark_duration/avg", 2.0); // to the last output of an answer
    near(&export, "/output_token_throughput/avg", 8.0);
    near(&export, "/error_request_count/avg", 1.0);
    assert_eq!(export["request_latency"]["count"], 2);
}

#[test]
fn what_the_engine_has_not_counted_is_left_out_and_said() {
    let uncounted = Row { prompt_tokens: None, output_tokens_from: Some("chunks"), ..row(0, 0.0, 1.0, 3) };
    let run = Run::of("a.csv", &results(&[uncounted]), Some("vllm-a"), Some(0)).expect("a run");
    let export = export(&run, Tool::Vllm);
    assert_eq!((export.get("total_input_tokens"), export.get("total_token_throughput")), (None, None));
    let remarks = export["lmrun"]["remarks"].as_object().expect("remarks");
    assert!(remarks.contains_key("output tokens") && remarks.contains_key("input tokens"), "{remarks:?}");
}

#[test]
fn one_engine_and_one_experiment_are_chosen() {
    let other = Row { engine: "b".into(), expr_id: 1, ..row(0, 0.0, 1.0, 3) };
    let results =
        results(&[row(0, 0.0, 1.0, 3), other, Row { expr_id: 2, engine: "b".into(), ..row(0, 0.0, 1.0, 3) }]);
    let of = |engine, experiment| Run::of("a.csv", &results, engine, experiment).map(|run| run.all().len());
    assert_eq!(
        of(None, None),
        Err("a.csv holds the engines `b`, `vllm-a`: choose one with `--engine`".into())
    );
    assert_eq!(of(Some("c"), None), Err("a.csv has no engine `c`; `--engine` takes `b`, `vllm-a`".into()));
    assert_eq!(
        of(Some("b"), None),
        Err("a.csv holds the experiments `1`, `2`: choose one with `--experiment`".into())
    );
    assert_eq!(of(Some("b"), Some(2)), Ok(1));
    assert_eq!(of(Some("vllm-a"), None), Ok(1));
}

#[test]
fn results_without_moments_are_refused() {
    let header =
        "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory";
    let results = parse(format!("{header}\n0,0,0,0,1,1,2,8,1,\n").as_bytes(), "a.csv").expect("results");
    let refused = Run::of("a.csv", &results, None, None).expect_err("no moments");
    assert_eq!(refused, "a.csv has no moments, such as `sent_s`: only CSVs of lmrun can be exported");
}

#[test]
fn a_quantile_is_the_first_value_that_reaches_it() {
    let sample = Weighted::new([(3.0, 1.0), (1.0, 1.0), (2.0, 2.0), (9.0, 0.0)]);
    assert_eq!(
        (sample.quantile(0.25), sample.quantile(0.5), sample.quantile(0.76)),
        (Some(1.0), Some(2.0), Some(3.0))
    );
    assert_eq!((sample.mean(), sample.variance()), (2.0, 0.5));
}
