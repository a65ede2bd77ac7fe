//! The engines that run, and the ports they get.

use crate::core::engine::helper::{self, Helper};
use crate::core::engine::lifecycle;
use crate::core::engine::service::Site;
use crate::core::{Engine, EngineError, EngineSpec, Event, HelperSpec};
use crate::driver::port;
use crate::driver::watchdog::Watchdogs;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

/// Starts engines, and knows which live.
pub struct Fleet {
    /// The ports that engines without one of their own get, in order.
    pub ports: [u16; 2],
    /// What they share.
    pub site: Site,
    live: Mutex<Vec<Arc<Engine>>>,
    helpers: Mutex<Vec<Weak<Helper>>>,
    kept: Mutex<Vec<Arc<Helper>>>,
}

impl Fleet {
    /// A fleet without engines.
    pub fn new(
        ports: [u16; 2],
        log_dir: PathBuf,
        watchdogs: Watchdogs,
        events: Sender<Event>,
    ) -> Self {
        let (live, helpers, kept) = Default::default();
        Self {
            ports,
            site: Site::new(log_dir, watchdogs, events),
            live,
            helpers,
            kept,
        }
    }

    /// Starts an engine. Only its helpers are waited for, and engines that start on the same GPU: each
    /// measures the free memory while it starts, and two at once see each other's weights.
    ///
    /// # Errors
    /// When its port is taken, its program is not to be had, or what it waits for does not get ready.
    pub async fn start(&self, spec: EngineSpec) -> Result<Arc<Engine>, EngineError> {
        let starting: Vec<_> = self
            .live
            .lock()
            .iter()
            .filter(|live| live.starts_beside(&spec))
            .cloned()
            .collect();
        lifecycle::all_ready(starting).await?;
        let port = self.port_for(&spec);
        self.check_port(&spec, port)?;
        let mut helpers = Vec::new();
        let started = self.start_with(spec, port, &mut helpers).await;
        let engine = match started {
            Ok(engine) => engine,
            Err(error) => {
                // What the user is to read is why it did not start.
                let _ = helper::end(helpers).await;
                return Err(error);
            }
        };
        let engine = Arc::new(engine);
        self.live.lock().push(engine.clone());
        Ok(engine)
    }

    /// Starts an engine for a script, which may look at it much later, and notes the moment at which it is
    /// ready.
    ///
    /// # Errors
    /// Fails as [`Fleet::start`] does.
    pub async fn start_and_note(&self, spec: EngineSpec) -> Result<Arc<Engine>, EngineError> {
        let engine = self.start(spec).await?;
        tokio::spawn(lifecycle::note_ready(Arc::downgrade(&engine)));
        Ok(engine)
    }

    /// The engines that were started and not closed.
    pub fn live(&self) -> Vec<Arc<Engine>> {
        self.live.lock().clone()
    }

    /// What `look` sees of every helper that runs.
    pub fn look_at_helpers<T>(&self, look: impl Fn(&Helper) -> T) -> Vec<T> {
        let running: Vec<_> = self
            .helpers
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        running.iter().map(|helper| look(helper)).collect()
    }

    /// Ends one engine.
    ///
    /// # Errors
    /// When something of it survives.
    pub async fn close(&self, engine: &Arc<Engine>) -> Result<(), EngineError> {
        let closed = engine.close().await;
        self.live.lock().retain(|live| !Arc::ptr_eq(live, engine));
        closed
    }

    /// Starts a helper that runs until it is released, waits until it is ready, and returns what
    /// releases it.
    ///
    /// # Errors
    /// When its port is taken, its program is not to be had, it dies, or takes too long.
    pub async fn keep(&self, spec: HelperSpec) -> Result<Weak<Helper>, EngineError> {
        let helper = self.helper(&spec).await?;
        let kept = Arc::downgrade(&helper);
        self.kept.lock().push(helper);
        Ok(kept)
    }

