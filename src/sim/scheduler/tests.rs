//! Whole requests in virtual time: the tables of the H100 reference, and who waits for whom.

use super::{
    super::{
        cache::{Pool, Tier, TierKind, Tiers},
        timing::{TierSpeed, TierSpeeds, Timing},
        tokens::prefix_hashes,
        words::FinishReason,
    },
    Job, Nanos, ResetTiers, Scheduler, Setup, Step,
};

fn timing() -> Timing {
    Timing {
        jitter: 0.0,
        ..Timing::default()
    }
}

fn setup(pool: Pool) -> Setup {
    Setup {
        timing: timing(),
        pool,
        tiers: None,
        connector_s: 0.0,
        block_tokens: 16,
        kv_gib_per_token: 128.0 / 1_048_576.0,
        max_num_seqs: 256,
        seed: 0,
    }
}

fn plain() -> Setup {
    setup(Pool::new(4_810, false))
}

fn with_tier(kind: TierKind, speed: TierSpeed, connector_s: f64) -> Setup {
    let tiers = Some(Tiers::new(256, vec![Tier::new(kind, 10_000, speed)]));
    Setup {
        tiers,
        connector_s,
        ..plain()
    }
}

fn with_cpu_tier() -> Setup {
    let speeds = TierSpeeds::default();
    with_tier(TierKind::Cpu, speeds.cpu, speeds.connector_overhead_s)
}

/// A prompt that is a prefix of any longer one of its family.
fn job(family: u32, prompt_tokens: u32, answer_tokens: u32) -> Job {
    let tokens: Vec<u32> = (0..prompt_tokens + answer_tokens)
        .map(|index| family * 100_000 + index)
        .collect();
    Job {
        prompt_tokens,
        answer_tokens,
        finish: FinishReason::Length,
        blocks: prefix_hashes(0, &tokens, 16),
        chunks: prefix_hashes(0, &tokens[..prompt_tokens as usize], 256),
    }
}

/// Runs to the end: every step in its order, at the moment it is due.
fn drain(scheduler: &mut Scheduler) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(due) = scheduler.next_due() {
        steps.extend(scheduler.step(due));
    }
    steps
}

/// The TTFTs and the cached tokens of these prompts, one after the other on one fresh engine.
fn alone(setup: Setup, prompts: &[u32]) -> Vec<(f64, u32)> {
    let mut scheduler = Scheduler::new(setup);
    let mut now: Nanos = 0;
    let mut seen = Vec::new();
    for (id, tokens) in prompts.iter().enumerate() {
        scheduler.submit(now, id as u64, job(1, *tokens, 1));
        let step = drain(&mut scheduler)[0];
        seen.push(((step.due - now) as f64 / 1e9, step.sources.cached_tokens()));
        now = step.due + 1_000_000_000;
    }
    seen
}

fn check(setup: Setup, prompts: &[u32], expected: &[(f64, u32)], within: f64) {
    for (index, ((ttft_s, cached), (measured_s, hit))) in
        alone(setup, prompts).iter().zip(expected).enumerate()
    {
        assert!(
            (ttft_s / measured_s - 1.0).abs() < within,
            "{index}: modelled {ttft_s} s, measured {measured_s} s"
        );
        assert_eq!(cached, hit, "{index}");
    }
}

const PROMPTS: [u32; 6] = [1_225, 1_225, 12_025, 12_025, 24_025, 24_025];

#[test]
fn plain_vllm_takes_what_the_h100_took() {
    let expected = [
        (0.286, 0),
        (0.060, 0),
        (0.371, 0),
        (0.364, 0),
        (0.821, 0),
        (0.832, 0),
    ];
    check(plain(), &PROMPTS, &expected, 0.03);
}

#[test]
fn a_cpu_tier_takes_what_the_h100_took() {
    let expected = [
        (0.328, 0),
        (0.080, 1_024),
        (0.412, 1_024),
        (0.147, 11_776),
        (0.659, 11_776),
        (0.19, 23_808),
    ];
    check(with_cpu_tier(), &PROMPTS, &expected, 0.08);
}

#[test]
fn the_mp_server_takes_what_the_h100_took() {
    let speeds = TierSpeeds::default();
    let setup = with_tier(TierKind::MpServer, speeds.mp, speeds.mp_overhead_s);
    let expected = [
        (0.529, 0),
        (0.132, 11_776),
        (0.583, 11_776),
        (0.181, 23_808),
    ];
    check(setup, &[12_025, 12_025, 24_025, 24_025], &expected, 0.2);
}

#[test]
fn a_disk_takes_what_the_h100_took() {
    let speeds = TierSpeeds::default();
    let setup = with_tier(TierKind::Disk, speeds.disk, speeds.connector_overhead_s);
    let expected = [
        (0.606, 0),
        (0.343, 11_776),
        (0.884, 11_776),
        (0.587, 23_808),
    ];
    check(setup, &[12_025, 12_025, 24_025, 24_025], &expected, 0.1);
}

