//! How long things take: a pure model, fitted to vLLM 0.24.0 and `LMCache` 0.5.1 on one H100.
//!
//! A prefill of `n` tokens behind `d` cached ones takes `overhead + a·n + b·(n² + 2·d·n)`: the linear part is the
//! layers, the quadratic part is attention. A cache hit adds the connector's overhead and the transfer of the bytes.

/// How fast the model computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Seconds of every prefill, whatever its length.
    pub prefill_overhead_s: f64,
    /// Seconds a computed token takes.
    pub prefill_per_token_s: f64,
    /// Seconds a pair of tokens takes that attend to each other, halved: the factor of the square.
    pub prefill_per_token_squared_s: f64,
    /// Seconds to every first token, whatever the load and the prompt: prefills run side by side.
    pub ttft_s: Option<f64>,
    /// Seconds the first request of a fresh engine takes on top.
    pub warmup_s: f64,
    /// Seconds between two tokens of a request that runs alone; 0 means as fast as possible.
    pub itl_s: f64,
    /// What each further running request adds to that, as a part of it.
    pub itl_slope: f64,
    /// What a prefill that runs meanwhile adds to it, as a part of it.
    pub prefill_slowdown: f64,
    /// How far prefill times and intervals stray, as a part of them (uniform, seeded).
    pub jitter: f64,
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
    /// A server without limits, to measure clients by: the first token after `ttft_s`, the others at the interval
    /// that is set, whatever the load.
    #[must_use]
    pub fn without_limits(self, ttft_s: f64) -> Self {
        Self {
            ttft_s: Some(ttft_s),
            itl_slope: 0.0,
            prefill_slowdown: 0.0,
            jitter: 0.0,
            ..self
        }
    }

    /// Seconds to compute `computed` tokens behind `cached` ones.
    pub fn prefill_s(&self, cached_tokens: u32, computed_tokens: u32) -> f64 {
        let (d, n) = (f64::from(cached_tokens), f64::from(computed_tokens));
        let pairs = n * n + 2.0 * d * n;
        self.prefill_overhead_s
            + self.prefill_per_token_s * n
            + self.prefill_per_token_squared_s * pairs
    }

    /// Seconds between two tokens while `decoding` requests decode and `prefilling` requests prefill.
    pub fn interval_s(&self, decoding: usize, prefilling: usize) -> f64 {
        let others = decoding.saturating_sub(1) as f64;
        self.itl_s
            * (1.0 + self.itl_slope * others)
            * (1.0 + self.prefill_slowdown * prefilling as f64)
    }

    pub(super) fn parameters(&self) -> [(&'static str, f64); 9] {
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

/// How fast one cache tier is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TierSpeed {
    /// GiB of KV a second on the way to the GPU.
    pub load_gib_per_s: f64,
    /// GiB of KV a second on the way from the GPU, as far as the request waits for it.
    pub store_gib_per_s: f64,
    /// Seconds a load takes before its first byte.
    pub latency_s: f64,
}

impl TierSpeed {
    /// Seconds to load `gib` of KV; nothing to load takes no time.
    pub fn load_s(&self, gib: f64) -> f64 {
        if gib > 0.0 {
            self.latency_s + gib / self.load_gib_per_s
        } else {
            0.0
        }
    }

    /// Seconds a request waits for `gib` of KV to be stored.
    pub fn store_s(&self, gib: f64) -> f64 {
        gib / self.store_gib_per_s
    }
}

/// The speeds of all tiers, and what the connector costs each request.
#[derive(Debug, Clone, PartialEq)]
pub struct TierSpeeds {
    /// Seconds every request waits for `LMCacheConnectorV1`, hit or not.
    pub connector_overhead_s: f64,
    /// Seconds every request waits for `LMCacheMPConnector`, hit or not.
    pub mp_overhead_s: f64,
    /// CPU memory inside the engine.
    pub cpu: TierSpeed,
    /// CPU memory of the `lmcache server`.
    pub mp: TierSpeed,
    /// A local disk.
    pub disk: TierSpeed,
    /// A remote store with `remote_serde: cachegen`.
    pub remote_cachegen: TierSpeed,
    /// A remote store with `remote_serde: naive`: an estimate, never measured.
    pub remote_naive: TierSpeed,
}

impl Default for TierSpeeds {
    fn default() -> Self {
        let speed = |load, store, latency_s| TierSpeed {
            load_gib_per_s: load,
            store_gib_per_s: store,
            latency_s,
        };
        Self {
            connector_overhead_s: 0.042,
            mp_overhead_s: 0.045,
            cpu: speed(26.5, 40.0, 0.0),
            mp: speed(31.0, 1_000.0, 0.0),
            disk: speed(6.06, 40.0, 0.023),
            remote_cachegen: speed(2.6, 3.0, 0.144),
            remote_naive: speed(1.5, 1.5, 0.02),
        }
    }
}

impl TierSpeeds {
    pub(super) fn parameters(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("connector_overhead_s", self.connector_overhead_s),
            ("mp_overhead_s", self.mp_overhead_s),
            ("cpu.latency_s", self.cpu.latency_s),
            ("mp.latency_s", self.mp.latency_s),
            ("disk.latency_s", self.disk.latency_s),
            ("remote_cachegen.latency_s", self.remote_cachegen.latency_s),
            ("remote_naive.latency_s", self.remote_naive.latency_s),
        ]
    }

    pub(super) fn bandwidths(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("cpu.load_gib_per_s", self.cpu.load_gib_per_s),
            ("cpu.store_gib_per_s", self.cpu.store_gib_per_s),
            ("mp.load_gib_per_s", self.mp.load_gib_per_s),
            ("mp.store_gib_per_s", self.mp.store_gib_per_s),
            ("disk.load_gib_per_s", self.disk.load_gib_per_s),
            ("disk.store_gib_per_s", self.disk.store_gib_per_s),
            (
                "remote_cachegen.load_gib_per_s",
                self.remote_cachegen.load_gib_per_s,
            ),
            (
                "remote_cachegen.store_gib_per_s",
                self.remote_cachegen.store_gib_per_s,
            ),
            (
                "remote_naive.load_gib_per_s",
                self.remote_naive.load_gib_per_s,
            ),
            (
                "remote_naive.store_gib_per_s",
                self.remote_naive.store_gib_per_s,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_prefill_takes_what_the_h100_took() {
        for (tokens, measured_s) in [(1_225, 0.060), (12_025, 0.365), (24_025, 0.831)] {
            let modelled_s = Timing::default().prefill_s(0, tokens);
            assert!(
                (modelled_s / measured_s - 1.0).abs() < 0.02,
                "{tokens} tokens: {modelled_s} s"
            );
        }
    }

    #[test]
    fn tokens_behind_a_long_context_cost_more_and_never_more_than_all_of_it() {
        let timing = Timing::default();
        assert!(timing.prefill_s(23_808, 217) > timing.prefill_s(0, 217));
        assert!(timing.prefill_s(11_776, 12_249) < timing.prefill_s(0, 24_025));
    }

    #[test]
    fn a_token_alone_takes_the_itl_and_company_stretches_it() {
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
    fn nothing_to_load_takes_no_time() {
        let speed = TierSpeeds::default().disk;
        assert!(speed.load_s(0.0) < 1e-12);
        assert!((speed.load_s(6.06) - 1.023).abs() < 1e-9);
    }
}
