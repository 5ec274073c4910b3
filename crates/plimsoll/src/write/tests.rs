#![allow(clippy::unwrap_used)]

use core::time::Duration;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::demand::{Class, Flow};
use crate::verdict::Reason;

const MS: Duration = Duration::from_millis(1);

/// Work that remembers why it was turned away.
#[derive(Clone, Debug, Default)]
struct Job {
    abandoned: bool,
    fate: Arc<Mutex<Option<Rejection>>>,
}

impl Job {
    fn reason(&self) -> Option<Reason> {
        self.fate.lock().unwrap().map(|rejection| rejection.reason)
    }
}

impl Work for Job {
    fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    fn turned_away(self, rejection: Rejection) {
        assert!(self.fate.lock().unwrap().replace(rejection).is_none(), "turned away twice");
    }
}

fn gate(mode: Mode) -> WriteGate<Job> {
    WriteGate::new(WriteGateConfig::default(), mode, Arc::new(()))
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

fn demand(class: Class, flow: u64) -> Demand {
    Demand { class, flow: Flow(flow), cost: Cost::item(512), deadline: None }
}

fn normal(flow: u64) -> Demand {
    demand(Class::Normal, flow)
}

/// Three commits of a disk with 10 ms a flush and 2 ms an item: k = 5, so that
/// B_eff = 5 * .95 / .05 = 95, S = 200 ms, and the rate is 475/s.
fn slow_disk(gate: &WriteGate<Job>) {
    for _ in 0..3 {
        commit(gate, at(0), 10 * MS, 2 * MS);
    }
    assert_eq!(gate.snapshot(at(0)).batch_units, 95);
}

fn commit(gate: &WriteGate<Job>, now: Timestamp, flush: Duration, per_unit: Duration) {
    gate.committed(now, CommitSample { units: 100, flush, work: 100 * per_unit });
}

/// Admits and queues until the gate refuses, at one instant.
fn fill(gate: &WriteGate<Job>, now: Timestamp, flow: u64) -> Vec<Job> {
    let mut jobs = Vec::new();
    while let Ok(place) = gate.admit(now, &normal(flow)) {
        let job = Job::default();
        gate.enqueue(now, place, Cost::item(512), job.clone()).unwrap();
        jobs.push(job);
        assert!(jobs.len() < 100_000, "nothing stops it");
    }
    jobs
}

fn taken(gate: &WriteGate<Job>, now: Timestamp) -> Batch<Job> {
    let mut batch = Batch::default();
    gate.take(now, false, &mut batch);
    batch
}

#[test]
fn an_empty_gate_admits_whatever_it_costs() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    let cost = Cost { items: 1, bytes: u64::MAX };
    let place = gate.admit(at(0), &Demand { cost, ..normal(1) });
    assert!(place.is_ok());
}

#[test]
fn one_batch_waits_while_one_commits_and_the_rest_is_refused() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    assert_eq!(fill(&gate, at(0), 1).len(), 95);
    let rejection = gate.admit(at(0), &normal(1)).unwrap_err();
    assert_eq!(rejection.reason, Reason::Full);
    assert!(rejection.retry_after >= Duration::from_secs(1));
    assert_eq!(taken(&gate, at(1)).units, 95);
    // The batch is on its way to the disk: the next one may wait.
    assert_eq!(fill(&gate, at(1), 1).len(), 95);
}

#[test]
fn an_idle_server_takes_a_burst_of_seventy_five_milliseconds() {
    let gate = gate(Mode::Enforce);
    for _ in 0..3 {
        commit(&gate, at(0), MS, Duration::from_micros(200));
    }
    // 4,750/s for 75 ms are 356 requests at once; then only the line of 95 rules.
    assert_eq!(fill(&gate, at(1_000), 1).len(), 356);
    while taken(&gate, at(1_000)).units > 0 {}
    assert_eq!(fill(&gate, at(1_000), 1).len(), 95);
}

#[test]
fn a_disk_ten_times_slower_does_not_move_the_line() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    for _ in 0..50 {
        commit(&gate, at(0), 100 * MS, 20 * MS);
    }
    // D/3 = 1.67 s bounds the batch before the knee does, at (1667 - 100) / 20.
    let line = gate.snapshot(at(0)).batch_units;
    assert!((78..=95).contains(&line), "{line}");
}

#[test]
fn one_wild_commit_hardly_moves_the_model() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    commit(&gate, at(0), Duration::from_secs(60), 2 * MS);
    let flush = gate.snapshot(at(0)).flush;
    assert!(flush < 20 * MS, "{flush:?}");
}

