//! Rhai, as lmrun sets it up.

use super::api;
use super::host::Host;
use super::modules::Modules;
use crate::core::{Event, Runner};
use rhai::{Dynamic, OptimizationLevel};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Rhai's debug builds allow little nesting, its release builds more: the same everywhere.
const CALL_LEVELS: usize = 64;
const EXPR_DEPTH: usize = 64;

/// Bytes that a script may print before they are shown.
const PRINTED_AHEAD: usize = 1 << 20;
const LOOK: Duration = Duration::from_millis(100);

/// An engine that can compile scripts, and run none.
pub fn compiler() -> rhai::Engine {
    let mut engine = rhai::Engine::new();
    engine
        .set_max_call_levels(CALL_LEVELS)
        .set_max_expr_depths(EXPR_DEPTH, EXPR_DEPTH)
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        // A higher level calls natives while it compiles.
        .set_optimization_level(OptimizationLevel::Simple)
        // Without this, Rhai's own division would replace lmrun's, also in constant expressions.
        .set_fast_operators(false)
        .register_global_module(api::numbers().into())
        .register_global_module(api::sizes().into());
    engine
}

/// An engine that runs scripts on `host`.
pub fn interpreter(host: &Host, modules: Modules) -> rhai::Engine {
    let mut engine = compiler();
    engine.set_default_tag(Dynamic::from(host.clone()));
    engine.set_module_resolver(modules);
    api::register(&mut engine);
    let printer = Printer::new(host.runner().clone());
    engine.on_print(move |text| printer.print(text.into()));
    let printer = Printer::new(host.runner().clone());
    engine.on_debug(move |text, source, position| {
        printer.print(format!("{}:{position}: {text}", source.unwrap_or_default()));
    });
    heed(&mut engine, host.runner().interrupts.now());
    engine
}

/// Prints texts of a script. It waits for a reader that is far behind, so that they do not fill the memory.
struct Printer {
    runner: Arc<Runner>,
    ahead: Cell<usize>,
}

impl Printer {
    fn new(runner: Arc<Runner>) -> Self {
        Self {
            runner,
            ahead: Cell::default(),
        }
    }

    fn print(&self, text: String) {
        self.ahead.set(self.ahead.get() + text.len());
        self.runner.emit(Event::Printed { text });
        if self.ahead.get() >= PRINTED_AHEAD {
            self.ahead.set(0);
            self.wait_for_reader();
        }
    }

    fn wait_for_reader(&self) {
        let (shown, is_shown) = channel();
        self.runner.emit(Event::Awaited { shown, aside: None });
        let cancel = self.runner.interrupts.now();
        while is_shown.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout)
            && !cancel.is_cancelled()
        {}
    }
}

/// Ends scripts when `cancel` is cancelled.
pub fn heed(engine: &mut rhai::Engine, cancel: CancellationToken) {
    engine.on_progress(move |_| cancel.is_cancelled().then_some(Dynamic::UNIT));
}
