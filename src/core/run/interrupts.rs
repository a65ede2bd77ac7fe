//! Interrupts of the whole run, and of one input at the prompt.

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The token that cancels the run, and the token that cancels its current work.
///
/// They differ at the prompt, where an input can be interrupted without the session.
pub(crate) struct Interrupts {
    run: CancellationToken,
    current: Mutex<CancellationToken>,
}

impl Interrupts {
    /// Creates the interrupts of a run whose work is cancelled with it.
    pub(crate) fn new(run: CancellationToken) -> Self {
        Self {
            current: Mutex::new(run.clone()),
            run,
        }
    }

    /// The token that cancels the current work.
    pub(crate) fn current(&self) -> CancellationToken {
        self.current.lock().clone()
    }

    /// Returns true if the current work was cancelled and the run was not.
    pub(crate) fn only_work_is_cancelled(&self) -> bool {
        self.current().is_cancelled() && !self.run.is_cancelled()
    }

    /// Starts work that can be cancelled without the run.
    pub(crate) fn start_work(&self) -> CancellationToken {
        let token = self.run.child_token();
        *self.current.lock() = token.clone();
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_cancelled_alone_or_with_the_run() {
        let run = CancellationToken::new();
        let interrupts = Interrupts::new(run.clone());
        interrupts.start_work().cancel();
        assert!(interrupts.current().is_cancelled());
        assert!(interrupts.only_work_is_cancelled() && !run.is_cancelled());
        let second = interrupts.start_work();
        assert!(!interrupts.current().is_cancelled());
        run.cancel();
        assert!(!interrupts.only_work_is_cancelled());
        assert!(second.is_cancelled() && interrupts.start_work().is_cancelled());
    }
}
