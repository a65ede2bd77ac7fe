//! Signals: Ctrl-C ends an input, the others end the session.

use crate::cli::signals::{Incoming, Kind, Turn, Turns, kill, say};
use crate::cli::stage::Stage;
use crate::core::{Code, Event, Runner};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the editor may take to give up.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be ended by a signal.
pub struct Signals {
    runner: Arc<Runner>,
    session: CancellationToken,
    works: AtomicBool,
    /// True if an interrupt is the way to end what is running.
    waits_for_interrupt: AtomicBool,
    one_ends_all: AtomicBool,
    ends: Arc<AtomicBool>,
    is_ending: AtomicBool,
    turns: Mutex<Turns>,
}

impl Signals {
    /// Heeds them from now on.
    pub fn heed(stage: &Stage) -> Arc<Self> {
        let signals = Arc::new(Self {
            runner: stage.host.runner().clone(),
            session: stage.cancel.clone(),
            works: AtomicBool::default(),
            waits_for_interrupt: AtomicBool::default(),
            one_ends_all: AtomicBool::default(),
            ends: Arc::default(),
            is_ending: AtomicBool::default(),
            turns: Mutex::default(),
        });
        let _entered = stage.runtime.enter();
        if let Some(incoming) = Incoming::listen() {
            stage.runtime.spawn(signals.clone().listen(incoming));
        }
        signals
    }

    /// Set when the editor is to give up.
    pub fn ends(&self) -> Arc<AtomicBool> {
        self.ends.clone()
    }

    /// From now on there is nobody at a prompt to go on after an interrupt.
    pub fn one_ends_all(&self) {
        self.one_ends_all.store(true, Relaxed);
    }

    /// The session ends by itself.
    pub fn ending(&self) {
        self.is_ending.store(true, Relaxed);
    }

    /// Something begins that can be interrupted.
    pub fn begin(&self) {
        self.runner.interrupts.begin();
        self.works.store(true, Relaxed);
    }

    /// Marks what was begun as running until it is interrupted: an interrupt then needs no warning.
    pub fn wait_for_interrupt(&self) {
        self.waits_for_interrupt.store(true, Relaxed);
    }

    /// It has ended.
    pub fn end(&self) {
        self.works.store(false, Relaxed);
        self.waits_for_interrupt.store(false, Relaxed);
    }

    async fn listen(self: Arc<Self>, mut incoming: Incoming) {
        loop {
            match incoming.next().await {
                Kind::Interrupt => self.interrupt(),
                Kind::Termination => self.terminate(),
            }
        }
    }

    /// At the prompt it ends nothing; of an input the first ends it, the second all.
    fn interrupt(self: &Arc<Self>) {
        if self.one_ends_all.load(Relaxed) {
            return self.terminate();
        }
        let work = self.runner.interrupts.now();
        if !self.works.load(Relaxed) {
            return;
        }
        if work.is_cancelled() {
            kill();
        }
        if !self.waits_for_interrupt.load(Relaxed) {
            let text = "interrupted; once more kills lmrun and its engines";
            self.runner.emit(Event::Warned { text: text.into() });
        }
        work.cancel();
    }

    fn terminate(self: &Arc<Self>) {
        match self.turns.lock().next() {
            Turn::First => {}
            Turn::Same => return,
            Turn::Second => kill(),
        }
        say("\ninterrupted: closing the engines; once more kills them");
        self.session.cancel();
        self.ends.store(true, Relaxed);
        tokio::spawn(self.clone().see_to_the_end());
    }

    /// Ends it where the editor cannot: one whose terminal is gone hears nothing any more. The folders of
    /// the session are then removed by a later run.
    async fn see_to_the_end(self: Arc<Self>) {
        tokio::time::sleep(PATIENCE).await;
        while self.works.load(Relaxed) {
            tokio::time::sleep(PATIENCE).await;
        }
        if !self.is_ending.load(Relaxed) {
            let _ = self.runner.fleet.close_all().await; // there is nobody to be told
            std::process::exit(i32::from(Code::Interrupted.exit()));
        }
    }
}