#[test]
fn a_quiet_flow_displaces_the_newest_work_of_a_greedy_one() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    let jobs = fill(&gate, at(0), 1);
    let place = gate.admit(at(0), &normal(2)).unwrap();
    assert_eq!(jobs.last().unwrap().reason(), Some(Reason::Displaced));
    assert_eq!(jobs.iter().filter(|job| job.reason().is_some()).count(), 1);
    drop(place);
}

#[test]
fn displacement_stops_where_the_difference_may_be_chance() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    fill(&gate, at(0), 1);
    // 95 places for two flows: 41 and 55 units are two deviations of 55 apart.
    assert_eq!(fill(&gate, at(0), 2).len(), 40);
}

#[test]
fn flows_that_ask_alike_do_not_displace_each_other() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    for round in 0..50 {
        for request in 0..190 {
            let now = at(200 * round + request);
            if let Ok(place) = gate.admit(now, &normal((request * 7 + round * 13) % 20)) {
                gate.enqueue(now, place, Cost::item(512), Job::default()).unwrap();
            }
        }
        commit(&gate, at(200 * (round + 1)), 10 * MS, 2 * MS);
        taken(&gate, at(200 * (round + 1)));
    }
    let refused = gate.snapshot(at(10_000)).counters.refused[Class::Normal.index()];
    let displaced = refused[Reason::Displaced.index()];
    assert!(displaced * 20 < refused[Reason::Full.index()], "{refused:?}");
}

#[test]
fn who_sits_on_places_gives_way_to_who_is_served_at_once() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    // Twenty flows hold the whole line while their passwords are hashed.
    let places: Vec<_> = (0..95).map(|i| gate.admit(at(0), &normal(i % 20)).unwrap()).collect();
    let mut served = 0;
    for round in 0..40 {
        for flow in 100..110 {
            let now = at(200 * round);
            if let Ok(place) = gate.admit(now, &normal(flow)) {
                gate.enqueue(now, place, Cost::item(512), Job::default()).unwrap();
            }
        }
        commit(&gate, at(200 * (round + 1)), 10 * MS, 2 * MS);
        served += taken(&gate, at(200 * (round + 1))).units;
    }
    assert!(served > 350, "{served}");
    drop(places);
}

#[test]
fn while_the_disk_hangs_the_fresh_take_the_places_of_the_stale() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    fill(&gate, at(0), 1);
    taken(&gate, at(0));
    let stale = fill(&gate, at(0), 1);
    assert!(gate.admit(at(10), &normal(1)).is_err(), "not hanging yet");
    assert!(gate.admit(at(5_000), &normal(1)).is_ok());
    assert_eq!(stale[0].reason(), Some(Reason::Displaced));
}

#[test]
fn the_reserve_of_the_bucket_admits_nobody() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    fill(&gate, at(0), 1);
    // Ten milliseconds are 4.75 units that the disk did not serve; in an
    // overload such gaps come by chance.
    assert!(gate.admit(at(10), &normal(1)).is_err());
}

#[test]
fn a_higher_class_displaces_a_lower_one_whoever_holds_more() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    let jobs = fill(&gate, at(0), 1);
    let _place = gate.admit(at(0), &demand(Class::High, 1)).unwrap();
    assert_eq!(jobs.last().unwrap().reason(), Some(Reason::Displaced));
    assert!(gate.admit(at(0), &demand(Class::Low, 9)).is_err());
}

#[test]
fn critical_work_is_never_refused_but_counts() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    fill(&gate, at(0), 1);
    let places: Vec<_> =
        (0..500).map(|_| gate.admit(at(0), &demand(Class::Critical, 3)).unwrap()).collect();
    assert_eq!(gate.snapshot(at(0)).reserved_units, 500);
    drop(places);
    assert_eq!(gate.snapshot(at(0)).reserved_units, 0);
}

#[test]
fn a_place_displaced_before_the_queue_is_told_at_the_queue() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    let places: Vec<_> = (0..95).map(|_| gate.admit(at(0), &normal(1)).unwrap()).collect();
    let quiet = gate.admit(at(0), &normal(2)).unwrap();
    let mut fates = places.into_iter().map(|place| {
        gate.enqueue(at(1), place, Cost::item(512), Job::default()).map_err(|(_, r)| r.reason)
    });
    assert_eq!(fates.by_ref().filter(Result::is_err).count(), 1);
    drop(fates);
    gate.enqueue(at(1), quiet, Cost::item(512), Job::default()).unwrap();
    assert_eq!(gate.snapshot(at(1)).waiting_units, 95);
}

