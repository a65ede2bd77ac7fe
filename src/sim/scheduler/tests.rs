//! Complete requests in virtual time: the reference times of an H100, and the order of requests.

use super::{
    DueToken, EngineLoad, Nanos, PromptSources, ResetTiers, Scheduler, SchedulerSetup, SimJob,
};
use crate::sim::cache::{KvPool, Tier, TierKind, Tiers};
use crate::sim::text::FinishReason;
use crate::sim::timing::{self, TierSpeed, Timing};
use crate::sim::tokens::prefix_hashes;

fn timing() -> Timing {
    Timing {
        jitter: 0.0,
        ..Timing::default()
    }
}

fn setup(pool: KvPool) -> SchedulerSetup {
    SchedulerSetup {
        timing: timing(),
        pool,
        tiers: None,
        connector_s: 0.0,
        max_num_seqs: 256,
        seed: 0,
    }
}

fn plain() -> SchedulerSetup {
    setup(KvPool::new(4_810, false))
}

fn with_tier(kind: TierKind, speed: TierSpeed, connector_s: f64) -> SchedulerSetup {
    let tiers = Some(Tiers::new(256, vec![Tier::new(kind, 10_000, speed)]));
    SchedulerSetup {
        tiers,
        connector_s,
        ..plain()
    }
}

fn with_cpu_tier() -> SchedulerSetup {
    with_tier(TierKind::Cpu, timing::CPU, timing::CONNECTOR_OVERHEAD_S)
}

/// A job whose prompt is a prefix of longer prompts of its family.
fn job(family: u32, prompt_tokens: u32, answer_tokens: u32) -> SimJob {
    let tokens: Vec<u32> = (0..prompt_tokens + answer_tokens)
        .map(|index| family * 100_000 + index)
        .collect();
    SimJob {
        prompt_tokens,
        answer_tokens,
        finish: FinishReason::Length,
        blocks: prefix_hashes(0, &tokens, 16),
        chunks: prefix_hashes(0, &tokens[..prompt_tokens as usize], 256),
    }
}

/// Runs all requests to their end. Returns all tokens in order.
fn drain(scheduler: &mut Scheduler) -> Vec<DueToken> {
    let mut tokens = Vec::new();
    while let Some(due) = scheduler.next_due() {
        tokens.extend(scheduler.next_token(due));
    }
    tokens
}

/// The TTFTs and the cached tokens of prompts that run one after the other on a fresh engine.
fn alone(setup: SchedulerSetup, prompts: &[u32]) -> Vec<(f64, u32)> {
    let mut scheduler = Scheduler::new(setup);
    let mut now: Nanos = 0;
    let mut results = Vec::new();
    for (id, tokens) in prompts.iter().enumerate() {
        scheduler.submit(now, id as u64, job(1, *tokens, 1));
        let token = drain(&mut scheduler)[0];
        let ttft_s = (token.due - now) as f64 / 1e9;
        results.push((ttft_s, token.sources.cached_tokens()));
        now = token.due + 1_000_000_000;
    }
    results
}

/// Compares with (prompt tokens, measured TTFT in seconds, cached tokens), within a relative error.
fn check(setup: SchedulerSetup, expected: &[(u32, f64, u32)], max_error: f64) {
    let prompts: Vec<u32> = expected.iter().map(|(prompt, ..)| *prompt).collect();
    for ((ttft_s, cached), (prompt, measured_s, hit)) in alone(setup, &prompts).iter().zip(expected)
    {
        assert!(
            (ttft_s / measured_s - 1.0).abs() < max_error,
            "{prompt}: modelled {ttft_s} s, measured {measured_s} s"
        );
        assert_eq!(cached, hit, "{prompt}");
    }
}

#[test]
fn plain_vllm_takes_as_long_as_on_an_h100() {
    let expected = [
        (1_225, 0.286, 0),
        (1_225, 0.060, 0),
        (12_025, 0.371, 0),
        (12_025, 0.364, 0),
        (24_025, 0.821, 0),
        (24_025, 0.832, 0),
    ];
    check(plain(), &expected, 0.03);
}

#[test]
fn cpu_tier_takes_as_long_as_on_an_h100() {
    let expected = [
        (1_225, 0.328, 0),
        (1_225, 0.080, 1_024),
        (12_025, 0.412, 1_024),
        (12_025, 0.147, 11_776),
        (24_025, 0.659, 11_776),
        (24_025, 0.19, 23_808),
    ];
    check(with_cpu_tier(), &expected, 0.08);
}

#[test]
fn mp_server_takes_as_long_as_on_an_h100() {
    let setup = with_tier(TierKind::MpServer, timing::MP_SERVER, timing::MP_OVERHEAD_S);
    let expected = [
        (12_025, 0.529, 0),
        (12_025, 0.132, 11_776),
        (24_025, 0.583, 11_776),
        (24_025, 0.181, 23_808),
    ];
    check(setup, &expected, 0.2);
}

#[test]
fn disk_tier_takes_as_long_as_on_an_h100() {
    let setup = with_tier(TierKind::Disk, timing::DISK, timing::CONNECTOR_OVERHEAD_S);
    let expected = [
        (12_025, 0.606, 0),
        (12_025, 0.343, 11_776),
        (24_025, 0.884, 11_776),
        (24_025, 0.587, 23_808),
    ];
    check(setup, &expected, 0.1);
}

