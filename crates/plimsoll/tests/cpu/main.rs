//! The CPU gate before a simulated processor, through its public interface.

mod world;

use world::{Outcome, Theft, World};

const SEEDS: core::ops::Range<u64> = 0..5;
const SECONDS: f64 = 8.0;

fn runs(load: f64, theft: Theft) -> impl Iterator<Item = (u64, Outcome)> {
    SEEDS.map(move |seed| (seed, World::new(theft, seed).offer(load, SECONDS)))
}

#[test]
fn below_the_peak_nobody_takes_a_turn_and_nobody_is_refused() {
    for load in [0.1, 0.5, 0.7, 0.8] {
        for (seed, outcome) in runs(load, Theft::NONE) {
            assert_eq!((outcome.refused, outcome.turns), (0, 0), "seed {seed}, load {load}");
        }
    }
}

#[test]
fn at_two_thirds_of_the_peak_a_host_that_takes_a_little_makes_nobody_refused() {
    for (part, piece_ms) in [(0.05, 5.0), (0.05, 10.0), (0.17, 5.0)] {
        let parts =
            runs(0.7, Theft { part, piece_ms }).map(|(_, outcome)| outcome.refused_percent());
        let mean = parts.sum::<f64>() / SEEDS.count() as f64;
        assert!(mean <= 0.1, "{mean} % refused, {part} in pieces of {piece_ms} ms");
    }
}

#[test]
fn beyond_the_peak_the_accepted_are_answered_soon_and_nothing_is_wasted() {
    for (part, piece_ms) in [(0.0, 0.0), (0.05, 5.0), (0.05, 20.0), (0.17, 5.0)] {
        for load in [1.2, 2.0, 3.0, 5.0] {
            for (seed, outcome) in runs(load, Theft { part, piece_ms }) {
                let (goodput, p99) = (outcome.goodput(SECONDS), outcome.p99_ms());
                assert!(goodput >= 0.98, "seed {seed}, {load}x: {goodput}");
                let limit = if piece_ms < 20.0 { 100.0 } else { 130.0 };
                assert!(p99 <= limit, "seed {seed}, {load}x: {p99} ms");
            }
        }
    }
}

#[test]
fn a_second_after_a_flood_nobody_is_refused() {
    for seed in SEEDS {
        let mut world = World::new(Theft::NONE, seed);
        let flood = world.offer(5.0, 2.0);
        assert!(flood.refused > 0, "seed {seed}");
        world.offer(0.7, 1.0);
        let after = world.offer(0.7, 4.0);
        assert_eq!((after.refused, after.turns), (0, 0), "seed {seed}");
    }
}
