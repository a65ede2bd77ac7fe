//! `lmrun selfcheck` as people run it, with a small load.

use crate::common::*;
use serde_json::{Value, json};

#[test]
fn selfcheck_compares_client_and_simulator_timestamps() {
    let cache = tempfile::tempdir().expect("a folder");
    let run = lmrun()
        .args(["selfcheck", "--json", "--up-to", "10"])
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .expect("lmrun");
    let text = String::from_utf8_lossy(&run.stdout);
    let check: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let found = check["found"].as_array().expect("what was found");
    assert!(!found.is_empty());
    for step in found {
        assert_eq!(step["failed"], 0, "{step}");
        // The stamps of both sides are of one clock and one request, else this would be seconds.
        let error_s = step["ttft_error_s"]["p50"].as_f64().expect("an error");
        assert!(error_s > -0.001 && error_s < 0.02, "{step}");
        let way_s = step["on_its_way_s"]["p50"].as_f64().expect("a way");
        assert!(way_s > 0.0 && way_s < 0.05, "{step}");
        assert!(
            step["itl_error_s"]["max"].is_number() && step["server_late_s"]["max"].is_number(),
            "{step}"
        );
    }
    // Under whatever else this machine does, a load may not be held; then nothing is kept.
    let kept = cache.path().join("lmrun/selfcheck.json").exists();
    assert_eq!(kept, check["conclusion"].is_object());
    assert_eq!(run.status.code(), Some(if kept { 0 } else { 5 }));
}

#[test]
fn run_warns_above_the_calibrated_rate() {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let cores = std::thread::available_parallelism().expect("cores").get();
    let known =
        json!({ "host": host.trim(), "cores": cores, "at_unix_s": 0, "rate": 2.0, "streams": 100 });
    let sandbox = Sandbox::new().file("cache/lmrun/selfcheck.json", &known.to_string()).file(
        "t.rhai",
        r#"
        import "std/load" as load;
        import "std/sim" as sim;
        fn test_many() { run(load::dummy(#{ requests: 5, gap_s: 0.01, context_len: 60, max_tokens: 2 }), [sim::engine()]); }
        "#,
    );
    let run = sandbox.run(&["t.rhai"]);
    run.assert_code(0);
    run.assert_stderr(
        "warning: 5 requests were sent within a second, but `lmrun selfcheck` sustained only 2 per \
         second on this machine",
    );
}
