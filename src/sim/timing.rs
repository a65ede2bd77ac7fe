//! The timing model, fitted to vLLM 0.24.0 and `LMCache` 0.5.1 on one H100.
//!
//! A prefill of `n` tokens after `d` cached ones takes `overhead + a·n + b·(n² + 2·d·n)`. The
//! linear part is the layers, the quadratic part is attention. A cache hit adds the connector's
//! overhead and the transfer of the bytes.

/// The speed of the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timing {
    /// Fixed seconds of each prefill.
    pub(crate) prefill_overhead_s: f64,
    /// Seconds of prefill per computed token.
    pub(crate) prefill_per_token_s: f64,
    /// Seconds of attention per computed token and token of its context: the factor of the square.
    pub(crate) prefill_per_token_squared_s: f64,
    /// Fixed seconds to each first token, with prefills in parallel; `None` computes the prefill.
    pub(crate) ttft_s: Option<f64>,
    /// Additional seconds of the first request of a fresh engine.
    pub(crate) warmup_s: f64,
    /// Seconds between two tokens of a single request; 0 means as fast as possible.
    pub(crate) itl_s: f64,
    /// Relative increase of `itl_s` per additional running request.
    pub(crate) itl_slope: f64,
    /// Relative increase of `itl_s` during a prefill.
    pub(crate) prefill_slowdown: f64,
    /// Maximum relative deviation of prefill times and intervals (uniform, seeded).
    pub(crate) jitter: f64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            prefill_overhead_s: 0.032_2,
            prefill_per_token_s: 22.09e-6,
            prefill_per_token_squared_s: 0.464_6e-9,
            ttft_s: None,
            warmup_s: 0.22,
            itl_s: 0.025,
            itl_slope: 0.01,
            prefill_slowdown: 0.5,
            jitter: 0.01,
        }
    }
}

impl Timing {
    /// Returns the timing of a server without limits, to measure clients with: the first token
    /// after `ttft_s` and the others at the set interval, at any load.
    #[must_use]
    pub(crate) fn without_limits(self, ttft_s: f64) -> Self {
        Self {
            ttft_s: Some(ttft_s),
            itl_slope: 0.0,
            prefill_slowdown: 0.0,
            jitter: 0.0,
            ..self
        }
    }

    /// The seconds to compute `computed_tokens` after `cached_tokens`.
    pub(crate) fn prefill_s(&self, cached_tokens: u32, computed_tokens: u32) -> f64 {
        let d = f64::from(cached_tokens);
        let n = f64::from(computed_tokens);
        let pairs = n * n + 2.0 * d * n;
        self.prefill_overhead_s
            + self.prefill_per_token_s * n
            + self.prefill_per_token_squared_s * pairs
    }

    /// The seconds between two tokens while `decoding` requests decode and `prefilling` prefill.
    pub(crate) fn interval_s(&self, decoding: usize, prefilling: usize) -> f64 {
        let others = decoding.saturating_sub(1) as f64;
        self.itl_s
            * (1.0 + self.itl_slope * others)
            * (1.0 + self.prefill_slowdown * prefilling as f64)
    }

    /// All values, by name.
    pub(crate) fn parameters(&self) -> [(&'static str, f64); 9] {
        [
            ("ttft_s", self.ttft_s.unwrap_or(0.0)),
            ("prefill_overhead_s", self.prefill_overhead_s),
            ("prefill_per_token_s", self.prefill_per_token_s),
            (
                "prefill_per_token_squared_s",
                self.prefill_per_token_squared_s,
            ),
            ("warmup_s", self.warmup_s),
            ("itl_s", self.itl_s),
            ("itl_slope", self.itl_slope),
            ("prefill_slowdown", self.prefill_slowdown),
            ("jitter", self.jitter),
        ]
    }
}

/// The speed of one cache tier.
#[expect(clippy::struct_field_names, reason = "the unit is part of a name")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TierSpeed {
    /// GiB of KV per second to the GPU.
    pub(crate) load_gib_per_s: f64,
    /// GiB of KV per second from the GPU, as far as the request waits for it.
    pub(crate) store_gib_per_s: f64,
    /// Seconds before the first byte of a load.
    pub(crate) latency_s: f64,
}

impl TierSpeed {
    const fn new(load_gib_per_s: f64, store_gib_per_s: f64, latency_s: f64) -> Self {
        Self {
            load_gib_per_s,
            store_gib_per_s,
            latency_s,
        }
    }

    /// The seconds to load `gib` of KV; 0 for nothing.
    pub(crate) fn load_s(&self, gib: f64) -> f64 {
        if gib > 0.0 {
            self.latency_s + gib / self.load_gib_per_s
        } else {
            0.0
        }
    }

    /// The seconds that a request waits while `gib` of KV are stored.
    pub(crate) fn store_s(&self, gib: f64) -> f64 {
        gib / self.store_gib_per_s
    }
}

/// Seconds that each request waits for `LMCacheConnectorV1`, hit or miss.
pub(crate) const CONNECTOR_OVERHEAD_S: f64 = 0.042;
/// Seconds that each request waits for `LMCacheMPConnector`, hit or miss.
pub(crate) const MP_OVERHEAD_S: f64 = 0.045;

/// CPU memory inside the engine.
pub(crate) const CPU: TierSpeed = TierSpeed::new(26.5, 40.0, 0.0);
/// CPU memory of the `lmcache server`.
pub(crate) const MP_SERVER: TierSpeed = TierSpeed::new(31.0, 1_000.0, 0.0);
/// A local disk.
pub(crate) const DISK: TierSpeed = TierSpeed::new(6.06, 40.0, 0.023);
/// A remote store with `remote_serde: cachegen`.
pub(crate) const REMOTE_CACHEGEN: TierSpeed = TierSpeed::new(2.6, 3.0, 0.144);
/// A remote store with `remote_serde: naive`. An estimate, not measured.
pub(crate) const REMOTE_NAIVE: TierSpeed = TierSpeed::new(1.5, 1.5, 0.02);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_prefill_takes_as_long_as_on_an_h100() {
        for (tokens, measured_s) in [(1_225, 0.060), (12_025, 0.365), (24_025, 0.831)] {
            let modelled_s = Timing::default().prefill_s(0, tokens);
            assert!(
                (modelled_s / measured_s - 1.0).abs() < 0.02,
                "{tokens} tokens: {modelled_s} s"
            );
        }
    }

    #[test]
    fn prefill_time_grows_with_the_cached_context() {
        let timing = Timing::default();
        assert!(timing.prefill_s(23_808, 217) > timing.prefill_s(0, 217));
        assert!(timing.prefill_s(11_776, 12_249) < timing.prefill_s(0, 24_025));
    }

    #[test]
    fn interval_grows_with_running_requests_and_prefills() {
        let timing = Timing {
            itl_slope: 0.1,
            prefill_slowdown: 0.5,
            ..Timing::default()
        };
        assert!((timing.interval_s(1, 0) - 0.025).abs() < 1e-12);
        assert!((timing.interval_s(11, 0) - 0.05).abs() < 1e-12);
        assert!((timing.interval_s(1, 1) - 0.0375).abs() < 1e-12);
    }

    #[test]
    fn loading_nothing_takes_no_time() {
        assert!(DISK.load_s(0.0) < 1e-12);
        assert!((DISK.load_s(6.06) - 1.023).abs() < 1e-9);
    }
}
