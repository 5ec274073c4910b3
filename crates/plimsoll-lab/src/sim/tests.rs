#![allow(clippy::unwrap_used)]

use super::*;
use crate::{rivals, scenario::parse};

const BASE: &str = r#"
title = "two requests a commit"
[server]
flush = "8ms"
item = "1ms"
batch_items = 2
jitter = 0.0
[clients.all]
rate = "10s:400"
even = true
[measure]
from = "1s"
until = "10s"
within = "900ms"
"#;

fn run(text: &str, batches: f64) -> Record {
    let scenario = parse("test", text).unwrap().swap_remove(0);
    let setting = rivals::fixed(&scenario.server, batches);
    let mut rival = rivals::Rival::new(setting, scenario.server.batch_items);
    simulate(&scenario, &mut rival, 1).unwrap()
}

#[test]
fn an_overloaded_disk_serves_what_the_formula_says() {
    // B / S(B) = 2 / 10 ms = 200 a second, of 400.
    let record = run(BASE, 1.0);
    assert_eq!(record.served, 1_800);
    let refused = record.refused as f64 / record.attempts as f64;
    assert!((refused - 0.5).abs() < 0.01, "{refused}");
    // One batch waits while one commits: at most two commits.
    assert!(record.latency_us.max() <= 20_010, "{}", record.latency_us.max());
}

#[test]
fn each_batch_more_that_waits_is_a_commit_more_of_latency() {
    let median = |batches| run(BASE, batches).latency_us.value_at_quantile(0.5);
    let added = median(4.0) - median(1.0);
    assert!((29_000..=31_000).contains(&added), "{added}");
}

#[test]
fn a_client_that_gave_up_is_a_zombie_when_it_is_committed() {
    let impatient = BASE.replace("even = true", "even = true\ntimeout = \"50ms\"");
    let record = run(&impatient, 100.0);
    assert!(record.zombies > record.served * 9 / 10, "{} of {}", record.zombies, record.served);
}

#[test]
fn refused_clients_try_as_often_as_they_are_told() {
    let stubborn = BASE.replace("even = true", "even = true\nretries = 3");
    let group = &run(&stubborn, 1.0).groups[0];
    let tries = group.attempts as f64 / group.requests as f64;
    assert!((2.0..=4.0).contains(&tries), "{tries}");
}

#[test]
fn nothing_is_served_while_the_disk_hangs() {
    let stalled = format!("{BASE}[[stall]]\nat = \"2s\"\nfor = \"3s\"\n");
    let record = run(&stalled, 1.0);
    let during =
        record.commits.iter().filter(|(at, _)| (2_020_000_000..4_990_000_000).contains(at));
    assert_eq!(during.count(), 0);
    assert!(record.commits.iter().any(|(at, good)| *at > 5_000_000_000 && *good > 0));
}

#[test]
fn a_pool_before_the_queue_carries_what_its_workers_do() {
    let hashing = BASE
        .replace("batch_items = 2", "batch_items = 2\nprestage_workers = 2")
        .replace("even = true", "even = true\nprestage = \"50ms\"\nprestage_jitter = 0.0");
    // Two workers, 50 ms each: 40 a second reach the queue.
    let record = run(&hashing, 100.0);
    assert!((355..=365).contains(&record.served), "{}", record.served);
}
