use super::*;
use crate::core::Row;

const START: Stamp = Stamp(1_000_000_000_000);

fn engine(name: &str, simulated: bool) -> StartedEngine {
    StartedEngine {
        name: name.into(),
        simulated,
        planned: 100,
    }
}

fn started(planned_s: Option<f64>) -> View {
    let start = ExperimentStart {
        title: "context 8192 tokens, 100 requests, one every 0.5 s".into(),
        start: START.plus_s(12.0),
        planned_s,
        engines: vec![engine("lmcache", false), engine("plain", true)],
    };
    let mut view = View::default();
    view.take(
        &Event::TestStarted {
            test: "test_local_cpu".into(),
        },
        START,
    );
    let title = start.title.clone();
    let planned = Event::ExperimentPlanned {
        expr_id: 0,
        title,
        workload: serde_json::Value::Null,
        engines: Vec::new(),
        requests: 100,
    };
    view.take(&planned, START);
    view.take(&Event::ExperimentStarted(start), START);
    view.take(&progress([0, 0]), START);
    view
}

fn progress([sent, in_flight]: [usize; 2]) -> Event {
    let engine = |gpu_mib| EngineProgress {
        sent,
        in_flight,
        gpu_mib: Some(gpu_mib),
    };
    Event::ExperimentProgress(vec![engine(40_321), engine(38_000)])
}

fn request_done(row: Row) -> Event {
    Event::RequestDone {
        row: Box::new(row),
        exchange: Box::default(),
    }
}

/// 40 of 100 requests sent to each, 30 answered; one of `plain` failed.
fn half_way(planned_s: Option<f64>) -> View {
    let mut view = started(planned_s);
    view.take(&progress([40, 10]), START);
    for engine_id in 0..2 {
        for i in 0..30 {
            let factor = f64::from(i + 1) * (engine_id + 1) as f64;
            let failed = engine_id == 1 && i == 0;
            let row = Row {
                engine_id,
                ttft: Some(factor * 0.01).filter(|_| !failed),
                latency: Some(factor * 0.5).filter(|_| !failed),
                output_tokens: Some(200).filter(|_| !failed),
                prompt_tokens: Some(100),
                cached_tokens: Some(75).filter(|_| engine_id == 0),
                send_lag_s: Some(0.0001),
                error: failed.then(|| "HTTP 503".into()),
                ..Row::default()
            };
            view.take(&request_done(row), START);
        }
    }
    view
}

fn screen(view: &mut View, width: usize) -> String {
    let lines = view.screen(START.plus_s(32.0), width, false);
    assert!(
        lines
            .iter()
            .all(|line| console::measure_text_width(line) <= width),
        "{lines:#?}"
    );
    lines.join("\n")
}

#[test]
fn a_running_experiment_at_140_columns() {
    insta::assert_snapshot!(screen(&mut half_way(Some(49.5)), 140));
}

#[test]
fn a_running_experiment_at_80_columns() {
    insta::assert_snapshot!(screen(&mut half_way(Some(49.5)), 80));
}

#[test]
fn a_running_experiment_at_60_columns() {
    insta::assert_snapshot!(screen(&mut half_way(Some(49.5)), 60));
}

#[test]
fn a_running_experiment_where_nothing_can_be_written_over() {
    let lines = half_way(Some(49.5)).plain(START.plus_s(32.0)).join("\n");
    insta::assert_snapshot!(lines);
}

#[test]
fn an_experiment_that_has_just_begun() {
    let mut view = started(None);
    insta::assert_snapshot!(screen(&mut view, 80));
}

#[test]
fn engines_that_start_show_the_last_line_of_their_log() {
    let mut view = View::default();
    view.take(
        &Event::TestStarted {
            test: "test_local_cpu".into(),
        },
        START,
    );
    for (name, port) in [("lmcache", 8000), ("plain", 8001)] {
        let waiting = Event::EngineWaiting {
            name: name.into(),
            port,
            elapsed_s: 20.0,
            awaited: "no answer from /health".into(),
            last_line: Some("\u{1b}[31mLoading\u{1b}[0m weights\u{7}: 40 %\r".into()),
        };
        view.take(&waiting, START.plus_s(20.0));
    }
    let lines = screen(&mut view, 80);
    assert!(
        !lines.contains(char::is_control) || !lines.contains('\u{1b}'),
        "{lines:?}"
    );
    insta::assert_snapshot!(lines);
    let ready = |port| Event::EngineReady {
        name: String::new(),
        port,
        after_s: 32.0,
    };
    view.take(&ready(8000), START);
    insta::assert_snapshot!(
        "one_engine_is_still_starting",
        view.plain(START.plus_s(32.0)).join("\n")
    );
}

#[test]
fn the_time_left_is_planned_or_told_by_what_has_ended() {
    let left = |planned_s, at_s| {
        let mut view = half_way(planned_s);
        view.running
            .as_mut()
            .expect("it runs")
            .left(START.plus_s(12.0 + at_s))
    };
    assert_eq!(
        left(Some(50.0), 30.0).as_deref(),
        Some("about 30 s left"),
        "20 s, and 20 under way at 2 a second"
    );
    assert_eq!(
        left(Some(50.0), 60.0).as_deref(),
        Some("about 20 s left"),
        "only those under way, at 1 a second"
    );
    assert_eq!(
        left(None, 30.0).as_deref(),
        Some("about 70 s left"),
        "60 of 200 in 30 s"
    );
}

#[test]
fn with_few_answers_the_last_takes_as_long_as_they_did() {
    let mut view = started(Some(50.0));
    let row = Row {
        latency: Some(5.0),
        ..Row::default()
    };
    view.take(&request_done(row), START);
    let mut left = |at_s| {
        view.running
            .as_mut()
            .expect("it runs")
            .left(START.plus_s(12.0 + at_s))
    };
    assert_eq!(left(20.0).as_deref(), Some("about 35 s left"));
    assert_eq!(left(60.0).as_deref(), Some("waiting for the last answers"));
}

#[test]
fn colors_are_beside_the_text_only() {
    let plain = screen(&mut half_way(Some(49.5)), 80);
    let colored = half_way(Some(49.5))
        .screen(START.plus_s(32.0), 80, true)
        .join("\n");
    assert!(
        colored.contains("\u{1b}[31m"),
        "a failure is red: {colored:?}"
    );
    assert_eq!(console::strip_ansi_codes(&colored), plain);
}

#[test]
fn nothing_goes_on_between_tests() {
    let mut view = half_way(None);
    let outcome = crate::core::Outcome::Passed;
    view.take(
        &Event::TestDone {
            test: "test_local_cpu".into(),
            outcome,
            took_s: 1.0,
        },
        START,
    );
    assert_eq!(view.screen(START, 80, false), Vec::<String>::new());
}
