//! Ctrl-C and SIGTERM.

use crate::bench::Code;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The first signal ends the work in order, `doing` what it says. At the second this process ends at
/// once, and the watchdog kills what it leaves. `tell` is given what to say.
pub async fn heed(cancel: CancellationToken, doing: &'static str, tell: impl Fn(&str) + Send) {
    let (Ok(mut interrupts), Ok(mut terminations)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
        }
        if cancel.is_cancelled() {
            eprintln!("killed");
            std::process::exit(i32::from(Code::Interrupted.exit()));
        }
        tell(&format!("interrupted: {doing}; once more kills at once"));
        cancel.cancel();
    }
}

/// Says it where nothing else is shown.
pub fn say(text: &str) {
    eprintln!("\n{text}");
}
