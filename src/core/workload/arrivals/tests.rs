use super::super::ConfigError;
use super::*;
use crate::core::Seconds;
use proptest::prelude::*;

/// A generator with a gap, and no count of its own.
const OPEN: GeneratorArrivals = GeneratorArrivals {
    gap_s: Some(8.0),
    count: None,
};

fn read(json: &str) -> Arrivals {
    serde_json::from_str(json).expect("known options")
}

fn arrivals(json: &str) -> Result<Arrivals, ConfigError> {
    read(json).checked(OPEN)
}

fn times(json: &str) -> Vec<f64> {
    let arrivals = arrivals(json).expect(json);
    arrivals.times(arrivals.count(10), 1)
}

#[test]
fn a_constant_rate_is_i_over_qps_plus_offset() {
    assert_eq!(
        times(r#"{"qps": 0.5, "duration_s": 7, "offset_s": 1}"#),
        [1.0, 3.0, 5.0]
    );
    assert_eq!(times(r#"{"gap_s": 2, "requests": 3}"#), [0.0, 2.0, 4.0]);
    assert_eq!(times(r#"{"gap_s": 0, "requests": 2}"#), [0.0, 0.0]);
    assert_eq!(times("{}").len(), 10);
}

#[test]
fn bursts_keep_the_mean_rate() {
    assert_eq!(
        times(r#"{"qps": 2, "requests": 5, "burst": 2}"#),
        [0.0, 0.0, 1.0, 1.0, 2.0]
    );
}

#[test]
fn a_ramp_brings_more_and_more() {
    let ramp =
        times(r#"{"qps": 0, "to_qps": 2, "duration_s": 4}"#.replace("\"qps\": 0", "\"qps\": 1e-9").as_str());
    let rounded: Vec<f64> = ramp.iter().map(|t| (t * 100.0).round() / 100.0).collect();
    assert_eq!(rounded, [0.0, 2.0, 2.83, 3.46], "√(4n)");
}

#[test]
fn stages_follow_each_other() {
    let json = r#"{"stages": [{"duration_s": 2, "qps": 1}, {"duration_s": 1, "qps": 4}]}"#;
    assert_eq!(times(json), [0.0, 1.0, 2.0, 2.25, 2.5, 2.75]);
}

#[test]
fn contradictions_are_named() {
    for (json, message) in [
        (
            r#"{"qps": 1, "gap_s": 1}"#,
            "`qps` and `gap_s` contradict each other: give one of them",
        ),
        (r#"{"qps": 0}"#, "`qps` must be greater than zero"),
        (
            r#"{"gap_s": 0, "duration_s": 3}"#,
            "`duration_s` gives no number of requests when `gap_s` is 0: give `requests`",
        ),
        (
            r#"{"arrivals": "gamma"}"#,
            "`burstiness` goes with `arrivals: \"gamma\"`, and only with it",
        ),
        (
            r#"{"to_qps": 3, "requests": 3}"#,
            "`to_qps` needs `qps`, the rate at the start",
        ),
        (
            r#"{"concurrency": 0}"#,
            "`concurrency` must be at least one",
        ),
        (
            r#"{"stages": [{"duration_s": 0, "qps": 1}]}"#,
            "`stages` each need `duration_s` and a rate above zero",
        ),
    ] {
        assert_eq!(arrivals(json).expect_err(json).to_string(), message);
    }
}

#[test]
fn a_count_of_its_own_needs_no_other_and_is_served_in_time() {
    let own = GeneratorArrivals {
        gap_s: Some(8.0),
        count: Some(("`users`", 10)),
    };
    let ramp = read(r#"{"qps": 1, "to_qps": 3}"#)
        .checked(own)
        .expect("the count gives the duration");
    let times = ramp.times(10, 1);
    let (early, late) = (times[1] - times[0], times[9] - times[8]);
    assert!(
        early > 2.0 * late && times[9] < 5.0,
        "ten at a mean rate of two: {times:?}"
    );
    for (json, message) in [
        (r#"{"requests": 3}"#, "`requests` is given here by `users`"),
        (
            r#"{"duration_s": 3, "qps": 1, "to_qps": 2}"#,
            "`duration_s` is given here by `users`",
        ),
        (
            r#"{"stages": [{"duration_s": 9, "qps": 1}]}"#,
            "`stages` bring 9, and 10 come by `users`: let them last longer",
        ),
    ] {
        assert_eq!(
            read(json).checked(own).expect_err(json).to_string(),
            message
        );
    }
    let stages = read(r#"{"stages": [{"duration_s": 9, "qps": 1}, {"duration_s": 1, "qps": 5}]}"#);
    assert!((stages.checked(own).expect("enough").times(10, 1)[9] - 9.0).abs() < 1e-9);
}

#[test]
fn schedules_beyond_the_longest_span_are_refused() {
    let long =
        |option| format!("`{option}` would make the requests last for over 1000000000 seconds");
    let (too_long, most) = (["qps", "gap_s", "stages"].map(long), 100);
    for (json, message) in [
        (r#"{"qps": 1e-308}"#, &too_long[0]),
        (r#"{"qps": 1e-8}"#, &too_long[0]),
        (r#"{"gap_s": 1e8}"#, &too_long[1]),
        (
            r#"{"stages": [{"duration_s": 1e9, "qps": 1}, {"duration_s": 1e9, "qps": 1}]}"#,
            &too_long[2],
        ),
    ] {
        assert_eq!(
            &read(json).check_length(most).expect_err(json).to_string(),
            message
        );
    }
    for json in [
        r#"{"qps": 1}"#,
        r#"{"gap_s": 1e7}"#,
        r#"{"gap_s": 0}"#,
        r#"{"concurrency": 3}"#,
        "{}",
    ] {
        assert_eq!(read(json).check_length(most), Ok(()), "{json}");
    }
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let timed = GeneratorArrivals {
        gap_s: None,
        count: None,
    };
    let needs_rate = "needs a rate (`qps`, `gap_s` or `stages`): the requests have their own times";
    let closed = "has no meaning with `concurrency`: the end of one request begins the next";
    for option in [
        r#""arrivals": "poisson""#,
        r#""burst": 2"#,
        r#""offset_s": 1"#,
    ] {
        let name = option.split('"').nth(1).expect("a name");
        let error = read(&format!("{{{option}}}"))
            .checked(timed)
            .expect_err(option)
            .to_string();
        assert_eq!(error, format!("`{name}` {needs_rate}"));
        assert!(
            read(&format!(r#"{{"qps": 1, {option}}}"#))
                .checked(timed)
                .is_ok(),
            "{option}"
        );
        assert!(
            read(&format!("{{{option}}}")).checked(OPEN).is_ok(),
            "{option}"
        );
        if name != "offset_s" {
            let error = arrivals(&format!(r#"{{"concurrency": 3, {option}}}"#))
                .expect_err(option)
                .to_string();
            assert_eq!(error, format!("`{name}` {closed}"));
        }
    }
    let gamma = arrivals(r#"{"concurrency": 3, "arrivals": "gamma", "burstiness": 2}"#);
    assert_eq!(
        gamma.expect_err("a closed loop").to_string(),
        format!("`arrivals` {closed}")
    );
}

fn any_arrivals() -> impl Strategy<Value = Arrivals> {
    let spacing = prop_oneof![
        Just((Spacing::Constant, None)),
        Just((Spacing::Poisson, None)),
        (0.1f64..10.0).prop_map(|shape| (Spacing::Gamma, Some(shape))),
    ];
    (
        0.1f64..20.0,
        0.0f64..30.0,
        spacing,
        prop::option::of(1u64..5),
        prop::option::of(0.0f64..20.0),
        0f64..5.0,
    )
        .prop_map(
            |(qps, duration_s, (arrivals, burstiness), burst, to_qps, offset_s)| Arrivals {
                qps: Some(qps),
                duration_s: Some(Seconds(duration_s)),
                arrivals,
                burstiness,
                burst,
                to_qps,
                offset_s: Seconds(offset_s),
                ..Arrivals::default()
            },
        )
}

proptest! {
    #[test]
    fn sorted_inside_the_duration_and_as_many_as_the_rate_gives(arrivals in any_arrivals(), seed: u64) {
        let arrivals = arrivals.checked(OPEN).expect("a config");
        let times = arrivals.times(arrivals.count(10), seed);
        let (duration_s, qps) = (arrivals.duration_s.unwrap_or_default().0, arrivals.qps.unwrap_or_default());
        let rate = f64::midpoint(qps, arrivals.to_qps.unwrap_or(qps));
        prop_assert_eq!(times.len() as u64, (duration_s * rate + 1e-9).floor() as u64);
        prop_assert!(times.is_sorted());
        let span = arrivals.offset_s.0..=arrivals.offset_s.0 + duration_s + 1e-9;
        prop_assert!(times.iter().all(|time| span.contains(time)), "{:?} in {:?}", times, span);
        prop_assert_eq!(&times, &arrivals.times(arrivals.count(10), seed));
        if arrivals.arrivals != Spacing::Constant && !times.is_empty() {
            prop_assert_ne!(times, arrivals.times(arrivals.count(10), seed.wrapping_add(1)));
        }
    }
}

/// The gaps of a Poisson process vary as much as their mean is long; gamma ones of shape 4
/// half as much.
#[test]
fn random_gaps_vary_as_they_should() {
    for (spacing, expected) in [
        (r#""arrivals": "poisson""#, 1.0),
        (r#""arrivals": "gamma", "burstiness": 4"#, 0.5),
    ] {
        let times = times(&format!(r#"{{"qps": 10, "requests": 20000, {spacing}}}"#));
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!(
            (variance.sqrt() / mean - expected).abs() < 0.03,
            "{spacing}: {}",
            variance.sqrt() / mean
        );
        assert!((mean - 0.1).abs() < 0.001);
    }
}
