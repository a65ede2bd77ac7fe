//! The engines that run, and the ports they get.

use super::helper::Helper;
use super::{Engine, EngineError, EngineSpec, Event, HelperSpec};
use crate::driver::port;
use crate::driver::watchdog::Watchdog;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

/// Starts engines, and knows which live.
pub struct Fleet {
    /// The ports that engines without one of their own get, in order.
    pub ports: [u16; 2],
    /// Where engine logs go.
    pub log_dir: PathBuf,
    /// Who ends the engines when this program is killed.
    pub watchdog: Arc<Watchdog>,
    /// Who hears of it.
    pub events: Sender<Event>,
    live: Mutex<Vec<Arc<Engine>>>,
    helpers: Mutex<Vec<Weak<Helper>>>,
}

impl Fleet {
    /// A fleet without engines.
    pub fn new(ports: [u16; 2], log_dir: PathBuf, watchdog: Arc<Watchdog>, events: Sender<Event>) -> Self {
        Self { ports, log_dir, watchdog, events, live: Mutex::default(), helpers: Mutex::default() }
    }

    /// Starts an engine and returns at once; only its helpers are waited for.
    ///
    /// # Errors
    /// When its port is taken or its program is not to be had.
    pub async fn start(&self, spec: EngineSpec) -> Result<Arc<Engine>, EngineError> {
        let port = self.port_for(&spec);
        let helpers = self.helpers_of(&spec).await?;
        let engine =
            Engine::start(spec, port, &self.log_dir, &self.watchdog, self.events.clone(), helpers).await?;
        let engine = Arc::new(engine);
        self.live.lock().push(engine.clone());
        Ok(engine)
    }

    /// Ends one engine.
    ///
    /// # Errors
    /// When something of it survives.
    pub async fn close(&self, engine: &Arc<Engine>) -> Result<(), EngineError> {
        engine.close().await?;
        self.live.lock().retain(|live| !Arc::ptr_eq(live, engine));
        Ok(())
    }

    /// Ends every engine that still runs, all at the same time.
    ///
    /// # Errors
    /// The first engine of which something survives.
    pub async fn close_all(&self) -> Result<(), EngineError> {
        let engines = std::mem::take(&mut *self.live.lock());
        let closing: Vec<_> =
            engines.into_iter().map(|engine| tokio::spawn(async move { engine.close().await })).collect();
        let mut first = Ok(());
        for closed in closing {
            // A panic while closing leaves the kill to the engine's drop.
            first = first.and(closed.await.unwrap_or(Ok(())));
        }
        first
    }

    /// What `spec` needs beside it: what runs already, the rest started.
    async fn helpers_of(&self, spec: &EngineSpec) -> Result<Vec<Arc<Helper>>, EngineError> {
        let mut helpers = Vec::new();
        for wanted in &spec.helpers {
            let running =
                self.helpers.lock().iter().filter_map(Weak::upgrade).find(|live| live.spec == *wanted);
            helpers.push(match running {
                Some(helper) => helper,
                None => self.start_helper(wanted.clone()).await?,
            });
        }
        Ok(helpers)
    }

    async fn start_helper(&self, spec: HelperSpec) -> Result<Arc<Helper>, EngineError> {
        let helper = Arc::new(Helper::start(spec, &self.log_dir, &self.watchdog, &self.events).await?);
        self.helpers.lock().push(Arc::downgrade(&helper));
        Ok(helper)
    }

    /// The spec's port; else the first of the run's ports that no live engine has, and beyond
    /// those the ones that follow the last. `0` means any free one.
    fn port_for(&self, spec: &EngineSpec) -> u16 {
        match spec.port {
            Some(0) => port::free(&spec.host).unwrap_or_default(),
            Some(port) => port,
            None => {
                let taken: Vec<u16> = self.live.lock().iter().map(|engine| engine.port).collect();
                let following = self.ports[1].saturating_add(1)..u16::MAX;
                let mut candidates = self.ports.into_iter().chain(following);
                candidates.find(|port| !taken.contains(port)).unwrap_or_default()
            }
        }
    }
}
