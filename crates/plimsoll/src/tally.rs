//! What a gate was asked and what it refused: since the start, and of late.
//!
//! Counters only, so that counting never makes two requests wait for each other.
//! The last ten seconds are exact but for requests that are counted in the instant
//! in which a second ends.

use crate::Timestamp;
use crate::controller::GateSnapshot;
use crate::demand::Class;
use crate::mode::Mode;
use crate::sync::{AtomicU64, Ordering};
use crate::verdict::{Gate, Reason};

const SLOTS: usize = 10;
const SLOT_NANOS: u64 = 1_000_000_000;
/// A slot holds the refused in its lower half and the offered in its upper.
const OFFERED: u64 = 1 << 32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Offered in seconds that have passed out of the slots.
    offered_before: AtomicU64,
    refused: [[AtomicU64; Reason::COUNT]; Class::COUNT],
    slots: [AtomicU64; SLOTS],
    /// The second that the newest slot stands for.
    second: AtomicU64,
}

impl Tally {
    pub(crate) fn offered(&self, now: Timestamp) {
        self.slot(now).fetch_add(OFFERED, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, now: Timestamp, class: Class, reason: Reason) {
        self.refused[class.index()][reason.index()].fetch_add(1, Ordering::Relaxed);
        self.slot(now).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(
        &self,
        now: Timestamp,
        gate: Gate,
        mode: Mode,
        saturation: f64,
    ) -> GateSnapshot {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.slot(now);
        let (offered, refused) = self
            .slots
            .iter()
            .map(load)
            .fold((0, 0), |sums, slot| (sums.0 + slot / OFFERED, sums.1 + slot % OFFERED));
        let fraction = refused as f64 / (offered as f64).max(1.0);
        GateSnapshot {
            gate,
            mode,
            saturation: saturation.clamp(0.0, 1.0),
            reject_fraction: fraction.min(1.0),
            offered: load(&self.offered_before) + offered,
            refused: core::array::from_fn(|class| {
                core::array::from_fn(|reason| load(&self.refused[class][reason]))
            }),
        }
    }

    /// The slot of this second; whoever comes first in a second empties the slots
    /// of those that have passed.
    fn slot(&self, now: Timestamp) -> &AtomicU64 {
        let second = now.as_nanos() / SLOT_NANOS;
        let mut newest = self.second.load(Ordering::Relaxed);
        if second > newest {
            newest = self.second.fetch_max(second, Ordering::Relaxed);
            for passed in (newest + 1..=second).rev().take(SLOTS) {
                let slot = &self.slots[(passed % SLOTS as u64) as usize];
                let passed = slot.swap(0, Ordering::Relaxed);
                self.offered_before.fetch_add(passed / OFFERED, Ordering::Relaxed);
            }
        }
        // Time that runs backwards is booked on the newest slot.
        &self.slots[(second.max(newest) % SLOTS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    fn fraction(tally: &Tally, now: Timestamp) -> f64 {
        tally.snapshot(now, Gate::Reads, Mode::Enforce, 0.0).reject_fraction
    }

    #[test]
    fn the_fraction_is_that_of_the_last_ten_seconds() {
        let tally = Tally::default();
        for _ in 0..4 {
            tally.offered(at(1));
        }
        tally.refused(at(1), Class::Low, Reason::Full);
        assert!((fraction(&tally, at(10)) - 0.25).abs() < 1e-9);
        assert!(fraction(&tally, at(11)).abs() < 1e-9);
        assert!(fraction(&tally, at(5)).abs() < 1e-9, "time may run backwards");
    }

    #[test]
    fn what_was_offered_long_ago_is_still_in_the_total() {
        let tally = Tally::default();
        for second in [0, 1, 9, 40] {
            tally.offered(at(second));
        }
        assert_eq!(tally.snapshot(at(45), Gate::Reads, Mode::Enforce, 0.0).offered, 4);
    }

    #[test]
    fn totals_stay_and_are_told_apart_by_class_and_reason() {
        let tally = Tally::default();
        tally.refused(at(0), Class::High, Reason::NoSpace);
        let snapshot = tally.snapshot(at(100), Gate::Disk, Mode::Enforce, 2.0);
        assert_eq!(snapshot.refused[Class::High.index()][Reason::NoSpace.index()], 1);
        assert_eq!(snapshot.refused.iter().flatten().sum::<u64>(), 1);
        assert!((snapshot.saturation - 1.0).abs() < 1e-9);
    }
}
