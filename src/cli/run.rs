//! `lmrun SCRIPT`: list or run the tests of a script.

use super::args::{RunArgs, TESTS};
use super::{WATCHDOG, complain, exit};
use crate::bench::{Bench, Code, Event, Fleet};
use crate::driver::http::Shards;
use crate::driver::watchdog::Watchdog;
use crate::driver::{container, limits, process, program, secrets};
use crate::report::{MAIN, Outputs, Reporter, RunFacts, color};
use crate::script::{
    Diagnosis, EngineChoice, Host, Parameters, Program, TestFunction, engine_kinds, nearest,
};
use regex::Regex;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Sender, channel};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Lists or runs; returns the exit code. Rhai values do not cross threads, so this stays on the
/// thread that it is called on.
pub fn run(args: &RunArgs) -> u8 {
    let Some(script) = &args.script else {
        return complain("which script? For example `lmrun scripts/tests.rhai`, and `lmrun --help` for more");
    };
    let program = match Program::load(script) {
        Ok(program) => program,
        Err(diagnosis) => return refuse(script, &diagnosis),
    };
    let filter = match Regex::new(&args.filter) {
        Ok(filter) => filter,
        Err(e) => return complain(&format!("`-f {}` is not a regular expression: {e}", args.filter)),
    };
    let tests = chosen(&program, &filter);
    if tests.is_empty() {
        return no_test(&program, &args.filter);
    }
    if args.list {
        let width = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
        for test in tests {
            let line = format!("{:width$}  {}", test.name, test.claim());
            // A reader that went away has read enough.
            let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
        }
        return exit::OK;
    }
    let names: Vec<String> = tests.iter().map(|test| test.name.clone()).collect();
    match prepare(args, &program) {
        Ok(prepared) => perform(args, &program, &names, prepared),
        Err(problem) => complain(&problem),
    }
}

/// The tests that match; where a script has no test at all, its `main`.
fn chosen<'a>(program: &'a Program, filter: &Regex) -> Vec<&'a TestFunction> {
    let all = program.tests();
    let matching: Vec<_> = all.iter().filter(|test| filter.is_match(&test.name)).collect();
    if !matching.is_empty() || filter.as_str() != TESTS {
        return matching;
    }
    all.iter().filter(|test| test.name == MAIN).collect()
}

fn refuse(script: &std::path::Path, diagnosis: &Diagnosis) -> u8 {
    let source = |_: &str| std::fs::read_to_string(script).ok();
    eprintln!("{}", diagnosis.draw(source, color()));
    exit::USAGE
}

fn no_test(program: &Program, filter: &str) -> u8 {
    let names = program.tests().iter().map(|test| test.name.as_str());
    let hint = match nearest(filter, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the script has {}", names.collect::<Vec<_>>().join(", ")),
    };
    eprintln!("error: no test matches `{filter}`; {hint}");
    exit::NO_TEST
}

/// What must be there before anything starts.
struct Prepared {
    outputs: Outputs,
    log_dir: PathBuf,
    engine: EngineChoice,
    program: PathBuf,
}

fn prepare(args: &RunArgs, program: &Program) -> Result<Prepared, String> {
    let folder = &args.output_dir;
    let unwritable = |folder: &PathBuf| {
        let folder = folder.display().to_string();
        move |e: std::io::Error| {
            format!("cannot write to the output folder `{folder}`: {e}; choose another with `-o DIR`")
        }
    };
    let outputs = Outputs::prepare(folder, args.model.as_deref()).map_err(unwritable(folder))?;
    let log_dir = args.log_dir.clone().unwrap_or_else(|| folder.clone());
    std::fs::create_dir_all(&log_dir).map_err(unwritable(&log_dir))?;
    let lmrun = std::env::current_exe().map_err(|e| format!("lmrun cannot find itself: {e}"))?;
    let engine = choose(&args.engine, &lmrun, program)?;
    Ok(Prepared { outputs, log_dir, engine, program: lmrun })
}

