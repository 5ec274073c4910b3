//! The burst bucket: work beyond one waiting batch, for a server that was idle.
//!
//! A cap of exactly one waiting batch would refuse part of every cron burst at
//! a third of the mean load, and on a slow disk, where a batch is worth more than
//! the burst, some of any load by chance alone. The bucket remembers idle capacity:
//! it fills at the service rate up to `rate * burst`, or one batch if that is
//! more, and *every* offered unit drains it, whether it was admitted from the
//! bucket or not. In overload it is empty, and the cap rules alone.
//!
//! Empty but for what chance leaves in it between two arrivals: so the last
//! part of it, the reserve, admits nobody.

use core::time::Duration;

use crate::Timestamp;

/// The reserve, as a part of the depth.
const RESERVE: f64 = 1.0 / 8.0;

/// Tokens in units.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    tokens: f64,
    depth: f64,
    refilled: Timestamp,
}

impl Bucket {
    /// Renews the depth: what a disk that commits `batch` units at a time serves
    /// in `burst`. Nothing as long as the rate is not known.
    pub(crate) fn resize(&mut self, rate: f64, burst: Duration, batch: u32) {
        let least = if rate > 0.0 { f64::from(batch) } else { 0.0 };
        self.depth = (rate * burst.as_secs_f64()).max(least);
    }

    /// Credits the time since the last call. `frozen` while the disk hangs:
    /// a stall is not idle capacity.
    pub(crate) fn refill(&mut self, now: Timestamp, rate: f64, frozen: bool) {
        let elapsed = now.since(self.refilled).as_secs_f64();
        self.refilled = self.refilled.max(now);
        let credit = if frozen { 0.0 } else { rate * elapsed };
        self.tokens = (self.tokens + credit).min(self.depth * (1.0 + RESERVE));
    }

    /// Whether it lets `units` in.
    pub(crate) fn holds(&self, units: u32) -> bool {
        self.tokens >= f64::from(units) + self.depth * RESERVE
    }

    /// How much work beyond the line it may let in, in units.
    pub(crate) const fn depth(&self) -> f64 {
        self.depth
    }

    pub(crate) fn drain(&mut self, units: u32) {
        self.tokens = (self.tokens - f64::from(units)).max(0.0);
    }
}
