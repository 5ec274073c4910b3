//! What operators see of a write gate.

use core::time::Duration;

use crate::verdict::Counters;

/// A write gate at one instant.
#[derive(Clone, Copy, Debug)]
pub struct WriteSnapshot {
    /// Ticketed, not yet in the queue.
    pub reserved_units: u64,
    /// In the queue.
    pub waiting_units: u64,
    /// The load line: the batch beyond which a bigger one buys only latency.
    pub batch_units: u32,
    /// What the disk serves at that batch size; 0 until a commit is measured.
    pub units_per_second: f64,
    /// Estimated time that a commit takes whatever it holds, s0: the flush above all.
    pub flush: Duration,
    /// Estimated time per unit, s1.
    pub per_unit: Duration,
    /// How long the running commit has been running.
    pub commit_age: Option<Duration>,
    /// Held over the load line, 0..=1.
    pub saturation: f64,
    /// Refused over offered write cost of the last 10 s, 0..=1; 0 if nothing
    /// was offered.
    pub reject_fraction: f64,
    /// Totals since the start.
    pub counters: Counters,
}
