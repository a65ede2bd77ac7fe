use super::*;
use serde_json::json;

#[test]
fn a_measure_is_a_small_table() {
    let values: Distribution = [0.1, 0.2, 0.3].into_iter().collect();
    insta::assert_snapshot!(distribution("TTFT of `a`", "s", &values));
    insta::assert_snapshot!(distribution("TTFT of `a`", "s", &Distribution::default()));
}

#[test]
fn maps_are_written_as_rhai_writes_them() {
    assert_eq!(
        literal(&json!({ "a": 1, "b": [1.5, null, "x"], "c d": {} })),
        r#"#{ a: 1, b: [1.5, (), "x"], "c d": #{} }"#
    );
    insta::assert_snapshot!(literal(
        &json!({ "one": "x".repeat(40), "two": ["y".repeat(40), { "z": 1 }] })
    ));
}

#[test]
fn maps_with_the_same_keys_are_rows() {
    let row = |i: usize| json!({ "i": i, "text": "x".repeat(30), "wide": "y".repeat(60) });
    let many: Vec<Value> = (0..12).map(row).collect();
    assert!(
        are_rows(&many) && !are_rows(&[]) && !are_rows(&[json!({ "a": 1 }), json!({ "b": 1 })])
    );
    insta::assert_snapshot!(rows(&many));
}

#[test]
fn a_request_is_its_moments() {
    let row = json!({
        "request_id": 3, "engine": "a", "simulated": true, "status": "ok", "x_request_id": "r-3", "planned_s": 0.5,
        "sent_s": 0.5001, "headers_s": 0.51, "first_token_s": 0.6, "done_s": null, "output_tokens": 4, "error": null,
    });
    assert!(is_request(&row));
    insta::assert_snapshot!(request(&row));
}

#[test]
fn what_is_said_of_names_is_wrapped_beside_them() {
    let about = "x ".repeat(40);
    let text = pairs([
        ("one".to_owned(), about),
        ("three".to_owned(), String::new()),
    ]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].starts_with("  one    x x")
            && lines[1].starts_with("         x x")
            && lines[2] == "  three"
    );
    assert!(lines.iter().all(|line| line.len() <= WIDTH));
}