    /// The ends of those helpers that are kept and that none of these engines has named.
    pub fn kept_beside(
        &self,
        engines: &[Arc<Engine>],
    ) -> Vec<impl Future<Output = EngineError> + Send + use<>> {
        let kept = self.kept.lock();
        let beside = kept
            .iter()
            .filter(|helper| !engines.iter().any(|engine| engine.uses(helper)));
        beside.map(|helper| helper.death()).collect()
    }

    /// Ends a helper that was kept, or leaves it to the engines that still use it.
    ///
    /// # Errors
    /// When something of it survives.
    pub async fn release(&self, helper: &Weak<Helper>) -> Result<(), EngineError> {
        let released = {
            let mut kept = self.kept.lock();
            let position = kept
                .iter()
                .position(|live| Arc::as_ptr(live) == helper.as_ptr());
            position.map(|position| kept.remove(position))
        };
        helper::end(released.into_iter().collect()).await
    }

    /// Ends every engine that still runs, all at the same time, and after them the helpers that
    /// were kept.
    ///
    /// # Errors
    /// The first of which something survives.
    pub async fn close_all(&self) -> Result<(), EngineError> {
        let engines = std::mem::take(&mut *self.live.lock());
        let closing: Vec<_> = engines
            .into_iter()
            .map(|engine| tokio::spawn(async move { engine.close().await }))
            .collect();
        let mut first = Ok(());
        for closed in closing {
            // A panic while closing leaves the kill to the engine's drop.
            first = first.and(closed.await.unwrap_or(Ok(())));
        }
        let kept = std::mem::take(&mut *self.kept.lock());
        first.and(helper::end(kept).await)
    }

    /// Starts an engine after what it needs beside it, which stands in `helpers`, also when it
    /// fails half-way.
    async fn start_with(
        &self,
        spec: EngineSpec,
        port: u16,
        helpers: &mut Vec<Arc<Helper>>,
    ) -> Result<Engine, EngineError> {
        for wanted in &spec.helpers {
            helpers.push(self.helper(wanted).await?);
        }
        Engine::start(spec, port, &self.site, helpers.clone()).await
    }

    /// An engine that still starts has not bound its port yet: nobody else may answer for it there.
    fn check_port(&self, spec: &EngineSpec, port: u16) -> Result<(), EngineError> {
        let live = self.live.lock();
        match live
            .iter()
            .find(|live| spec.url.is_none() && live.has_port(port))
        {
            Some(other) => Err(EngineError::PortInUse {
                who: spec.who(),
                port,
                occupant: other.spec.who(),
                elsewhere: lifecycle::other_port(spec),
            }),
            None => Ok(()),
        }
    }

    /// The helper that runs with this spec, or a new one.
    async fn helper(&self, spec: &HelperSpec) -> Result<Arc<Helper>, EngineError> {
        let running = self
            .helpers
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .find(|live| live.spec == *spec);
        if let Some(helper) = running {
            return if helper.lives() {
                Ok(helper)
            } else {
                Err(helper.death().await)
            };
        }
        let helper = Arc::new(Helper::start(spec.clone(), &self.site).await?);
        self.helpers.lock().push(Arc::downgrade(&helper));
        Ok(helper)
    }

    /// The spec's address or port; else the first of the run's ports that no live engine has, and beyond
    /// those the ones that follow the last. `0` means any free one.
    fn port_for(&self, spec: &EngineSpec) -> u16 {
        let taken: Vec<u16> = self.live.lock().iter().map(|engine| engine.port).collect();
        match spec.url.as_ref().map(|address| address.port).or(spec.port) {
            // Where the system has none left, the start says so.
            Some(0) => port::find_free(&spec.host, &taken).unwrap_or_default(),
            Some(port) => port,
            None => {
                let following = self.ports[1].saturating_add(1)..u16::MAX;
                let mut candidates = self.ports.into_iter().chain(following);
                candidates
                    .find(|port| !taken.contains(port))
                    .unwrap_or_default()
            }
        }
    }
}
