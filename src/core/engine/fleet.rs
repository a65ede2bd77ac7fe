//! The running engines and helpers of a run, and their ports.

use crate::core::engine::helper::{self, Helper};
use crate::core::engine::service::ServiceContext;
use crate::core::engine::started;
use crate::core::{Engine, EngineError, EngineSpec, HelperSpec};
use crate::driver::port;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// The engines and helpers of a run.
pub struct Fleet {
    ports: [u16; 2],
    /// The parts that all services share.
    pub(crate) context: ServiceContext,
    live: Mutex<Vec<Arc<Engine>>>,
    helpers: Mutex<Vec<Weak<Helper>>>,
    kept: Mutex<Vec<Arc<Helper>>>,
}

impl Fleet {
    /// A fleet without engines. Engines without a `port` get `ports` in order.
    pub fn new(ports: [u16; 2], context: ServiceContext) -> Self {
        Self {
            ports,
            context,
            live: Mutex::default(),
            helpers: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// Starts an engine. Waits until its helpers are ready, and engines that are starting on the same
    /// GPU: each measures the free memory at its start, without the memory of the other.
    ///
    /// # Errors
    /// Fails if its port is in use, its program is missing, or a service that it waits for is not
    /// ready.
    pub(crate) async fn start(&self, spec: EngineSpec) -> Result<Arc<Engine>, EngineError> {
        let mut starting = self.live();
        starting.retain(|engine| engine.is_starting_on_gpus_of(&spec));
        started::all_ready(starting).await?;
        let port = self.port_for(&spec);
        self.check_port(&spec, port)?;
        let mut helpers = Vec::new();
        match self.start_with_helpers(spec, port, &mut helpers).await {
            Ok(engine) => {
                let engine = Arc::new(engine.with_helpers(helpers));
                self.live.lock().push(engine.clone());
                Ok(engine)
            }
            Err(error) => {
                // An error of the stop would hide the reason.
                let _ = helper::stop_unused(helpers).await;
                Err(error)
            }
        }
    }

    /// Starts an engine for a script and records the time until it is ready.
    ///
    /// # Errors
    /// Fails as [`Fleet::start`] does.
    pub(crate) async fn start_for_script(
        &self,
        spec: EngineSpec,
    ) -> Result<Arc<Engine>, EngineError> {
        let engine = self.start(spec).await?;
        tokio::spawn(started::record_ready_time(Arc::downgrade(&engine)));
        Ok(engine)
    }

    /// Returns the engines that were started and not closed.
    pub(crate) fn live(&self) -> Vec<Arc<Engine>> {
        self.live.lock().clone()
    }

    /// Returns the running helpers. Drop them soon: a helper in use elsewhere is not stopped.
    pub(crate) fn helpers(&self) -> Vec<Arc<Helper>> {
        self.helpers
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Closes one engine.
    ///
    /// # Errors
    /// Fails if a process survives.
    pub(crate) async fn close(&self, engine: &Arc<Engine>) -> Result<(), EngineError> {
        let closed = engine.close().await;
        self.live.lock().retain(|live| !Arc::ptr_eq(live, engine));
        closed
    }

    /// Starts a helper that runs until it is released, and waits until it is ready.
    ///
    /// # Errors
    /// Fails if its port is in use, its program is missing, it exits or is not ready in time.
    pub(crate) async fn start_helper(&self, spec: HelperSpec) -> Result<Weak<Helper>, EngineError> {
        let helper = self.shared_helper(&spec).await?;
        let started = Arc::downgrade(&helper);
        self.kept.lock().push(helper);
        Ok(started)
    }

    /// Returns the future exit errors of the helpers that a script has started and that `engines` do
    /// not name.
    pub(crate) fn exit_errors_of_other_helpers(
        &self,
        engines: &[Arc<Engine>],
    ) -> Vec<impl Future<Output = EngineError> + Send + use<>> {
        let mut errors = Vec::new();
        for helper in &*self.kept.lock() {
            if !engines.iter().any(|engine| engine.uses(helper)) {
                errors.push(helper.service.exit_error());
            }
        }
        errors
    }

    /// Releases a helper that a script has started. Stops it unless an engine uses it.
    ///
    /// # Errors
    /// Fails if a process survives.
    pub(crate) async fn release(&self, helper: &Weak<Helper>) -> Result<(), EngineError> {
        let mut released = Vec::new();
        {
            let mut kept = self.kept.lock();
            let position = kept
                .iter()
                .position(|live| Arc::as_ptr(live) == helper.as_ptr());
            released.extend(position.map(|position| kept.remove(position)));
        }
        helper::stop_unused(released).await
    }

    /// Closes all engines at the same time, then stops the helpers that scripts have started.
    ///
    /// # Errors
    /// Returns the first error of a close.
    pub(crate) async fn close_all(&self) -> Result<(), EngineError> {
        let engines = std::mem::take(&mut *self.live.lock());
        let mut closing = Vec::new();
        for engine in engines {
            closing.push(tokio::spawn(async move { engine.close().await }));
        }
        let mut first = Ok(());
        for closed in closing {
            // After a panic the drop of the engine kills it.
            first = first.and(closed.await.unwrap_or(Ok(())));
        }
        let kept = std::mem::take(&mut *self.kept.lock());
        first.and(helper::stop_unused(kept).await)
    }

    /// Starts the helpers of an engine, then the engine. `helpers` has the started helpers, also after
    /// an error.
    async fn start_with_helpers(
        &self,
        spec: EngineSpec,
        port: u16,
        helpers: &mut Vec<Arc<Helper>>,
    ) -> Result<Engine, EngineError> {
        for helper in &spec.helpers {
            helpers.push(self.shared_helper(helper).await?);
        }
        Engine::start(spec, port, &self.context).await
    }

    /// Checks that no other engine of the run has the port: one that is starting does not listen yet.
    fn check_port(&self, spec: &EngineSpec, port: u16) -> Result<(), EngineError> {
        if spec.url.is_some() {
            return Ok(());
        }
        for other in &*self.live.lock() {
            if other.port == port && other.service.occupies_port() {
                return Err(EngineError::PortInUse {
                    who: spec.label(),
                    port,
                    occupant: other.spec.label(),
                    elsewhere: spec.port_advice(),
                });
            }
        }
        Ok(())
    }

    /// Returns the running helper with this spec, or starts it.
    async fn shared_helper(&self, spec: &HelperSpec) -> Result<Arc<Helper>, EngineError> {
        let running = self
            .helpers()
            .into_iter()
            .find(|helper| helper.spec == *spec);
        if let Some(helper) = running {
            if helper.service.is_running() {
                return Ok(helper);
            }
            return Err(helper.service.exit_error().await);
        }
        let helper = Arc::new(Helper::start(spec.clone(), &self.context).await?);
        self.helpers.lock().push(Arc::downgrade(&helper));
        Ok(helper)
    }

    /// Returns the port of the spec's address, or the spec's port, or else the first of the run's
    /// ports that no live engine has, or a later port. Port 0 means any free port.
    fn port_for(&self, spec: &EngineSpec) -> u16 {
        let used: Vec<u16> = self.live.lock().iter().map(|engine| engine.port).collect();
        match spec.url.as_ref().map(|address| address.port).or(spec.port) {
            // Without a free port the start fails.
            Some(0) => port::find_free(&spec.host, &used).unwrap_or_default(),
            Some(port) => port,
            None => {
                let later = self.ports[1].saturating_add(1)..u16::MAX;
                self.ports
                    .into_iter()
                    .chain(later)
                    .find(|port| !used.contains(port))
                    .unwrap_or_default()
            }
        }
    }
}
