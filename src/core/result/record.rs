//! One row, read back.

use serde::{Deserialize, Deserializer, de::Error};
use std::collections::BTreeMap;
use std::sync::Arc;

/// MiB used on each GPU, by its name.
pub type GpuMemory = BTreeMap<String, f64>;

/// One request as its row tells it. What a row does not tell is `None`: the original's rows have the
/// first ten columns only. What each is, [`crate::core::Row`] says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[allow(missing_docs, reason = "the columns are described once, at `Row`")]
pub struct Record {
    /// Its line in the file, from 1.
    #[serde(skip)]
    pub line: u64,
    /// The test case within the function, where the original had several.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub case_id: Option<u64>,
    /// `None` where the original wrote `-`, as it does for conversations.
    #[serde(deserialize_with = "whole_or_none")]
    pub expr_id: Option<u64>,
    pub timestamp: f64,
    #[serde(deserialize_with = "whole")]
    pub engine_id: u64,
    #[serde(deserialize_with = "whole")]
    pub request_id: u64,
    #[serde(rename = "TTFT", deserialize_with = "finite")]
    pub ttft: Option<f64>,
    #[serde(deserialize_with = "finite")]
    pub throughput: Option<f64>,
    #[serde(deserialize_with = "finite")]
    pub latency: Option<f64>,
    #[serde(deserialize_with = "whole")]
    pub context_len: u64,
    #[serde(deserialize_with = "whole")]
    pub query_len: u64,
    /// The cell as it stands; [`Record::gpus`] reads it.
    pub gpu_memory: Arc<str>,
    pub engine: Option<Arc<str>>,
    pub engine_kind: Option<Arc<str>>,
    pub simulated: Option<bool>,
    pub model: Option<Arc<str>>,
    pub session: Option<u64>,
    pub turn: Option<u64>,
    pub context_len_from: Option<Arc<str>>,
    pub status: Option<Arc<str>>,
    pub error: Option<String>,
    pub http_status: Option<u16>,
    pub x_request_id: Option<String>,
    pub prompt_tokens: Option<u64>,
    pub cached_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub output_tokens_from: Option<Arc<str>>,
    pub chunks: Option<u64>,
    pub chunk_tokens_from: Option<Arc<str>>,
    pub finish_reason: Option<Arc<str>>,
    #[serde(default, deserialize_with = "finite")]
    pub tpot_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub itl_mean_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub itl_p50_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub itl_p99_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub itl_max_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub icl_mean_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub icl_max_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub ttft_from_planned_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub latency_from_planned_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub planned_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub sent_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub headers_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub first_chunk_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub first_token_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub first_answer_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub last_token_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub done_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub send_lag_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub read_lag_s: Option<f64>,
    pub connected_late: Option<bool>,
    pub resent: Option<bool>,
    #[serde(default, deserialize_with = "finite")]
    pub intended_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub ended_s: Option<f64>,
    #[serde(default, deserialize_with = "finite")]
    pub stall_s: Option<f64>,
    pub chunks_joined: Option<u64>,
    pub chunks_stalled: Option<u64>,
    #[serde(default, deserialize_with = "finite")]
    pub ttft_late_s: Option<f64>,
    pub valid: Option<bool>,
    /// Columns that lmrun does not know, as they stand, in the order of the file.
    #[serde(skip)]
    pub extra: Vec<String>,
}

impl Record {
    /// Whether it was answered whole.
    pub fn is_ok(&self) -> bool {
        self.status.as_deref().is_none_or(|status| status == "ok") && self.error.is_none()
    }

    /// The engine's name; its number where the row has none.
    pub fn engine_name(&self) -> Arc<str> {
        self.engine
            .clone()
            .unwrap_or_else(|| format!("engine {}", self.engine_id).into())
    }

    /// The experiment that it belongs to.
    pub fn experiment(&self) -> (Option<u64>, Option<u64>) {
        (self.case_id, self.expr_id)
    }

    /// MiB used on each GPU; `None` where the cell is empty or something else.
    pub fn gpus(&self) -> Option<GpuMemory> {
        serde_json::from_str(&self.gpu_memory).ok()
    }

    /// The original's sign for a failed request, −1 three times, becomes a failure without measures.
    pub(crate) fn mend(mut self) -> Self {
        let measures = [self.ttft, self.throughput, self.latency];
        if self.status.is_none() && measures.iter().all(|measure| *measure == Some(-1.0)) {
            (self.ttft, self.throughput, self.latency) = (None, None, None);
            self.status = Some("failed".into());
            self.error = Some("no reason was recorded".into());
        }
        self
    }
}

/// pandas writes a column of whole numbers with a gap as `3.0`.
fn to_whole<E: Error>(number: f64) -> Result<u64, E> {
    const LARGEST: f64 = 9_007_199_254_740_992.0; // 2⁵³: beyond it a float skips whole numbers
    if (0.0..=LARGEST).contains(&number) && number.fract() == 0.0 {
        Ok(number as u64)
    } else {
        Err(E::custom("expected a whole number from 0"))
    }
}

fn whole<'de, D: Deserializer<'de>>(cell: D) -> Result<u64, D::Error> {
    to_whole(f64::deserialize(cell)?)
}

fn whole_or_none<'de, D: Deserializer<'de>>(cell: D) -> Result<Option<u64>, D::Error> {
    match <&str>::deserialize(cell)? {
        "" | "-" => Ok(None),
        text => {
            let number = text
                .parse()
                .map_err(|_| D::Error::custom("expected a whole number from 0"))?;
            to_whole(number).map(Some)
        }
    }
}

/// A number that is none, `nan` or `inf`, is no measure.
fn finite<'de, D: Deserializer<'de>>(cell: D) -> Result<Option<f64>, D::Error> {
    Ok(Option::<f64>::deserialize(cell)?.filter(|number| number.is_finite()))
}