#[test]
fn a_dropped_place_is_given_back_once() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    let places: Vec<_> = (0..95).map(|_| gate.admit(at(0), &normal(1)).unwrap()).collect();
    assert!(gate.admit(at(0), &normal(1)).is_err());
    drop(places);
    assert_eq!(gate.snapshot(at(0)).reserved_units, 0);
    assert_eq!(fill(&gate, at(0), 1).len(), 95);
}

#[test]
fn the_time_on_the_way_to_the_queue_raises_the_line() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    // 64 requests that take 100 ms from the ticket to the queue.
    for round in 0..64 {
        let start = at(1_000 * (round + 1));
        let place = gate.admit(start, &normal(1)).unwrap();
        let now = start + 100 * MS;
        gate.enqueue(now, place, Cost::item(512), Job::default()).unwrap();
        taken(&gate, now);
    }
    commit(&gate, at(100_000), 10 * MS, 2 * MS);
    // 475/s * 100 ms = 47.5 more than 95; the bucket holds another 95.
    let line = fill(&gate, at(100_000), 1).len();
    assert!((142..=238).contains(&line), "{line}");
}

#[test]
fn large_values_fill_a_batch_by_their_bytes() {
    let gate = gate(Mode::Enforce);
    assert_eq!(gate.units(Cost::item(512)), 1);
    assert_eq!(gate.units(Cost::item(1 << 20)), 256);
    let large = Demand { cost: Cost::item(1 << 20), ..normal(1) };
    let places: Vec<_> = (0..10).map_while(|_| gate.admit(at(0), &large).ok()).collect();
    assert_eq!(places.len(), 4);
}

#[test]
fn work_past_its_deadline_or_abandoned_is_not_committed() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    let queue = |deadline, abandoned| {
        let place = gate.admit(at(0), &Demand { deadline, ..normal(1) }).unwrap();
        let job = Job { abandoned, ..Job::default() };
        gate.enqueue(at(0), place, Cost::item(512), job.clone()).unwrap();
        job
    };
    let late = queue(Some(at(5)), false);
    let gone = queue(None, true);
    let alive = queue(Some(at(50)), false);
    assert_eq!(taken(&gate, at(10)).payloads.len(), 1);
    assert_eq!(late.reason(), Some(Reason::Deadline));
    assert_eq!(gone.reason(), Some(Reason::Deadline));
    assert_eq!(alive.reason(), None);
}

#[test]
fn background_work_finds_a_tenth_of_every_batch_free() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    fill(&gate, at(0), 1);
    let mut batch = Batch::default();
    gate.take(at(0), true, &mut batch);
    // 95 and an eighth are 106, of which a tenth is kept free.
    assert_eq!((batch.units, batch.room), (95, 11));
}

#[test]
fn a_slower_disk_trims_what_a_burst_let_in() {
    let gate = gate(Mode::Enforce);
    for _ in 0..3 {
        commit(&gate, at(0), MS, Duration::from_micros(200));
    }
    // 4,750/s: 95 and, after an idle second, 356 more.
    let jobs = fill(&gate, at(1_000), 1);
    assert!(jobs.len() > 200, "{}", jobs.len());
    for _ in 0..30 {
        commit(&gate, at(2_000), 10 * MS, 2 * MS);
    }
    let trimmed = jobs.iter().filter(|job| job.reason() == Some(Reason::Full)).count();
    // 475/s for 75 ms would be 36, so a batch of 95 is the burst.
    assert!(gate.snapshot(at(2_000)).waiting_units <= 190);
    assert_eq!(jobs.len() - trimmed, gate.snapshot(at(2_000)).waiting_units as usize);
}

#[test]
fn a_stalled_commit_earns_no_burst() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    fill(&gate, at(0), 1);
    taken(&gate, at(0));
    fill(&gate, at(0), 1);
    // The commit hangs for a minute: nothing was idle, nobody comes in who
    // pushes nobody out.
    let held = gate.snapshot(at(60_000)).waiting_units;
    let _ = gate.admit(at(60_000), &normal(1));
    assert!(gate.snapshot(at(60_000)).waiting_units < held);
}

#[test]
fn monitor_lets_everything_through_and_counts_what_it_would_refuse() {
    let gate = gate(Mode::Monitor);
    slow_disk(&gate);
    let places: Vec<_> = (0..200).map(|_| gate.admit(at(0), &normal(1)).unwrap()).collect();
    let snapshot = gate.snapshot(at(0));
    assert_eq!(snapshot.reserved_units, 200);
    assert_eq!(snapshot.counters.refused[Class::Normal.index()][Reason::Full.index()], 105);
    assert!((snapshot.reject_fraction - 0.525).abs() < 1e-9);
    drop(places);
}

