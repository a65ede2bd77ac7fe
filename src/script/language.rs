//! The configuration of Rhai.

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

/// Limits of nesting. Rhai's own differ between debug and release builds.
const CALL_LEVELS: usize = 64;
const EXPR_DEPTH: usize = 64;

/// The number of bytes that a script may print before they are shown.
const MAX_PENDING_BYTES: usize = 1 << 20;

/// The interval between checks for an interrupt while a script waits for the screen.
const CANCEL_INTERVAL: Duration = Duration::from_millis(100);

/// Creates an engine that compiles scripts but cannot run tests.
pub(crate) fn compiler() -> rhai::Engine {
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

/// Creates an engine that runs scripts on `host`.
pub(crate) fn interpreter(host: &Host, modules: Modules) -> rhai::Engine {
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
    stop_when_cancelled(&mut engine, host.runner().client.interrupts.current());
    engine
}

/// Prints the output of a script. Waits if the screen is far behind, to bound the memory.
struct Printer {
    runner: Arc<Runner>,
    pending_bytes: Cell<usize>,
}

impl Printer {
    fn new(runner: Arc<Runner>) -> Self {
        Self {
            runner,
            pending_bytes: Cell::default(),
        }
    }

    fn print(&self, text: String) {
        self.pending_bytes
            .set(self.pending_bytes.get() + text.len());
        self.runner.emit(Event::Printed { text });
        if self.pending_bytes.get() >= MAX_PENDING_BYTES {
            self.pending_bytes.set(0);
            self.wait_until_shown();
        }
    }

    fn wait_until_shown(&self) {
        let (shown, is_shown) = channel();
        self.runner.emit(Event::Awaited { shown, aside: None });
        let cancel = self.runner.client.interrupts.current();
        while is_shown.recv_timeout(CANCEL_INTERVAL) == Err(RecvTimeoutError::Timeout)
            && !cancel.is_cancelled()
        {}
    }
}

/// Makes the engine end its script when `cancel` is cancelled.
pub(crate) fn stop_when_cancelled(engine: &mut rhai::Engine, cancel: CancellationToken) {
    engine.on_progress(move |_| cancel.is_cancelled().then_some(Dynamic::UNIT));
}
