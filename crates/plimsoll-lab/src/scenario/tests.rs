#![allow(clippy::unwrap_used)]

use super::*;

const BASE: &str = r#"
title = "a step"
[server]
flush = "2ms"
item = "20us"
batch_items = 64
[clients.all]
load = "1s:0.5,1s:2"
[measure]
from = "1s"
until = "2s"
within = "100ms"
"#;

fn error(text: &str) -> String {
    parse("mine", text).unwrap_err().to_string()
}

#[test]
fn a_case_changes_only_what_it_names() {
    let text = format!("{BASE}\n[[case]]\nname = \"slow\"\nserver.flush = \"20ms\"\n");
    let cases = parse("mine", &text).unwrap();
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0].name, "mine/slow");
    assert_eq!(cases[0].server.flush, Span::from_seconds(0.02));
    assert_eq!(cases[0].server.batch_items, 64);
}

#[test]
fn loads_are_multiples_of_what_the_disk_carries() {
    let scenario = &parse("mine", BASE).unwrap()[0];
    let schedule = scenario.clients[0].1.requests(&scenario.server).unwrap().unwrap();
    let carried = 64.0 / (0.002 + 64.0 * 0.000_02);
    assert!((schedule.phases()[1].rate_per_s - 2.0 * carried).abs() < 1e-6);
}

#[test]
fn an_unknown_key_is_named() {
    assert!(error(&BASE.replace("[measure]", "colour = 3\n[measure]")).contains("colour"));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    for (from, to) in [
        ("batch_items = 64", "batch_items = 0"),
        ("\"2ms\"", "\"soon\""),
        ("1s:0.5", "1s"),
        ("until = \"2s\"", "until = \"1s\""),
        ("load = ", "rate = \"1s:5\"\nload = "),
        ("1s:2", "9h:2"),
        ("[server]", "[server"),
        ("load =", "flows = 0\nload ="),
    ] {
        let text = BASE.replace(from, to);
        assert_ne!(text, BASE);
        let error = error(&text);
        assert!(!error.contains('\n') && error.starts_with("mine: "), "{error}");
    }
}

#[test]
fn a_ramp_goes_up_and_comes_down_again() {
    let span = Span::from_seconds;
    let slow = Slowdown { at: span(1.0), lasting: span(4.0), times: 3.0, ramp: span(1.0) };
    let factors = [0.5, 1.5, 3.0, 4.5, 5.5].map(|s| slow.factor(s));
    assert_eq!(factors, [1.0, 2.0, 3.0, 2.0, 1.0]);
}
