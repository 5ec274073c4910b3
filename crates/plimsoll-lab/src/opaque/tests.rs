#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_scenarios_that_ship_are_scenarios() {
    assert!(shipped().unwrap().len() > 20);
}

/// Answers per second of two processors and 4 ms of work, if so many are there at once.
fn shared(more: &str, in_flight: u32) -> f64 {
    let text = format!(
        r#"
        title = "Shared"
        upstream = {{ kind = "sharing", cores = 2, service = "4ms", {more} }}
        clients.all = {{ flows = 100, load = "30s:4" }}
        measure = {{ from = "2s", until = "30s", within = "5s" }}
        [[case]]
        name = "case"
        "#
    );
    let scenario = parse("shared", &text).unwrap().remove(0);
    Score::new(&scenario, &contest(&scenario, &Contender::Fixed(in_flight), 1).unwrap()).goodput
}

#[test]
fn a_collector_of_garbage_takes_its_share() {
    let alone = shared("gain = 0", 16);
    let collected =
        shared(r#"collector = { every = "200ms", for = "100ms", speed = 0.5 }"#, 16) / alone;
    assert!((alone / 500.0 - 1.0).abs() < 0.05, "{alone}");
    assert!((collected - 0.75).abs() < 0.03, "{collected}");
}

#[test]
fn what_gains_from_company_answers_more_by_a_power_of_its_number() {
    let more = shared("gain = 0.2", 64) / shared("gain = 0.2", 16);
    assert!((more / 4_f64.powf(0.2) - 1.0).abs() < 0.05, "{more}");
}
