//! The engines that run, and what they write.

use super::print;
use crate::core::{Engine, Helper};
use crate::driver::logs::LogFile;
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
/// Bytes that are read at once of a log that is followed.
const LOOKED_AT: u64 = 64 << 10;
const EVERY: Duration = Duration::from_millis(100);

/// All that run, and the helpers beside them.
pub fn table(host: &Host) -> String {
    let fleet = &host.runner().fleet;
    let engine = |engine: &Arc<Engine>| {
        let [state, memory, gpu, log] = facts(host, engine);
        let at = engine.base().trim_start_matches("http://").to_owned();
        [engine.spec.name.clone(), at, state, memory, gpu, log]
    };
    let mut rows: Vec<_> = fleet.live().iter().map(engine).collect();
    rows.extend(fleet.look_at_helpers(helper));
    if rows.is_empty() {
        return "no engine runs".into();
    }
    values::table(
        &["engine", "at", "state", "memory", "GPU memory", "log"],
        rows,
    )
}

/// One in a line.
pub fn status(host: &Host, engine: &Engine) -> String {
    let [state, memory, gpu, log] = facts(host, engine);
    let gpu = if gpu == "-" {
        String::new()
    } else {
        format!(", GPU memory {gpu}")
    };
    format!(
        "{} on {}: {state}, memory {memory}{gpu}, log {log}",
        engine.spec.name,
        engine.base()
    )
}

fn facts(host: &Host, engine: &Engine) -> [String; 4] {
    if engine.is_closed() {
        return ["closed".into(), mib(None), mib(None), first(&engine.logs())];
    }
    let state = host
        .wait(engine.health())
        .map_or_else(|problem| problem, |()| "healthy".into());
    [
        state,
        mib(engine.resident_mib()),
        mib(engine.gpu_memory_mib()),
        first(&engine.logs()),
    ]
}

fn helper(helper: &Helper) -> [String; 6] {
    let state = if helper.lives() {
        "helper, lives"
    } else {
        "helper, has ended"
    };
    let at = format!("{}:{}", helper.spec.host, helper.spec.port);
    let memory = mib(helper.resident_mib());
    [
        helper.spec.name.clone(),
        at,
        state.into(),
        memory,
        mib(None),
        first(&helper.logs()),
    ]
}

fn mib(amount: Option<u64>) -> String {
    amount.map_or_else(|| "-".into(), |mib| format!("{mib} MiB"))
}

fn first(logs: &[LogFile]) -> String {
    logs.first()
        .map_or_else(|| "-".into(), |log| log.path().display().to_string())
}

/// The logs of an engine or a helper of this name; `None` if it does not run.
pub fn logs(host: &Host, name: &str) -> Option<Vec<LogFile>> {
    let fleet = &host.runner().fleet;
    let engine = fleet
        .live()
        .into_iter()
        .find(|engine| engine.spec.name == name)
        .map(|engine| engine.logs());
    let named = |helper: &Helper| (helper.spec.name == name).then(|| helper.logs());
    engine.or_else(|| fleet.look_at_helpers(named).into_iter().flatten().next())
}

/// The end of each log, as far as this process has written it.
pub fn tail(logs: &[LogFile]) -> String {
    let shown = logs.iter().filter_map(|log| {
        let lines = log.tail(LINES);
        (!lines.is_empty()).then(|| format!("{}:\n{lines}", log.path().display()))
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() {
        "it has written nothing here".into()
    } else {
        shown.join("\n")
    }
}

/// Prints what is written to them until it is interrupted.
pub async fn follow(logs: &[LogFile], cancel: CancellationToken) {
    let length = |log: &LogFile| std::fs::metadata(log.path()).map_or(0, |metadata| metadata.len());
    let mut places: Vec<_> = logs.iter().map(length).collect();
    while !cancel.is_cancelled() {
        for (log, place) in logs.iter().zip(&mut places) {
            if let Some((text, end)) = read(log.path(), *place).filter(|(text, _)| !text.is_empty())
            {
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
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&bytes[..whole]);
    let lines: Vec<String> = text.lines().map(printable).collect();
    Some((lines.join("\n"), from + whole as u64))
}
