//! The law against its pass marks, on fixed seeds, and the marks against mutants.

#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use plimsoll_lab::{
    lab::{Contender, Law, contest, pass_marks, shipped},
    opaque,
    rivals::{CATALOG, Mutant},
    scenario::{Scenario, parse},
};

const SEEDS: [u64; 1] = [1];

/// Two hours in virtual time are for the command, not for every commit.
fn quick() -> Vec<Scenario> {
    shipped().unwrap().into_iter().filter(|s| !s.name.starts_with("12-drift")).collect()
}

/// What a contender misses, run on every core.
fn missed(scenarios: &[Scenario], contender: Contender, seed: u64) -> Vec<String> {
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (score, ..) = contest(scenario, &contender, seed).unwrap();
                    let unbounded = scenario.expect.below_unbounded_max.map(|_| {
                        contest(scenario, &Contender::Rival(&CATALOG[0]), seed).unwrap().0.goodput
                    });
                    for mark in pass_marks(scenario, &score, unbounded) {
                        if !mark.holds {
                            missed.lock().unwrap().push(format!(
                                "{} seed {seed}: {} {:.4}, mark {:.4}",
                                scenario.name, mark.what, mark.measured, mark.mark
                            ));
                        }
                    }
                }
            });
        }
    });
    missed.into_inner().unwrap()
}

#[test]
fn the_gate_that_ships_holds_every_pass_mark() {
    let scenarios = quick();
    for seed in SEEDS {
        let missed = missed(&scenarios, Contender::Gate(Law::default()), seed);
        assert!(missed.is_empty(), "{}", missed.join("\n"));
    }
}

#[test]
fn no_mutant_holds_them() {
    let few = ["01-underload/0.9", "02-step/2x", "06-together/cron", "15-prestage/10ms"];
    let scenarios: Vec<_> =
        quick().into_iter().filter(|s| few.contains(&s.name.as_str())).collect();
    assert_eq!(scenarios.len(), few.len());
    for mutant in Mutant::ALL {
        let missed = missed(&scenarios, Contender::Mutant(mutant), 1);
        assert!(!missed.is_empty(), "{mutant:?} goes unnoticed");
    }
}

#[test]
fn the_same_seed_is_the_same_run_to_the_bit() {
    let scenarios = quick();
    let scenario = scenarios.iter().find(|s| s.name == "07-retry-storm/after").unwrap();
    let run = |seed| {
        let (score, record, _) = contest(scenario, &Contender::Gate(Law::default()), seed).unwrap();
        (serde_json::to_string(&score).unwrap(), record.commits, record.events)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

#[test]
fn every_rival_runs_at_every_setting() {
    let text = include_str!("../../../lab/scenarios/02-step.toml").replace("10s:2", "1s:2");
    let mut scenario = parse("short", &text).unwrap().swap_remove(1);
    scenario.measure.until = scenario.measure.step.unwrap();
    scenario.measure.from = Default::default();
    for entry in CATALOG {
        let settings = (entry.tuned)(&scenario.server).len();
        let tuned = (0..settings).map(|index| Contender::Tuned(entry, index));
        for contender in tuned.chain([Contender::Rival(entry)]) {
            let (score, ..) = contest(&scenario, &contender, 1).unwrap();
            assert!(score.goodput.is_finite() && score.success > 0.0, "{contender:?}");
        }
    }
}

/// What a contender misses before upstreams that cannot be seen, at every seed.
fn missed_opaque(scenarios: &[opaque::Scenario], contender: opaque::Contender) -> Vec<String> {
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    missed.lock().unwrap().extend(missed_in(scenario, &contender));
                }
            });
        }
    });
    missed.into_inner().unwrap()
}

fn missed_in(scenario: &opaque::Scenario, contender: &opaque::Contender) -> Vec<String> {
    // The best limit is sought once; what it does is measured at every seed.
    let (found, _) = opaque::best_fixed(scenario, OPAQUE_SEEDS[0]).unwrap();
    let score = |contender: &opaque::Contender, seed| {
        opaque::Score::new(scenario, &opaque::contest(scenario, contender, seed).unwrap())
    };
    let mut missed = Vec::new();
    for seed in OPAQUE_SEEDS {
        let fixed = score(&opaque::Contender::Fixed(found.limit), seed);
        let best = opaque::BestFixed { limit: found.limit, score: fixed };
        let marks = opaque::pass_marks(scenario, &score(contender, seed), &best);
        missed.extend(marks.iter().filter(|mark| !mark.holds).map(|mark| {
            let name = &scenario.name;
            format!("{name} seed {seed}: {} {:.4}, mark {:.4}", mark.what, mark.measured, mark.mark)
        }));
    }
    missed
}

const OPAQUE_SEEDS: [u64; 3] = [1, 2, 3];

#[test]
fn the_opaque_gate_holds_every_pass_mark() {
    let mut scenarios = opaque::shipped().unwrap();
    // The hours are for the command.
    scenarios.retain(|scenario| scenario.seconds() < 600.0);
    assert!(scenarios.len() > 25);
    let missed = missed_opaque(&scenarios, opaque::Contender::Gate);
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn no_opaque_mutant_holds_them() {
    let few = ["opaque-1-overload/4-cores", "opaque-1-overload/thrashing"];
    let mut scenarios = opaque::shipped().unwrap();
    scenarios.retain(|scenario| few.contains(&scenario.name.as_str()));
    assert_eq!(scenarios.len(), few.len());
    use opaque::Contender::{AlwaysAdmit, AlwaysReject, Frozen};
    for mutant in [Frozen, AlwaysAdmit, AlwaysReject] {
        assert!(!missed_opaque(&scenarios, mutant).is_empty(), "{mutant:?} goes unnoticed");
    }
}
