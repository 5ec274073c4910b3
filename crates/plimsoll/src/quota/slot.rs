//! One client in one window: ten counts and whether it is blocked.

use zerocopy::FromZeros;

/// Parts of an interval.
pub(super) const SUB_WINDOWS: usize = 10;

/// See the module. One that is all zeroes was never used: memory that nobody has
/// written to costs nothing, so a table can be as large as it may ever become
/// without allocating when a client arrives.
#[derive(Clone, Copy, Debug, Default, FromZeros)]
pub(super) struct Slot {
    /// The sub-window charged last, counted from the clock's origin.
    tick: u64,
    blocked_until_ms: u64,
    /// Milliseconds of a sub-window; 0 if it was never used.
    sub_ms: u32,
    /// By sub-window, a ring.
    counts: [u32; SUB_WINDOWS],
}

impl Slot {
    /// The slot of a newcomer who takes the place of one that had used `units`.
    pub(super) fn inheriting(now_ms: u64, sub_ms: u32, units: u64) -> Self {
        let mut slot = Self::default().at(now_ms, sub_ms);
        slot.add(u32::try_from(units).unwrap_or(u32::MAX));
        slot
    }

    /// As it is at `now_ms` in a window of `sub_ms`: what has left the interval is
    /// forgotten. A clock that went back changes nothing.
    pub(super) fn at(mut self, now_ms: u64, sub_ms: u32) -> Self {
        let tick = now_ms / u64::from(sub_ms.max(1));
        if self.sub_ms != sub_ms {
            return Self { tick, sub_ms, ..Self::default() };
        }
        let passed = tick.saturating_sub(self.tick).min(SUB_WINDOWS as u64);
        let mut turned = index(self.tick);
        for _ in 0..passed {
            turned = next(turned);
            self.counts[turned] = 0;
        }
        self.tick = self.tick.max(tick);
        self
    }

    /// Units in the interval.
    pub(super) fn used(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    pub(super) fn add(&mut self, units: u32) {
        let count = &mut self.counts[index(self.tick)];
        *count = count.saturating_add(units);
    }

    /// Gives units back that were added at `then_ms`, if they still count.
    pub(super) fn take_back(&mut self, then_ms: u64, units: u32) {
        let tick = then_ms / u64::from(self.sub_ms.max(1));
        if self.tick.saturating_sub(tick) < SUB_WINDOWS as u64 && tick <= self.tick {
            let count = &mut self.counts[index(tick)];
            *count = count.saturating_sub(units);
        }
    }

    /// Milliseconds until `units` of those that count have left the interval; the
    /// whole interval if there are not as many.
    pub(super) fn frees_after_ms(&self, now_ms: u64, units: u64) -> u64 {
        let sub_ms = u64::from(self.sub_ms);
        let (mut freed, mut at) = (0, index(self.tick));
        for leaving in 1..=SUB_WINDOWS as u64 {
            // The oldest is next to the latest.
            at = next(at);
            freed += u64::from(self.counts[at]);
            if freed >= units {
                let leaves_ms = self.tick.saturating_add(leaving).saturating_mul(sub_ms);
                return leaves_ms.saturating_sub(now_ms);
            }
        }
        sub_ms * SUB_WINDOWS as u64
    }

    /// Refuses everything for `block_ms` from now on.
    pub(super) fn block(&mut self, now_ms: u64, block_ms: u64) {
        self.blocked_until_ms = now_ms.saturating_add(block_ms);
    }

    /// Milliseconds until it is no longer blocked.
    pub(super) fn blocked_ms(&self, now_ms: u64) -> Option<u64> {
        self.blocked_until_ms.checked_sub(now_ms).filter(|left| *left > 0)
    }

    /// When nothing of it counts any more.
    pub(super) fn ends_ms(&self) -> u64 {
        let empty_ms =
            (self.tick.saturating_add(SUB_WINDOWS as u64)).saturating_mul(u64::from(self.sub_ms));
        empty_ms.max(self.blocked_until_ms)
    }

    /// How much is lost if it is forgotten.
    pub(super) fn standing(&self, now_ms: u64) -> u64 {
        if self.blocked_ms(now_ms).is_some() {
            return u64::MAX;
        }
        self.at(now_ms, self.sub_ms).used()
    }
}

/// The sub-window after this one in the ring.
const fn next(index: usize) -> usize {
    if index + 1 == SUB_WINDOWS { 0 } else { index + 1 }
}

#[expect(clippy::cast_possible_truncation, reason = "below ten")]
const fn index(tick: u64) -> usize {
    (tick % SUB_WINDOWS as u64) as usize
}
