//! One JSON object a request, with the gaps between its chunks.

use crate::core::Row;
use crate::driver::clock::Stamp;
use serde::Serialize;
use std::fs::File;
use std::io::{Result, Write};
use std::path::PathBuf;

/// A file of JSON lines that has every request on disk as soon as it is written, and never half a line.
pub struct RequestLog {
    file: File,
    length: u64,
}

/// The fields of a request for other tools; times are in milliseconds.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    ok: bool,
    ttft_ms: Option<f64>,
    latency_ms: Option<f64>,
    itl_ms: Vec<f32>,
    output_tokens: Option<u64>,
    send_lag_ms: Option<f64>,
    read_lag_ms: f64,
    connected_late: bool,
    error: Option<&'a str>,
}

impl RequestLog {
    /// Makes the file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &PathBuf) -> Result<Self> {
        Ok(Self {
            file: File::create(path)?,
            length: 0,
        })
    }

    /// Writes a request, whose chunks came at these moments, through to the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, row: &Row, chunks: &[Stamp]) -> Result<()> {
        let ms = |seconds: f64| seconds * 1e3;
        let line = Line {
            id: &row.x_request_id,
            ok: row.is_ok(),
            ttft_ms: row.ttft.map(ms),
            latency_ms: row.latency.map(ms),
            itl_ms: chunks
                .windows(2)
                .map(|pair| ms(pair[1].since_s(pair[0])) as f32)
                .collect(),
            output_tokens: row.output_tokens,
            send_lag_ms: row.send_lag_s.map(ms),
            read_lag_ms: ms(row.read_lag_s),
            connected_late: row.connected_late,
            error: row.error.as_deref(),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            // If even this fails, the file ends in half a line. A pipe has no length, so its error is
            // ignored.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(())
    }
}