/// `auto` is vLLM where it is on the PATH, else the simulator.
fn choose(asked: &str, lmrun: &std::path::Path, program: &Program) -> Result<EngineChoice, String> {
    let kinds = engine_kinds();
    let kind = match asked {
        "auto" if program::find("vllm").is_some() => "vllm",
        "auto" => {
            if program.text().contains("std/engine") {
                eprintln!(
                    "SIMULATED: there is no `vllm` on the PATH, so the built-in simulator serves; its numbers are made up"
                );
            }
            "sim"
        }
        kind if kinds.contains(&kind) => kind,
        other => {
            let hint = nearest(other, kinds.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            let hint = hint.unwrap_or_default();
            return Err(format!(
                "there is no engine `{other}`: `--engine` takes auto, {}{hint}",
                kinds.join(", ")
            ));
        }
    };
    Ok(EngineChoice { kind: kind.into(), program: lmrun.into() })
}

/// Runs the tests: the script here, the requests, the report and the signals on threads of
/// their own.
fn perform(args: &RunArgs, program: &Program, tests: &[String], prepared: Prepared) -> u8 {
    limits::raise_descriptors();
    process::adopt_orphans();
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    else {
        return complain("the system gives no threads");
    };
    let Ok(shards) = Shards::for_this_machine() else {
        return complain("the system gives no threads to send from");
    };
    let (events, received) = channel();
    let cancel = CancellationToken::new();
    let facts = facts(args, program);
    let output_dir = prepared.outputs.folder().to_owned();
    let bench = Arc::new(Bench {
        fleet: fleet(args, &prepared, events.clone()),
        shards,
        cancel: cancel.clone(),
        run_id: facts.run_id.clone(),
        serial: AtomicUsize::default(),
        experiments: AtomicUsize::default(),
        failed_checks: AtomicUsize::default(),
        invalid: parking_lot::Mutex::default(),
        max_send_lag_s: args.max_send_lag_s,
    });
    let reporter = Reporter::new(prepared.outputs, facts, cancel.clone(), args.shown.verbosity());
    let reporting = std::thread::Builder::new().name("report".into()).spawn(move || reporter.work(&received));
    let Ok(reporting) = reporting else { return complain("the system gives no thread for the report") };
    let parameters = parameters(args);
    runtime.spawn(heed_signals(cancel.clone(), events.clone()));
    let folder = program.folder().to_owned();
    let handle = runtime.handle().clone();
    let host = Host::new(handle, bench, Parameters::new(parameters), folder, output_dir, prepared.engine);
    for text in host.wait(container::remove_orphans()) {
        let _ = events.send(Event::Warned { text });
    }
    run_tests(program, tests, &host, &cancel);
    let _ = events.send(Event::RunDone);
    let gravest = reporting.join();
    runtime.shutdown_background();
    gravest.map_or(exit::BUG, |gravest| gravest.map_or(exit::OK, Code::exit))
}

fn run_tests(program: &Program, tests: &[String], host: &Host, cancel: &CancellationToken) {
    for test in tests.iter().take_while(|_| !cancel.is_cancelled()) {
        let began = Instant::now();
        host.bench().emit(Event::TestStarted { test: test.clone() });
        let outcome = program.run(test, host, color());
        let took_s = began.elapsed().as_secs_f64();
        host.bench().emit(Event::TestDone { test: test.clone(), outcome, took_s });
    }
    if !cancel.is_cancelled() {
        host.parameters().unused().into_iter().for_each(|text| host.bench().emit(Event::Warned { text }));
    }
}

/// The first signal ends the run in order. At the second this process ends at once, and the
/// watchdog kills what it leaves.
async fn heed_signals(cancel: CancellationToken, events: Sender<Event>) {
    let (Ok(mut interrupts), Ok(mut terminations)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
        }
        if cancel.is_cancelled() {
            eprintln!("killed");
            std::process::exit(i32::from(Code::Interrupted.exit()));
        }
        let text = "interrupted: closing the engines; once more kills them".into();
        let _ = events.send(Event::Warned { text }); // the reporter lives until the run is done
        cancel.cancel();
    }
}

fn fleet(args: &RunArgs, prepared: &Prepared, events: Sender<Event>) -> Fleet {
    let watchdog = Arc::new(Watchdog::new(prepared.program.clone(), WATCHDOG));
    let ports = [args.ports[0], args.ports[1]]; // clap takes two or none, and has a default
    Fleet::new(ports, prepared.log_dir.clone(), watchdog, events)
}

fn parameters(args: &RunArgs) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = args.parameters.iter().cloned().collect();
    if let Some(model) = &args.model {
        parameters.insert("model".into(), model.clone());
    }
    secrets::learn(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    parameters.entry("seed".into()).or_insert_with(|| args.seed.to_string());
    parameters
}

fn facts(args: &RunArgs, program: &Program) -> RunFacts {
    let started_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    RunFacts::new(
        started_unix_s,
        args.script.as_deref().map(|path| path.display().to_string()).unwrap_or_default(),
        program.text(),
        args.seed,
        parameters(args),
    )
}
