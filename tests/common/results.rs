//! A folder of results that no run has written, and its report.

use super::{Finished, finish, lmrun};
use std::fmt::Write;
use std::path::Path;
use tempfile::TempDir;

const NAME: &str = "<script>document.title='taken'</script>";

/// A CSV with two experiments on two engines, one of which has a name that wants to be a script.
pub(crate) fn results(requests: usize) -> TempDir {
    let mut csv = "expr_id,timestamp,engine_id,request_id,TTFT,throughput,latency,context_len,query_len,gpu_memory,\
                   engine,simulated,status,error,tpot_s,itl_mean_s,send_lag_s,prompt_tokens,cached_tokens,later\n"
        .to_owned();
    for i in 0..requests {
        let (experiment, engine, request) = (i % 4 / 2, i % 2, i / 4);
        let name = [NAME, "plain"][engine];
        let ttft = 0.1 + (i % 13) as f64 / 50.0;
        let _ = writeln!(
            csv,
            "{experiment},{request},{engine},{request},{ttft},40,3,{},16,\"{{\"\"gpu-0\"\":40321}}\",{name},true,ok,,0.02,\
             0.02,0.0002,8208,4096,x",
            8192 * (experiment + 1)
        );
    }
    csv += "1,99,1,99999,,,,16384,16,,plain,true,failed,it <b>broke</b>,,,,,,x\n";
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("test_a.csv"), csv).expect("the CSV");
    std::fs::write(folder.path().join("notes.csv"), "a,b\n1,2\n").expect("another CSV");
    folder
}

pub(crate) fn report(path: &Path) -> Finished {
    finish(lmrun().arg("report").arg(path))
}

pub(crate) fn page(folder: &TempDir) -> String {
    let run = report(folder.path());
    run.assert_code(0);
    std::fs::read_to_string(folder.path().join("report.html")).expect("the page")
}

/// The same results beside a manifest.
pub(crate) fn page_with(manifest: &str) -> (TempDir, String) {
    let folder = results(40);
    std::fs::write(folder.path().join("test_a.manifest.json"), manifest).expect("the manifest");
    let page = page(&folder);
    (folder, page)
}

pub(crate) const FAILED: &str = r#"{
    "outcome": { "passed": false, "code": 1, "summary": "1 check failed" }, "took_s": 12.34,
    "checks": [
        { "passed": true, "what": "TTFT: <i>good</i>", "expr_id": 0 },
        { "passed": false, "what": "cached: 0.2 (required at least 0.5)", "expr_id": 1 }
    ],
    "warnings": ["a & b"], "experiments": [{}, {}]
}"#;
