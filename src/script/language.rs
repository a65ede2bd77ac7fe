//! Rhai, as lmrun sets it up.

use super::api;
use super::host::Host;
use super::modules::Modules;
use crate::bench::Event;
use rhai::{Dynamic, OptimizationLevel};
use tokio_util::sync::CancellationToken;

/// Rhai's debug builds allow little nesting, its release builds more: the same everywhere.
const CALL_LEVELS: usize = 64;
const EXPR_DEPTH: usize = 64;

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
        // Rhai's own division would otherwise take the place of ours, also in constant expressions.
        .set_fast_operators(false)
        .register_global_module(api::numbers().into());
    engine
}

/// An engine that runs scripts on `host`.
pub fn interpreter(host: &Host, modules: Modules) -> rhai::Engine {
    let mut engine = compiler();
    engine.set_default_tag(Dynamic::from(host.clone()));
    engine.set_module_resolver(modules);
    api::register(&mut engine);
    let bench = host.bench().clone();
    engine.on_print(move |text| bench.emit(Event::Printed { text: text.into() }));
    let bench = host.bench().clone();
    engine.on_debug(move |text, source, position| {
        let text = format!("{}:{position}: {text}", source.unwrap_or_default());
        bench.emit(Event::Printed { text });
    });
    heed(&mut engine, host.bench().interrupts.now());
    engine
}

/// Ends scripts when `cancel` is cancelled.
pub fn heed(engine: &mut rhai::Engine, cancel: CancellationToken) {
    engine.on_progress(move |_| cancel.is_cancelled().then_some(Dynamic::UNIT));
}
