//! Page and picture of two made-up runs.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use plimsoll_lab::{
    demo::{Comparison, Figures, Storm, write},
    load::{Latency, Outcomes, Report, Second},
};

const TIMEOUT_MS: f64 = 5_000.0;
const COMMITTED_PER_S: f64 = 475.0;

fn storm() -> Storm {
    Storm {
        phases: "10s:380,20s:950,15s:380".parse().unwrap(),
        capacity_per_s: COMMITTED_PER_S,
        timeout_ms: 5_000,
        slow_disk: "sync=10ms,item=2ms".to_owned(),
    }
}

fn latency(count: u64, p50_ms: f64, p99_ms: f64) -> Latency {
    Latency { count, p50_ms, p90_ms: p50_ms, p99_ms, p999_ms: p99_ms, max_ms: p99_ms }
}

fn second(second: u64, outcomes: Outcomes, accepted: Latency, refused: Latency) -> Second {
    Second { second, outcomes, accepted, refused }
}

/// A server that accepts everything into one queue, first come first served.
fn unprotected() -> Vec<Second> {
    let mut queue = 0.0;
    offered(|index, offered| {
        let wait_ms = queue / COMMITTED_PER_S * 1e3;
        queue = (queue + offered - COMMITTED_PER_S).max(0.0);
        let in_time = ((TIMEOUT_MS - wait_ms) / 1e3).clamp(0.0, 1.0);
        let ok = (offered * in_time) as u64;
        let outcomes = Outcomes { ok, timeout: offered as u64 - ok, ..Outcomes::default() };
        let p99_ms = (wait_ms + queue / COMMITTED_PER_S * 1e3 + 120.0).min(TIMEOUT_MS);
        let accepted = latency(ok, (wait_ms + 60.0).min(TIMEOUT_MS), p99_ms);
        let accepted = if ok == 0 { Latency::default() } else { accepted };
        second(index, outcomes, accepted, Latency::default())
    })
}

/// A server that refuses what it cannot commit.
fn protected() -> Vec<Second> {
    offered(|index, offered| {
        let ok = offered.min(COMMITTED_PER_S - 7.0 + (index % 3) as f64 * 4.0) as u64;
        let refused = offered as u64 - ok;
        let outcomes = Outcomes { ok, refused, ..Outcomes::default() };
        let wobble = (index % 4) as f64;
        let (p50_ms, p99_ms) = if refused > 0 { (290.0, 470.0) } else { (60.0, 130.0) };
        let accepted = latency(ok, p50_ms + wobble * 5.0, p99_ms + wobble * 11.0);
        second(index, outcomes, accepted, latency(refused, 0.4, 1.3))
    })
}

fn offered(mut answer: impl FnMut(u64, f64) -> Second) -> Vec<Second> {
    (0..45).map(|s| answer(s, if (10..30).contains(&s) { 950.0 } else { 380.0 })).collect()
}

fn report(seconds: Vec<Second>) -> Report {
    let mut outcomes = Outcomes::default();
    for second in &seconds {
        outcomes += second.outcomes;
    }
    Report {
        operation: "approle-login".to_owned(),
        address: "http://127.0.0.1:8200".to_owned(),
        phases: Some(storm().phases),
        closed_loop_connections: None,
        duration_s: 45.0,
        outcomes,
        goodput_per_s: outcomes.ok as f64 / 45.0,
        accepted: Latency::default(),
        refused: Latency::default(),
        lateness: Latency::default(),
        seconds,
        flows: vec![],
        retries: None,
        first_error: None,
    }
}

fn comparison() -> Comparison {
    Comparison { storm: storm(), off: report(unprotected()), on: report(protected()) }
}

#[test]
fn the_figures_tell_the_two_runs_apart() {
    let Comparison { storm, off, on } = comparison();
    let (off, on) = (Figures::of(&off, &storm), Figures::of(&on, &storm));
    assert_eq!(on.offered_per_s, 950.0);
    assert!(on.goodput_of_capacity > 0.98 && on.goodput_late_of_capacity > 0.98);
    assert!(off.goodput_late_of_capacity < 0.1, "{off:?}");
    assert_eq!((on.timeout_per_s, off.refused_per_s), (0.0, 0.0));
    assert_eq!((on.recovery_s, off.recovery_s), (Some(0), None));
}

#[test]
fn the_page_is_complete_in_itself() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    write(&comparison(), dir).unwrap();
    let page = fs::read_to_string(dir.join("demo.html")).unwrap();
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("@import"));
    let links = page.matches("http").count() - page.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(links, 0, "the page refers to something outside itself");
    assert!(page.contains("<svg") && page.contains("</html>"));
    assert!(!page.contains("NaN") && !page.contains("{{"));
}

#[test]
fn the_picture_is_a_png_of_its_size() {
    let dir = tempfile::tempdir().unwrap();
    write(&comparison(), dir.path()).unwrap();
    let png = fs::read(dir.path().join("demo.png")).unwrap();
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (1_600, 1_000));
}

#[test]
fn a_run_in_which_nothing_succeeded_can_be_drawn() {
    let mut comparison = comparison();
    for second in &mut comparison.off.seconds {
        second.outcomes = Outcomes { timeout: 10, ..Outcomes::default() };
        second.accepted = Latency::default();
    }
    comparison.on.seconds.clear();
    write(&comparison, tempfile::tempdir().unwrap().path()).unwrap();
}
