//! What was offered and what was refused in the last ten seconds.

use crate::Timestamp;

const SLOTS: usize = 10;
const SLOT_NANOS: u64 = 1_000_000_000;

/// Two sums over a sliding window of ten one-second slots, in units.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    offered: [u64; SLOTS],
    refused: [u64; SLOTS],
    /// The second that the newest slot stands for.
    second: u64,
}

impl Window {
    pub(crate) fn offered(&mut self, now: Timestamp, units: u32) {
        let slot = self.advance(now);
        self.offered[slot] += u64::from(units);
    }

    pub(crate) fn refused(&mut self, now: Timestamp, units: u32) {
        let slot = self.advance(now);
        self.refused[slot] += u64::from(units);
    }

    /// Refused over offered, 0 if nothing was offered.
    pub(crate) fn reject_fraction(&mut self, now: Timestamp) -> f64 {
        self.advance(now);
        let offered: u64 = self.offered.iter().sum();
        let refused: u64 = self.refused.iter().sum();
        // A request offered before the window may be displaced within it.
        if offered == 0 { 0.0 } else { (refused as f64 / offered as f64).min(1.0) }
    }

    fn advance(&mut self, now: Timestamp) -> usize {
        let second = now.as_nanos() / SLOT_NANOS;
        // Time that runs backwards is booked on the newest slot.
        if second <= self.second {
            return (self.second % SLOTS as u64) as usize;
        }
        for passed in (self.second + 1..=second).take(SLOTS) {
            let slot = (passed % SLOTS as u64) as usize;
            self.offered[slot] = 0;
            self.refused[slot] = 0;
        }
        if second - self.second >= SLOTS as u64 {
            self.offered = [0; SLOTS];
            self.refused = [0; SLOTS];
        }
        self.second = second;
        (second % SLOTS as u64) as usize
    }
}
