use super::*;

const HEADER: &str = "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory";

fn of(rows: &str) -> Result<Results, String> {
    parse(format!("{HEADER}\n{rows}").as_bytes(), "a.csv").map_err(|e| e.to_string())
}

#[test]
fn the_originals_rows_are_read() {
    let results = of(
        "0,8.0,1,3,0.25,31.5,2.0,8192,16,\"{\"\"gpu-0\"\": 40321}\"\n-,0,0,0.0,-1,-1,-1,8192,16,\n",
    );
    let results = results.expect("results");
    let [first, second] = &results.records[..] else {
        panic!("{results:?}")
    };
    assert_eq!(
        (first.line, first.expr_id, first.engine_id, first.ttft),
        (2, Some(0), 1, Some(0.25))
    );
    assert_eq!(first.gpus().expect("memory").get("gpu-0"), Some(&40321.0));
    assert_eq!(
        (&*first.engine_name(), first.is_ok(), first.tpot_s),
        ("engine 1", true, None)
    );
    assert_eq!(
        (second.expr_id, second.ttft, second.is_ok(), second.gpus()),
        (None, None, false, None)
    );
}

#[test]
fn a_row_of_ours_comes_back() {
    let row = crate::core::Row {
        engine: "lm,\"cache\"".into(),
        ttft: Some(0.5),
        status: "failed",
        error: Some("two\nlines".into()),
        cached_tokens: Some(7),
        ..Default::default()
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(&row).expect("a row");
    let results = parse(&writer.into_inner().expect("bytes")[..], "a.csv").expect("results");
    let record = &results.records[0];
    assert_eq!(
        (record.engine.as_deref(), record.ttft),
        (Some("lm,\"cache\""), Some(0.5))
    );
    assert_eq!(
        (record.error.as_deref(), record.cached_tokens),
        (Some("two\nlines"), Some(7))
    );
    assert_eq!((record.is_ok(), record.resent), (false, Some(false)));
    assert_eq!(results.extra_columns, Vec::<String>::new());
}

/// A row without an empty cell, and without a value that a missing column would have.
fn full_row() -> crate::core::Row {
    crate::core::Row {
        expr_id: 1,
        timestamp: 0.25,
        engine_id: 2,
        request_id: 3,
        ttft: Some(0.5),
        throughput: Some(40.5),
        latency: Some(1.5),
        context_len: 8192,
        query_len: 16,
        gpu_memory: r#"{"gpu-0":40321}"#.into(),
        engine: "lmcache".into(),
        engine_kind: "kind".into(),
        simulated: true,
        model: "m".into(),
        session: 4,
        turn: 5,
        context_len_from: "rule",
        status: "failed",
        error: Some("HTTP 503".into()),
        http_status: Some(503),
        x_request_id: "lmrun-1".into(),
        prompt_tokens: Some(8200),
        cached_tokens: Some(8000),
        output_tokens: Some(6),
        output_tokens_from: Some("usage"),
        chunks: 7,
        chunk_tokens_from: Some("count"),
        finish_reason: Some("length".into()),
        tpot_s: Some(0.125),
        itl_mean_s: Some(0.25),
        itl_p50_s: Some(0.375),
        itl_p99_s: Some(0.5),
        itl_max_s: Some(0.625),
        icl_mean_s: Some(0.75),
        icl_max_s: Some(0.875),
        ttft_from_planned_s: Some(1.125),
        latency_from_planned_s: Some(1.25),
        planned_s: 1.375,
        sent_s: Some(1.625),
        headers_s: Some(1.75),
        first_chunk_s: Some(1.875),
        first_token_s: Some(2.125),
        first_answer_s: Some(2.25),
        last_token_s: Some(2.375),
        done_s: Some(2.5),
        send_lag_s: Some(2.625),
        read_lag_s: 2.75,
        connected_late: true,
        resent: true,
        intended_s: Some(2.875),
        ended_s: Some(3.125),
        stall_s: Some(3.25),
        chunks_joined: 3,
        chunks_stalled: 2,
        ttft_late_s: Some(3.375),
        valid: Some(false),
    }
}

#[test]
fn every_column_of_a_row_is_read_back() {
    let row = full_row();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(&row).expect("a row");
    let results = parse(&writer.into_inner().expect("bytes")[..], "a.csv").expect("results");
    let (written, read) = (
        serde_json::json!(row),
        serde_json::json!(results.records[0]),
    );
    let empty = serde_json::json!(crate::core::Row::default());
    for column in crate::core::Row::columns() {
        assert_ne!(
            written[&column], empty[&column],
            "`full_row` has no value in `{column}`"
        );
        assert_eq!(written[&column], read[&column], "`{column}`");
    }
}

#[test]
fn columns_that_nobody_knows_are_kept() {
    let text = format!("note,{HEADER}\nhello,0,0,0,0,1,1,2,8,1,\n");
    let results = parse(text.as_bytes(), "a.csv").expect("results");
    assert_eq!(
        (&results.extra_columns[..], &results.records[0].extra[..]),
        (&["note".into()][..], &["hello".into()][..])
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    assert_eq!(
        of("0,0,0,0,1,1,2,8,1,\n0,0,0,0,fast,1,2,8,1,\n").expect_err("no number"),
        "a.csv, line 3, column `TTFT`: expected a number, found `fast`"
    );
    assert_eq!(
        of("x,0,0,0,1,1,2,8,1,\n").expect_err("no number"),
        "a.csv, line 2, column `expr_id`: expected a whole number from 0, found `x`"
    );
    assert_eq!(
        of("0,0,0\n").expect_err("half a row"),
        "a.csv, line 2: expected 10 cells, found 3; was it cut off?"
    );
    let other = parse("a,b\n1,2\n".as_bytes(), "a.csv")
        .expect_err("another table")
        .to_string();
    assert!(
        other.starts_with(
            "a.csv holds no results: it has no column `expr_id`; give a CSV of a run, with at least expr_id"
        ),
        "{other}"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-0-9a-z,\"\n{}:. ]{0,200}") {
        let _ = of(&text);
    }
}
