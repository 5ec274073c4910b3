#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

const SCENARIO: &str = r#"
title = "one's own"
[server]
flush = "2ms"
item = "20us"
batch_items = 64
[clients.all]
flows = 10
load = "1s:0.5,1s:2"
[measure]
from = "1s"
until = "2s"
within = "100ms"
[expect]
goodput_min = 0.9
"#;

fn options(dir: &std::path::Path, scenario: &str) -> RunOptions {
    let path = dir.join("mine.toml");
    fs::write(&path, scenario).unwrap();
    RunOptions {
        scenarios: vec![path],
        all: false,
        full: false,
        only: None,
        seed: 3,
        seeds: Some(2),
        alone: false,
        mutants: false,
        check: true,
        law: Law::default(),
        out_dir: dir.to_owned(),
        quiet: true,
    }
}

#[test]
fn a_scenario_of_ones_own_is_run_scored_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    suite::run(&options(dir.path(), SCENARIO)).unwrap();
    let report: LabReport =
        serde_json::from_str(&fs::read_to_string(dir.path().join("lab.json")).unwrap()).unwrap();
    let case = &report.cases[0];
    assert_eq!(case.name, "mine");
    assert!(case.ours().unwrap().score.goodput > 0.95);
    assert!(case.best_fixed.is_some());
    let page = fs::read_to_string(dir.path().join("lab.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("one's own"));
    // Complete in itself: the only address in it names the SVG standard.
    assert!(page.matches("http").all(|_| page.contains("http://www.w3.org/2000/svg")));
    assert!(!page.contains("<script") && !page.contains("<link"));
    let json = dir.path().join("lab.json");
    compare::run(&json, &json).unwrap();
}

#[test]
fn a_scenario_before_an_upstream_runs_the_same_way() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"
        title = "four workers"
        upstream = { kind = "workers", workers = 4, service = "5ms" }
        clients.all = { flows = 10, load = "1s:0.5,4s:2" }
        measure = { from = "2s", until = "5s", within = "1s" }
    "#;
    suite::run(&RunOptions { check: false, ..options(dir.path(), text) }).unwrap();
    let report: LabReport =
        serde_json::from_str(&fs::read_to_string(dir.path().join("lab.json")).unwrap()).unwrap();
    let case = &report.opaque[0];
    assert!(report.cases.is_empty() && case.rows.len() > 8);
    assert!((4..=8).contains(&case.best_limit), "{}", case.best_limit);
    let page = fs::read_to_string(dir.path().join("lab.html")).unwrap();
    assert!(page.contains("best fixed limit") && page.contains("four workers"));
}

#[test]
fn a_missed_mark_fails_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let text = SCENARIO.replace("goodput_min = 0.9", "goodput_min = 1.5");
    let error = suite::run(&RunOptions { alone: true, ..options(dir.path(), &text) }).unwrap_err();
    assert_eq!(error.to_string(), "1 pass marks are missed");
}

#[test]
fn a_law_is_read_or_refused() {
    let law: Law = "burst=25ms,efficiency=0.9,retry-after=constant:2s".parse().unwrap();
    assert_eq!(law.efficiency, Some(0.9));
    assert!(!law.ships() && "".parse::<Law>().unwrap().ships());
    for wrong in ["burst", "burst=soon", "efficiency=2", "colour=3", "retry-after=never"] {
        assert!(wrong.parse::<Law>().is_err(), "{wrong}");
    }
}

#[test]
fn the_scenarios_that_ship_are_scenarios() {
    let scenarios = shipped().unwrap();
    assert!(scenarios.len() > 50, "{}", scenarios.len());
}