#[test]
fn a_remote_store_hits_every_token_and_is_slower_than_no_cache() {
    let speeds = TierSpeeds::default();
    let setup = with_tier(
        TierKind::Remote,
        speeds.remote_cachegen,
        speeds.connector_overhead_s,
    );
    let seen = alone(setup, &[12_025, 12_025, 24_025, 24_025]);
    assert_eq!((seen[1].1, seen[3].1), (11_776, 23_808));
    assert!((seen[1].0 / 0.78 - 1.0).abs() < 0.1, "{seen:?}");
    assert!((seen[3].0 / 1.35 - 1.0).abs() < 0.1, "{seen:?}");
}

#[test]
fn hits_on_the_gpu_count_before_those_in_a_tier() {
    let setup = Setup {
        pool: Pool::new(4_810, true),
        ..with_cpu_tier()
    };
    let mut scheduler = Scheduler::new(setup);
    scheduler.submit(0, 1, job(1, 1_225, 1));
    drain(&mut scheduler);
    scheduler.submit(10, 2, job(1, 1_225, 1));
    let sources = drain(&mut scheduler)[0].sources;
    assert_eq!(
        (
            sources.gpu_tokens,
            sources.tier_tokens,
            sources.computed_tokens
        ),
        (1_216, 0, 9)
    );
    assert!(scheduler.reset(ResetTiers::Keep));
    scheduler.submit(20, 3, job(1, 1_225, 1));
    let sources = drain(&mut scheduler)[0].sources;
    assert_eq!(
        (
            sources.gpu_tokens,
            sources.tier_tokens,
            sources.computed_tokens
        ),
        (0, 1_024, 201)
    );
}

#[test]
fn prefills_wait_for_each_other_in_the_order_they_came() {
    let mut scheduler = Scheduler::new(plain());
    (0..3).for_each(|id| scheduler.submit(0, id, job(id as u32 + 1, 1_225, 1)));
    assert_eq!((scheduler.load().running, scheduler.load().waiting), (1, 2));
    let steps = drain(&mut scheduler);
    let prefill = (timing().prefill_s(0, 1_225) * 1e9) as Nanos;
    let warmup = (timing().warmup_s * 1e9) as Nanos;
    let expected: Vec<_> = (0..3).map(|id| (id, warmup + (id + 1) * prefill)).collect();
    let seen: Vec<_> = steps.iter().map(|step| (step.id, step.due)).collect();
    for ((id, due), (expected_id, expected_due)) in seen.into_iter().zip(expected) {
        assert_eq!(id, expected_id);
        assert!(
            due.abs_diff(expected_due) < 10,
            "{id}: {due}, expected {expected_due}"
        );
    }
}

#[test]
fn every_token_is_an_interval_after_the_last_one() {
    let mut scheduler = Scheduler::new(plain());
    scheduler.submit(0, 1, job(1, 100, 4));
    let steps = drain(&mut scheduler);
    assert_eq!(
        steps.iter().map(|step| step.index).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    assert!(
        steps
            .windows(2)
            .all(|pair| pair[1].due - pair[0].due == 25_000_000)
    );
    assert_eq!(steps.iter().filter(|step| step.finish.is_some()).count(), 1);
    assert_eq!(scheduler.load(), super::Load::default());
}

#[test]
fn a_request_that_finds_no_room_waits_for_one_that_ends() {
    let setup = Setup {
        pool: Pool::new(64, true),
        ..plain()
    };
    let mut scheduler = Scheduler::new(setup);
    scheduler.submit(0, 1, job(1, 600, 100));
    scheduler.submit(0, 2, job(2, 600, 100));
    let steps = drain(&mut scheduler);
    let last_of_first = steps.iter().rposition(|step| step.id == 1).unwrap();
    let first_of_second = steps.iter().position(|step| step.id == 2).unwrap();
    assert!(first_of_second > last_of_first);
    assert_eq!(steps.len(), 200);
}

#[test]
fn an_aborted_request_frees_what_it_held_and_lets_the_next_one_start() {
    let mut scheduler = Scheduler::new(Setup {
        max_num_seqs: 1,
        ..plain()
    });
    scheduler.submit(0, 1, job(1, 600, 100));
    scheduler.submit(0, 2, job(2, 600, 100));
    assert!(scheduler.abort(1_000, 1));
    assert!(!scheduler.abort(1_000, 1));
    assert_eq!((scheduler.load().running, scheduler.load().waiting), (1, 0));
    assert!(drain(&mut scheduler).iter().all(|step| step.id == 2));
    assert_eq!(scheduler.load(), super::Load::default());
}

#[test]
fn a_server_without_limits_answers_all_at_the_fixed_moment() {
    let timing = Timing {
        itl_s: 0.01,
        ..timing()
    }
    .without_limits(0.05);
    let mut scheduler = Scheduler::new(Setup { timing, ..plain() });
    (0..50).for_each(|id| scheduler.submit(0, id, job(id as u32, 1_000, 3)));
    let due_ms: Vec<u64> = drain(&mut scheduler)
        .iter()
        .map(|step| step.due / 1_000_000)
        .collect();
    assert_eq!(due_ms, [[50; 50], [60; 50], [70; 50]].concat());
}
