//! Signals at the prompt: Ctrl-C ends an input, SIGTERM and SIGHUP end the session.

use crate::cli::signals::{Incoming, SignalCounter, SignalOrder, StopSignal, kill, say};
use crate::cli::stage::Stage;
use crate::core::{Code, Event, Runner};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The time that the editor has to stop reading.
const EDITOR_TIMEOUT: Duration = Duration::from_secs(1);

/// The work that signals end.
pub(super) struct PromptSignals {
    runner: Arc<Runner>,
    session: CancellationToken,
    is_working: AtomicBool,
    /// True if only an interrupt ends the work that is running.
    expects_interrupt: AtomicBool,
    interrupt_ends_session: AtomicBool,
    editor_break: Arc<AtomicBool>,
    is_closing: AtomicBool,
    turns: Mutex<SignalCounter>,
}

impl PromptSignals {
    /// Starts to handle signals.
    pub(super) fn listen(stage: &Stage) -> Arc<Self> {
        let signals = Arc::new(Self {
            runner: stage.host.runner().clone(),
            session: stage.cancel.clone(),
            is_working: AtomicBool::default(),
            expects_interrupt: AtomicBool::default(),
            interrupt_ends_session: AtomicBool::default(),
            editor_break: Arc::default(),
            is_closing: AtomicBool::default(),
            turns: Mutex::default(),
        });
        let _entered = stage.runtime.enter();
        if let Some(incoming) = Incoming::listen() {
            stage.runtime.spawn(signals.clone().handle_all(incoming));
        }
        signals
    }

    /// Returns the flag that makes the editor stop reading.
    pub(super) fn editor_break(&self) -> Arc<AtomicBool> {
        self.editor_break.clone()
    }

    /// Makes an interrupt end the session, as there is no user to continue it.
    pub(super) fn end_session_on_interrupt(&self) {
        self.interrupt_ends_session.store(true, Relaxed);
    }

    /// Marks the session as one that closes by itself.
    pub(super) fn start_closing(&self) {
        self.is_closing.store(true, Relaxed);
        self.start_work();
    }

    /// Starts work that can be interrupted.
    pub(super) fn start_work(&self) {
        self.runner.client.interrupts.start_work();
        self.is_working.store(true, Relaxed);
    }

    /// Marks the work as one that only an interrupt ends, which then needs no warning.
    pub(super) fn expect_interrupt(&self) {
        self.expects_interrupt.store(true, Relaxed);
    }

    /// Ends the work.
    pub(super) fn finish_work(&self) {
        self.is_working.store(false, Relaxed);
        self.expects_interrupt.store(false, Relaxed);
    }

    async fn handle_all(self: Arc<Self>, mut incoming: Incoming) {
        loop {
            match incoming.next().await {
                StopSignal::Interrupt => self.interrupt(),
                StopSignal::Termination => self.terminate(),
            }
        }
    }

    /// Ends the input that is running; kills everything if that was already interrupted.
    fn interrupt(self: &Arc<Self>) {
        if self.interrupt_ends_session.load(Relaxed) {
            return self.terminate();
        }
        if !self.is_working.load(Relaxed) {
            return;
        }
        let work = self.runner.client.interrupts.current();
        if work.is_cancelled() {
            kill();
        }
        if !self.expects_interrupt.load(Relaxed) {
            let text = "interrupted; press Ctrl-C again to kill lmrun and its engines";
            self.runner.emit(Event::Warned { text: text.into() });
        }
        work.cancel();
    }

    fn terminate(self: &Arc<Self>) {
        match self.turns.lock().next() {
            SignalOrder::First => {}
            SignalOrder::Repeated => return,
            SignalOrder::Second => kill(),
        }
        say("\ninterrupted: closing the engines; interrupt again to kill them");
        self.session.cancel();
        self.editor_break.store(true, Relaxed);
        tokio::spawn(self.clone().exit_without_editor());
    }

    /// Exits if the editor does not stop, because its terminal is closed. A later run removes the
    /// folders of the session.
    async fn exit_without_editor(self: Arc<Self>) {
        tokio::time::sleep(EDITOR_TIMEOUT).await;
        while self.is_working.load(Relaxed) {
            tokio::time::sleep(EDITOR_TIMEOUT).await;
        }
        if !self.is_closing.load(Relaxed) {
            // There is no terminal to show an error.
            let _ = self.runner.fleet.close_all().await;
            std::process::exit(i32::from(Code::Interrupted.exit()));
        }
    }
}
