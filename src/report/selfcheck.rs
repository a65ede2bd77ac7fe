//! The result of a check of the client, on one screen.

use super::tables::new_table;
use crate::core::selfcheck::{SelfCheck, StepResult};

/// A row for each step, and what it all comes to.
pub fn draw(check: &SelfCheck) -> String {
    let header = [
        "load",
        "TTFT error p50",
        "p99",
        "max",
        "ITL error",
        "sent late",
        "read late",
        "written late",
        "CPU",
        "held",
    ];
    let mut table = new_table(&header.map(String::from), None);
    for found in &check.steps {
        table.add_row(cells(found));
    }
    let mut lines = vec![
        "milliseconds, the 99th percentile where it does not say; of fewer than 368 values the 90th, of \
         fewer than 36 the largest"
            .to_owned(),
        table.to_string(),
    ];
    let trouble = |found: &StepResult| {
        Some(format!(
            "not held: {}: {}",
            found.step.title(),
            found.trouble.as_ref()?
        ))
    };
    lines.extend(check.steps.iter().filter_map(trouble));
    lines.extend(
        check
            .skipped
            .iter()
            .map(|left_out| format!("left out: {left_out}")),
    );
    lines.extend(
        check
            .memory_mib
            .map(|mib| format!("lmrun had {mib} MiB of memory at most")),
    );
    lines.push(sentence(check));
    lines.join("\n")
}

/// The check as JSON, with the conclusion.
pub fn json(check: &SelfCheck) -> String {
    let mut value = serde_json::to_value(check).unwrap_or_default(); // numbers and texts: it can be written
    value["conclusion"] = serde_json::to_value(check.conclusion()).unwrap_or_default();
    format!("{value:#}")
}

fn sentence(check: &SelfCheck) -> String {
    let Some(seen) = check.conclusion() else {
        return "On this machine no load was held: nothing that lmrun measures here can be believed.".into();
    };
    let busy = seen.busy_error_s.map_or_else(String::new, |error_s| {
        format!(" ({} ms beside busy processes)", ms(error_s))
    });
    format!(
        "On this machine a single TTFT or ITL is accurate to {} ms{busy}; up to {:.0} requests/s and {} streams \
         are held.\nThis is the error of the client alone: two runs of the same engine differ by more.",
        ms(seen.error_s),
        seen.rate,
        seen.streams
    )
}

fn cells(found: &StepResult) -> Vec<String> {
    let at = |value: Option<f64>| value.map_or_else(|| "-".into(), ms);
    vec![
        found.step.title(),
        at(found.ttft_error_s.p50),
        at(found.ttft_error_s.high()),
        at(found.ttft_error_s.max),
        at(found.itl_error_s.high()),
        at(found.send_lag_s.high()),
        at(found.read_lag_s.high()),
        at(found.server_late_s.high()),
        found
            .cpu_share
            .map_or_else(|| "-".into(), |share| format!("{:.0} %", share * 100.0)),
        if found.trouble.is_none() { "yes" } else { "no" }.into(),
    ]
}

fn ms(seconds: f64) -> String {
    format!("{:.2}", seconds * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Spread;
    use crate::core::selfcheck::{busy_steps, rate_steps, stream_steps};

    fn found(
        step: crate::core::selfcheck::Step,
        error_s: f64,
        trouble: Option<&str>,
    ) -> StepResult {
        let spread = |s: f64| Spread {
            p50: Some(s / 2.0),
            p90: None,
            p99: Some(s),
            max: Some(2.0 * s),
        };
        StepResult {
            step,
            failed: 0,
            ttft_error_s: spread(error_s),
            itl_error_s: spread(error_s / 2.0),
            on_its_way_s: spread(0.000_1),
            send_lag_s: spread(0.000_3),
            read_lag_s: spread(0.000_4),
            server_late_s: spread(0.000_2),
            cpu_share: Some(0.25),
            trouble: trouble.map(Into::into),
        }
    }

    #[test]
    fn it_closes_with_what_the_machine_holds() {
        let mut check = SelfCheck {
            memory_mib: Some(50),
            ..SelfCheck::of_this_machine()
        };
        assert!(draw(&check).ends_with("can be believed."));
        check.steps = vec![
            found(stream_steps()[1], 0.000_1, None),
            found(rate_steps()[2], 0.000_2, None),
            found(rate_steps()[3], 0.09, Some("too late")),
            found(busy_steps()[0], 0.000_3, None),
        ];
        check.skipped = vec!["10000 streams: too few files".into()];
        insta::assert_snapshot!(draw(&check));
        let json: serde_json::Value = serde_json::from_str(&json(&check)).expect("JSON");
        assert_eq!(json["conclusion"]["rate"], 800.0);
        assert_eq!(json["found"][3]["busy"], true);
    }
}
