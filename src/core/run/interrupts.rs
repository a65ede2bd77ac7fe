//! What ends a run, and what ends only the work at hand.

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Tokens that end waits: that of the whole run, and one for each piece of work that can be ended
/// alone, as a line at the prompt is.
pub struct Interrupts {
    run: CancellationToken,
    now: Mutex<CancellationToken>,
}

impl Interrupts {
    /// All work ends with the run.
    pub fn of(run: CancellationToken) -> Self {
        Self {
            now: Mutex::new(run.clone()),
            run,
        }
    }

    /// What the work at hand heeds.
    pub fn now(&self) -> CancellationToken {
        self.now.lock().clone()
    }

    /// Returns true if the work at hand was ended and the run goes on.
    pub fn only_work_ends(&self) -> bool {
        self.now().is_cancelled() && !self.run.is_cancelled()
    }

    /// Begins work that can be ended alone.
    pub fn begin(&self) -> CancellationToken {
        let token = self.run.child_token();
        *self.now.lock() = token.clone();
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_alone_and_the_run_ends_all() {
        let run = CancellationToken::new();
        let interrupts = Interrupts::of(run.clone());
        interrupts.begin().cancel();
        assert!(
            interrupts.now().is_cancelled() && interrupts.only_work_ends() && !run.is_cancelled()
        );
        let second = interrupts.begin();
        assert!(!interrupts.now().is_cancelled());
        run.cancel();
        assert!(!interrupts.only_work_ends());
        assert!(second.is_cancelled() && interrupts.begin().is_cancelled());
    }
}
