//! The burst bucket: work beyond one waiting batch, for a server that was idle.
//!
//! A cap of exactly one waiting batch would refuse part of every cron burst at
//! a third of the mean load. The bucket remembers idle capacity: it fills at the
//! service rate up to `rate * burst`, and *every* offered unit drains it,
//! whether it was admitted from the bucket or not. In overload it is empty, and
//! the cap rules alone.

use core::time::Duration;

use crate::Timestamp;

/// Tokens in units.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    tokens: f64,
    refilled: Timestamp,
}

impl Bucket {
    /// Credits the time since the last call. `frozen` while the disk hangs:
    /// a stall is not idle capacity.
    pub(crate) fn refill(&mut self, now: Timestamp, rate: f64, burst: Duration, frozen: bool) {
        let elapsed = now.since(self.refilled).as_secs_f64();
        self.refilled = self.refilled.max(now);
        let depth = depth(rate, burst);
        let credit = if frozen { 0.0 } else { rate * elapsed };
        self.tokens = (self.tokens + credit).min(depth);
    }

    pub(crate) const fn tokens(&self) -> f64 {
        self.tokens
    }

    pub(crate) fn drain(&mut self, units: u32) {
        self.tokens = (self.tokens - f64::from(units)).max(0.0);
    }
}

/// The bucket's size in units: what the server serves in `burst`.
pub(crate) fn depth(rate: f64, burst: Duration) -> f64 {
    rate * burst.as_secs_f64()
}