#[test]
fn off_decides_and_counts_nothing() {
    let gate = gate(Mode::Off);
    slow_disk(&gate);
    let places: Vec<_> = (0..200).map(|_| gate.admit(at(0), &normal(1)).unwrap()).collect();
    assert_eq!(gate.snapshot(at(0)).counters, Counters::default());
    drop(places);
    gate.set_mode(Mode::Enforce);
    assert_eq!(fill(&gate, at(0), 1).len(), 95);
}

#[test]
fn forced_refusals_stay_out_of_the_reject_fraction() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    let rejection = gate.refuse(at(0), &normal(1), Reason::Forced);
    assert_eq!(rejection.reason, Reason::Forced);
    assert_eq!(gate.snapshot(at(0)).reject_fraction, 0.0);
    fill(&gate, at(0), 1);
    assert!(gate.snapshot(at(0)).reject_fraction > 0.0);
    assert_eq!(gate.snapshot(at(11_000)).reject_fraction, 0.0);
}

#[test]
fn the_longer_the_overload_the_later_the_appointment() {
    let gate = gate(Mode::Enforce);
    slow_disk(&gate);
    fill(&gate, at(0), 1);
    let waits: Vec<_> =
        (0..2_000).map(|_| gate.admit(at(0), &normal(1)).unwrap_err().retry_after).collect();
    assert!(waits.is_sorted());
    assert_eq!(waits[0], Duration::from_secs(1));
    assert_eq!(*waits.last().unwrap(), Duration::from_secs(10));
}

#[derive(Clone, Debug)]
enum Step {
    Admit { class: usize, flow: u64, bytes: u64 },
    Enqueue,
    Drop,
    Take,
    Commit { flush_us: u64, unit_us: u64 },
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..Class::COUNT, 0..6u64, 0..200_000u64)
            .prop_map(|(class, flow, bytes)| Step::Admit { class, flow, bytes }),
        4 => Just(Step::Enqueue),
        1 => Just(Step::Drop),
        1 => Just(Step::Take),
        1 => (0..50_000u64, 0..5_000u64)
            .prop_map(|(flush_us, unit_us)| Step::Commit { flush_us, unit_us }),
        1 => (0..500u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    /// Whatever happens, in whatever order: a request is committed, turned away or
    /// given back, exactly one of them, and what is held is what was not.
    #[test]
    fn no_place_is_ever_lost_or_given_back_twice(steps in prop::collection::vec(step(), 1..400)) {
        let gate = gate(Mode::Enforce);
        let mut now = at(0);
        let mut places = Vec::new();
        let mut queued: Vec<Job> = Vec::new();
        let mut committed = 0;
        for step in steps {
            match step {
                Step::Admit { class, flow, bytes } => {
                    let cost = Cost::item(bytes);
                    let demand = Demand { cost, ..demand(Class::ALL[class], flow) };
                    match gate.admit(now, &demand) {
                        Ok(place) => places.push((place, cost)),
                        Err(_) => prop_assert!(Class::ALL[class] != Class::Critical),
                    }
                }
                Step::Enqueue => if let Some((place, cost)) = places.pop() {
                    let job = Job::default();
                    match gate.enqueue(now, place, cost, job.clone()) {
                        Ok(()) => queued.push(job),
                        // Displaced by a newcomer, or trimmed as the line fell.
                        Err((_, Rejection { reason, .. })) => {
                            prop_assert!(matches!(reason, Reason::Displaced | Reason::Full));
                        }
                    }
                },
                Step::Drop => drop(places.pop()),
                Step::Take => committed += taken(&gate, now).payloads.len(),
                Step::Commit { flush_us, unit_us } => commit(
                    &gate, now, Duration::from_micros(flush_us), Duration::from_micros(unit_us),
                ),
                Step::Wait { ms } => now = now + ms as u32 * MS,
            }
        }
        places.clear();
        prop_assert_eq!(gate.snapshot(now).reserved_units, 0);
        loop {
            match taken(&gate, now).payloads.len() {
                0 => break,
                taken => committed += taken,
            }
        }
        prop_assert_eq!(gate.snapshot(now).waiting_units, 0);
        let turned_away = queued.iter().filter(|job| job.reason().is_some()).count();
        prop_assert_eq!(queued.len(), committed + turned_away);
    }
}
