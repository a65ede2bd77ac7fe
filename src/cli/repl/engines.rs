//! The engines that run, and what they write.

use super::print;
use crate::bench::Engine;
use crate::driver::text::printable;
use crate::report::values;
use crate::script::Host;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Lines that are shown of a log.
const LINES: usize = 20;
/// Bytes that are looked at for them.
const LOOKED_AT: u64 = 64 << 10;
const EVERY: Duration = Duration::from_millis(100);

/// All that run.
pub fn table(host: &Host) -> String {
    let engines = host.bench().fleet.live();
    if engines.is_empty() {
        return "no engine runs".into();
    }
    let row = |engine: &Arc<Engine>| {
        let [state, memory, log] = facts(host, engine);
        let at = engine.base().trim_start_matches("http://").to_owned();
        [engine.spec.name.clone(), at, state, memory, log]
    };
    values::table(&["engine", "at", "state", "memory", "log"], engines.iter().map(row))
}

/// One in a line.
pub fn status(host: &Host, engine: &Engine) -> String {
    let [state, memory, log] = facts(host, engine);
    format!("{} on {}: {state}, memory {memory}, log {log}", engine.spec.name, engine.base())
}

fn facts(host: &Host, engine: &Engine) -> [String; 3] {
    let state = if engine.is_closed() {
        "closed".into()
    } else {
        host.wait(engine.health()).map_or_else(|problem| problem, |()| "healthy".into())
    };
    let memory = engine.memory_mib().filter(|_| !engine.is_closed());
    let memory = memory.map_or_else(|| "-".into(), |mib| format!("{mib} MiB"));
    let log = engine.logs().first().map_or_else(|| "-".into(), |log| log.display().to_string());
    [state, memory, log]
}

/// The end of both its logs.
pub fn tail(engine: &Engine) -> String {
    let logs = engine.logs();
    let shown = logs.iter().filter_map(|log| {
        let end = std::fs::metadata(log).ok()?.len();
        let text = read(log, end.saturating_sub(LOOKED_AT))?.0;
        let lines: Vec<&str> = text.lines().collect();
        let lines = lines[lines.len().saturating_sub(LINES)..].join("\n");
        (!lines.is_empty()).then(|| format!("{}:\n{lines}", log.display()))
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { "it has written nothing here".into() } else { shown.join("\n") }
}

/// Prints what it writes until it is interrupted or the engine is closed.
pub async fn follow(engine: &Engine, cancel: CancellationToken) {
    let logs = engine.logs();
    let length = |log: &std::path::PathBuf| std::fs::metadata(log).map_or(0, |metadata| metadata.len());
    let mut places: Vec<_> = logs.iter().map(length).collect();
    while !cancel.is_cancelled() && !engine.is_closed() {
        for (log, place) in logs.iter().zip(&mut places) {
            if let Some((text, end)) = read(log, *place).filter(|(text, _)| !text.is_empty()) {
                print(text.trim_end());
                *place = end;
            }
        }
        cancel.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
}

/// What a log has from a place on, up to its last whole line, harmless on a terminal; and where that ends.
fn read(log: &Path, from: u64) -> Option<(String, u64)> {
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut bytes).ok()?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&bytes[..whole]);
    let lines: Vec<String> = text.lines().map(printable).collect();
    Some((lines.join("\n"), from + whole as u64))
}
