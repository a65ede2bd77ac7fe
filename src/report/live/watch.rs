//! The events of a run, with the screen kept up to date between them.

use super::View;
use crate::core::{Event, Row};
use crate::driver::clock::Stamp;
use crate::report::screen::{Screen, Verbosity};
use std::io::Result;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Hands out events, and shows what goes on.
pub struct Watch {
    /// The screen.
    pub screen: Screen,
    view: View,
    shown: Stamp,
}

impl Watch {
    /// Nothing goes on yet.
    ///
    /// # Errors
    /// Fails as [`Screen::new`] does.
    pub fn new(verbosity: Verbosity, cancel: CancellationToken) -> Result<Self> {
        let screen = Screen::new(verbosity, cancel)?;
        Ok(Self {
            screen,
            view: View::default(),
            shown: Stamp::now(),
        })
    }

    /// The next event, `None` behind the last.
    pub fn next(&mut self, events: &Receiver<Event>) -> Option<Event> {
        loop {
            match events.recv_timeout(self.until_due()) {
                Ok(Event::RunDone) | Err(RecvTimeoutError::Disconnected) => {
                    self.screen.draw(&[]);
                    return None;
                }
                Ok(event) => {
                    self.view.take(&event, Stamp::now());
                    self.show();
                    return Some(event);
                }
                Err(RecvTimeoutError::Timeout) => self.show(),
            }
        }
    }

    /// Shows a request that has ended, where every request is shown.
    pub fn request(&mut self, row: &Row) {
        if self.screen.is_verbose() {
            self.screen.note(&request(row));
        }
    }

    fn until_due(&self) -> Duration {
        let passed_s = Stamp::now().since_s(self.shown);
        Duration::from_secs_f64((self.screen.frame_s() - passed_s).max(0.0))
    }

    fn show(&mut self) {
        let now = Stamp::now();
        if now.since_s(self.shown) < self.screen.frame_s() {
            return;
        }
        self.shown = now;
        match self.screen.width() {
            Some(width) => self
                .screen
                .draw(&self.view.screen(now, width, self.screen.has_color())),
            None => self
                .view
                .plain(now)
                .iter()
                .for_each(|line| self.screen.note(line)),
        }
    }
}

/// A request in a line.
fn request(row: &Row) -> String {
    let name = format!("  {} {}", row.engine, row.request_id);
    if let Some(error) = &row.error {
        return format!("{name}: failed: {error}");
    }
    let measure =
        |word: &str, value: Option<f64>| value.map(|value| format!("{word} {value:.3} s"));
    let tokens = row.output_tokens.map(|tokens| format!("{tokens} tokens"));
    let cached = row.cached_tokens.map(|tokens| format!("{tokens} cached"));
    let parts = [
        measure("TTFT", row.ttft),
        measure("latency", row.latency),
        tokens,
        cached,
    ];
    format!(
        "{name}: {}",
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line() {
        let row = Row {
            engine: "e".into(),
            request_id: 7,
            ttft: Some(0.12345),
            latency: Some(1.5),
            output_tokens: Some(20),
            ..Row::default()
        };
        assert_eq!(
            request(&row),
            "  e 7: TTFT 0.123 s, latency 1.500 s, 20 tokens"
        );
        let failed = Row {
            error: Some("HTTP 503: busy".into()),
            ..row
        };
        assert_eq!(request(&failed), "  e 7: failed: HTTP 503: busy");
    }
}
