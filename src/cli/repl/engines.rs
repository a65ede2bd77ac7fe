//! The running engines and their logs.

use super::prompt::show;
use crate::core::{Engine, Helper};
use crate::driver::logs::LogFile;
use crate::driver::text::printable;
use crate::report::values;
use crate::script::Host;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The number of lines that `:log` shows.
const TAIL_LINES: usize = 20;

/// The maximum number of bytes to read at a time from a followed log.
const CHUNK_BYTES: u64 = 64 << 10;

/// The interval between reads of a followed log.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

/// Returns a table of the running engines and helpers.
pub(super) fn table(host: &Host) -> String {
    let fleet = &host.runner().fleet;
    let mut rows = Vec::new();
    for engine in fleet.live() {
        let [state, memory, gpu, log] = engine_cells(host, &engine);
        let address = engine
            .server
            .base_url()
            .trim_start_matches("http://")
            .to_owned();
        rows.push([engine.spec.name.clone(), address, state, memory, gpu, log]);
    }
    rows.extend(fleet.helpers().iter().map(|helper| helper_cells(helper)));
    if rows.is_empty() {
        return "no engine is running".into();
    }
    values::table(
        &["engine", "address", "state", "memory", "GPU memory", "log"],
        rows,
    )
}

/// Returns one line about an engine.
pub(super) fn status(host: &Host, engine: &Engine) -> String {
    let [state, memory, gpu, log] = engine_cells(host, engine);
    let gpu = if gpu == "-" {
        String::new()
    } else {
        format!(", GPU memory {gpu}")
    };
    format!(
        "{} on {}: {state}, memory {memory}{gpu}, log {log}",
        engine.spec.name,
        engine.server.base_url()
    )
}

/// Returns state, memory, GPU memory and the first log.
fn engine_cells(host: &Host, engine: &Engine) -> [String; 4] {
    let log = first_log(&engine.service.log_files());
    if engine.service.is_stopped() {
        return ["closed".into(), mib(None), mib(None), log];
    }
    let state = match host.wait(engine.health()) {
        Ok(()) => "healthy".into(),
        Err(problem) => problem,
    };
    let memory = mib(engine.service.resident_mib());
    [state, memory, mib(engine.gpu_memory_mib()), log]
}

fn helper_cells(helper: &Helper) -> [String; 6] {
    let state = if helper.service.is_running() {
        "helper, running"
    } else {
        "helper, exited"
    };
    [
        helper.spec.name.clone(),
        format!("{}:{}", helper.spec.host, helper.spec.port),
        state.into(),
        mib(helper.service.resident_mib()),
        mib(None),
        first_log(&helper.service.log_files()),
    ]
}

fn mib(amount: Option<u64>) -> String {
    amount.map_or_else(|| "-".into(), |mib| format!("{mib} MiB"))
}

fn first_log(logs: &[LogFile]) -> String {
    logs.first()
        .map_or_else(|| "-".into(), |log| log.path().display().to_string())
}

/// Returns the logs of the engine or helper `name`, or `None` if it is not running.
pub(super) fn logs(host: &Host, name: &str) -> Option<Vec<LogFile>> {
    let fleet = &host.runner().fleet;
    if let Some(engine) = fleet.live().iter().find(|engine| engine.spec.name == name) {
        return Some(engine.service.log_files());
    }
    let helpers = fleet.helpers();
    let helper = helpers.iter().find(|helper| helper.spec.name == name)?;
    Some(helper.service.log_files())
}

/// Returns the last lines of each log.
pub(super) fn tail(logs: &[LogFile]) -> String {
    let mut tails = Vec::new();
    for log in logs {
        let lines = log.tail(TAIL_LINES);
        if !lines.is_empty() {
            tails.push(format!("{}:\n{lines}", log.path().display()));
        }
    }
    if tails.is_empty() {
        "the log is empty".into()
    } else {
        tails.join("\n")
    }
}

/// Prints new lines of logs until it is cancelled.
pub(super) async fn follow(logs: &[LogFile], cancel: CancellationToken) {
    let mut positions = Vec::new();
    for log in logs {
        positions.push(std::fs::metadata(log.path()).map_or(0, |metadata| metadata.len()));
    }
    while !cancel.is_cancelled() {
        for (log, position) in logs.iter().zip(&mut positions) {
            if let Some((text, end)) = read_lines(log.path(), *position)
                && !text.is_empty()
            {
                show(text.trim_end());
                *position = end;
            }
        }
        let interval = tokio::time::sleep(FOLLOW_INTERVAL);
        cancel.run_until_cancelled(interval).await;
    }
}

/// Reads complete lines from a position of a log, without control characters. Returns them with the
/// position after them.
fn read_lines(log: &Path, from: u64) -> Option<(String, u64)> {
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(CHUNK_BYTES).read_to_end(&mut bytes).ok()?;
    let last_end = bytes.iter().rposition(|byte| *byte == b'\n');
    let length = last_end.map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&bytes[..length]);
    let lines: Vec<String> = text.lines().map(printable).collect();
    Some((lines.join("\n"), from + length as u64))
}
