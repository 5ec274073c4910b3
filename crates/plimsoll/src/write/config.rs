//! The few constants of the law, parsed rather than validated.

use core::time::Duration;

use crate::demand::Cost;

/// What a write gate is built from. None of it needs tuning per disk: the
/// limits are the engine's, the two ratios are dimensionless.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WriteGateConfig {
    pub(crate) batch_units_max: u32,
    pub(crate) bytes_per_unit: u64,
    pub(crate) efficiency: f64,
    pub(crate) burst: Duration,
    pub(crate) deadline: Duration,
}

/// A number that no gate can be built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid write gate: {0}")]
pub struct InvalidWriteGate(&'static str);

impl Default for WriteGateConfig {
    /// 1,024 items and 4 MiB a batch, 95 % of the asymptotic throughput, a
    /// burst of 75 ms, a usual deadline of 5 s.
    fn default() -> Self {
        Self {
            batch_units_max: 1024,
            bytes_per_unit: (4 << 20) / 1024,
            efficiency: 0.95,
            burst: Duration::from_millis(75),
            deadline: Duration::from_secs(5),
        }
    }
}

impl WriteGateConfig {
    /// The largest batch the engine takes: `items_max` transactions and
    /// `bytes_max` bytes.
    ///
    /// # Errors
    /// Either is zero.
    pub const fn with_batch_max(
        mut self,
        items_max: u32,
        bytes_max: u64,
    ) -> Result<Self, InvalidWriteGate> {
        if items_max == 0 || bytes_max == 0 {
            return Err(InvalidWriteGate("a batch must hold at least one item and one byte"));
        }
        self.batch_units_max = items_max;
        let per_unit = bytes_max / items_max as u64;
        self.bytes_per_unit = if per_unit == 0 { 1 } else { per_unit };
        Ok(self)
    }

    /// The fraction f of the asymptotic throughput at which a bigger batch
    /// is no longer worth its latency.
    ///
    /// # Errors
    /// Not within (0, 1).
    pub fn with_efficiency(mut self, efficiency: f64) -> Result<Self, InvalidWriteGate> {
        if !(efficiency > 0.0 && efficiency < 1.0) {
            return Err(InvalidWriteGate("efficiency must lie within (0, 1)"));
        }
        self.efficiency = efficiency;
        Ok(self)
    }

    /// How much work beyond one waiting batch an idle server takes at once,
    /// as the time it needs for it.
    #[must_use]
    pub const fn with_burst(mut self, burst: Duration) -> Self {
        self.burst = burst;
        self
    }

    /// How long clients usually wait for an answer.
    ///
    /// # Errors
    /// Zero.
    pub const fn with_deadline(mut self, deadline: Duration) -> Result<Self, InvalidWriteGate> {
        if deadline.is_zero() {
            return Err(InvalidWriteGate("the usual deadline must not be zero"));
        }
        self.deadline = deadline;
        Ok(self)
    }

    /// A cost in the batch's own units, `max(items / B_items, bytes / B_bytes)`
    /// scaled so that an ordinary item is 1: a batch holds `batch_units_max` of
    /// them, and a large value takes as many places as the bytes it displaces.
    pub fn units(&self, cost: Cost) -> u32 {
        let by_bytes = u32::try_from(cost.bytes / self.bytes_per_unit).unwrap_or(u32::MAX);
        cost.items.max(by_bytes).max(1)
    }
}