#[test]
fn remote_store_is_slower_than_no_cache() {
    let setup = with_tier(
        TierKind::Remote,
        timing::REMOTE_CACHEGEN,
        timing::CONNECTOR_OVERHEAD_S,
    );
    let results = alone(setup, &[12_025, 12_025, 24_025, 24_025]);
    assert_eq!((results[1].1, results[3].1), (11_776, 23_808));
    assert!((results[1].0 / 0.78 - 1.0).abs() < 0.1, "{results:?}");
    assert!((results[3].0 / 1.35 - 1.0).abs() < 0.1, "{results:?}");
}

#[test]
fn gpu_hits_take_precedence_over_tier_hits() {
    let setup = SchedulerSetup {
        pool: KvPool::new(4_810, true),
        ..with_cpu_tier()
    };
    let mut scheduler = Scheduler::new(setup);
    scheduler.submit(0, 1, job(1, 1_225, 1));
    drain(&mut scheduler);
    scheduler.submit(10, 2, job(1, 1_225, 1));
    let on_gpu = PromptSources {
        gpu_tokens: 1_216,
        tier_tokens: 0,
        computed_tokens: 9,
    };
    assert_eq!(drain(&mut scheduler)[0].sources, on_gpu);
    assert!(scheduler.reset(ResetTiers::Keep));
    scheduler.submit(20, 3, job(1, 1_225, 1));
    let in_tier = PromptSources {
        gpu_tokens: 0,
        tier_tokens: 1_024,
        computed_tokens: 201,
    };
    assert_eq!(drain(&mut scheduler)[0].sources, in_tier);
}

#[test]
fn prefills_run_one_at_a_time_in_order_of_arrival() {
    let mut scheduler = Scheduler::new(plain());
    for id in 0..3 {
        scheduler.submit(0, id, job(id as u32 + 1, 1_225, 1));
    }
    assert_eq!((scheduler.load().running, scheduler.load().waiting), (1, 2));
    let prefill = (timing().prefill_s(0, 1_225) * 1e9) as Nanos;
    let warmup = (timing().warmup_s * 1e9) as Nanos;
    for (token, id) in drain(&mut scheduler).into_iter().zip(0..) {
        let due = warmup + (id + 1) * prefill;
        assert_eq!(token.id, id);
        assert!(token.due.abs_diff(due) < 10, "{token:?}, expected at {due}");
    }
}

#[test]
fn tokens_are_due_one_interval_after_the_previous_one() {
    let mut scheduler = Scheduler::new(plain());
    scheduler.submit(0, 1, job(1, 100, 4));
    let tokens = drain(&mut scheduler);
    assert_eq!(tokens.len(), 4);
    for (index, token) in tokens.iter().enumerate() {
        assert_eq!(token.index as usize, index);
        assert_eq!(token.due - tokens[0].due, index as Nanos * 25_000_000);
        assert_eq!(token.finish.is_some(), index == 3);
    }
    assert_eq!(scheduler.load(), EngineLoad::default());
}

#[test]
fn request_without_room_waits_for_the_end_of_another() {
    let setup = SchedulerSetup {
        pool: KvPool::new(64, true),
        ..plain()
    };
    let mut scheduler = Scheduler::new(setup);
    scheduler.submit(0, 1, job(1, 600, 100));
    scheduler.submit(0, 2, job(2, 600, 100));
    let tokens = drain(&mut scheduler);
    let last_of_first = tokens.iter().rposition(|token| token.id == 1).unwrap();
    let first_of_second = tokens.iter().position(|token| token.id == 2).unwrap();
    assert!(first_of_second > last_of_first);
    assert_eq!(tokens.len(), 200);
}

#[test]
fn abort_frees_the_blocks_and_starts_the_next_request() {
    let mut scheduler = Scheduler::new(SchedulerSetup {
        max_num_seqs: 1,
        ..plain()
    });
    scheduler.submit(0, 1, job(1, 600, 100));
    scheduler.submit(0, 2, job(2, 600, 100));
    assert!(scheduler.abort(1_000, 1));
    assert!(!scheduler.abort(1_000, 1));
    assert_eq!((scheduler.load().running, scheduler.load().waiting), (1, 0));
    assert!(drain(&mut scheduler).iter().all(|token| token.id == 2));
    assert_eq!(scheduler.load(), EngineLoad::default());
}

#[test]
fn server_without_limits_sends_each_token_at_a_fixed_time() {
    let timing = Timing {
        itl_s: 0.01,
        ..timing()
    }
    .without_limits(0.05);
    let mut scheduler = Scheduler::new(SchedulerSetup { timing, ..plain() });
    for id in 0..50 {
        scheduler.submit(0, id, job(id as u32, 1_000, 3));
    }
    let due_ms: Vec<u64> = drain(&mut scheduler)
        .iter()
        .map(|token| token.due / 1_000_000)
        .collect();
    assert_eq!(due_ms, [[50; 50], [60; 50], [70; 50]].concat());
}
