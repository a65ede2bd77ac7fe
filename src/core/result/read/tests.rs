use super::*;

const HEADER: &str = "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory";

fn of(rows: &str) -> Result<Results, String> {
    parse(format!("{HEADER}\n{rows}").as_bytes(), "a.csv").map_err(|e| e.to_string())
}

#[test]
fn rows_of_the_python_tests_are_read() {
    let results = of(
        "0,8.0,1,3,0.25,31.5,2.0,8192,16,\"{\"\"gpu-0\"\": 40321}\"\n-,0,0,0.0,-1,-1,-1,8192,16,\n",
    );
    let results = results.expect("results");
    let [first, second] = &results.rows[..] else {
        panic!("{results:?}")
    };
    assert_eq!(
        (first.line, first.expr_id, first.engine_id, first.ttft),
        (2, Some(0), 1, Some(0.25))
    );
    assert_eq!(first.gpus().expect("memory").get("gpu-0"), Some(&40321.0));
    assert_eq!(
        (&*first.engine, first.is_ok(), first.tpot_s),
        ("engine 1", true, None)
    );
    assert_eq!(
        (second.expr_id, second.ttft, second.is_ok(), second.gpus()),
        (None, None, false, None)
    );
}

/// Writes a row and reads it.
fn written_and_read(row: &Row) -> Row {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row).expect("a row");
    let bytes = writer.into_inner().expect("bytes");
    let mut results = parse(&bytes[..], "a.csv").expect("results");
    results.rows.remove(0)
}

#[test]
fn empty_cells_are_read_as_defaults() {
    let row = Row {
        engine: "lm,\"cache\"".into(),
        error: Some("two\nlines".into()),
        ..Row::default()
    };
    assert_eq!(written_and_read(&row), Row { line: 2, ..row });
}

/// A row without an empty cell, and without a value that a missing column would have.
fn full_row() -> Row {
    Row {
        expr_id: Some(1),
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
        context_len_from: "rule".into(),
        status: Status::Failed,
        error: Some("HTTP 503".into()),
        http_status: Some(503),
        x_request_id: "lmrun-1".into(),
        prompt_tokens: Some(8200),
        cached_tokens: Some(8000),
        output_tokens: Some(6),
        output_tokens_from: Some("usage".into()),
        chunks: 7,
        chunk_tokens_from: Some("count".into()),
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
        planned_s: Some(1.375),
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
        case_id: None,
        line: 0,
    }
}

#[test]
fn every_column_is_written_and_read() {
    let row = full_row();
    let written = serde_json::json!(row);
    let default = serde_json::json!(Row::default());
    for column in COLUMNS {
        let name = column.name;
        assert_ne!(
            written[name], default[name],
            "`full_row` has no value in `{name}`"
        );
    }
    assert_eq!(written_and_read(&row), Row { line: 2, ..row });
}

#[test]
fn errors_name_line_column_and_cell() {
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
