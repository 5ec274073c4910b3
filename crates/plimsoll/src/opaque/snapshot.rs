//! What operators see of an opaque gate.

use core::time::Duration;

use crate::verdict::Counters;

/// An opaque gate at one instant.
#[derive(Clone, Copy, Debug)]
pub struct OpaqueSnapshot {
    /// Requests at the upstream.
    pub in_flight: u32,
    /// The load line: how many may be there.
    pub limit: u32,
    /// Requests that wait for a place there.
    pub waiting: u64,
    /// Answers that were worth something, per second, when the limit last
    /// bound; 0 until then.
    pub answers_per_second: f64,
    /// Mean time at the upstream, of late; zero until something was answered.
    pub latency: Duration,
    /// In flight over the limit, 0..=1.
    pub saturation: f64,
    /// Refused over offered of the last 10 s, 0..=1; 0 if nothing was offered.
    pub reject_fraction: f64,
    /// Totals since the start.
    pub counters: Counters,
}
