//! How many requests at once the upstream carries.

use crate::Timestamp;
use crate::opaque::config::OpaqueGateConfig;
use crate::opaque::ticket::{Outcome, Start};

/// Nothing is known yet: enough for most, harmless for the rest.
const START: f64 = 64.0;
/// What a lost request takes of the limit.
const LOSS: f64 = 0.9;
/// Weight of a new latency.
const ALPHA: f64 = 0.1;

/// The limit and what it rests on.
#[derive(Debug)]
pub(crate) struct Law {
    limit: f64,
    limit_max: f64,
    /// Mean seconds at the upstream.
    latency: f64,
    cut: Timestamp,
}

impl Law {
    pub(crate) fn new(config: &OpaqueGateConfig) -> Self {
        let limit_max = f64::from(config.in_flight_max);
        Self { limit: START.min(limit_max), limit_max, latency: 0.0, cut: Timestamp::ZERO }
    }

    pub(crate) fn limit(&self) -> u32 {
        (self.limit as u32).max(1)
    }

    /// Answers per second when the limit binds; 0 if that is not known.
    pub(crate) fn rate(&self) -> f64 {
        if self.latency > 0.0 { self.limit / self.latency } else { 0.0 }
    }

    /// Mean seconds at the upstream.
    pub(crate) const fn latency(&self) -> f64 {
        self.latency
    }

    /// How many may wait although no burst explains them.
    pub(crate) fn room(&self) -> f64 {
        (self.limit / 4.0).max(1.0)
    }

    /// Whether the upstream seems to hang.
    pub(crate) const fn stalled(&self, _now: Timestamp) -> bool {
        false
    }

    pub(crate) fn ended(
        &mut self,
        now: Timestamp,
        start: Start,
        outcome: Outcome,
        in_flight: u32,
        _waiting: bool,
    ) {
        let seconds = now.since(start.at).as_secs_f64();
        match outcome {
            Outcome::Answered => {
                let weight = if self.latency > 0.0 { ALPHA } else { 1.0 };
                self.latency += weight * (seconds - self.latency);
                if f64::from(in_flight) >= self.limit {
                    self.limit = (self.limit + 1.0 / self.limit).min(self.limit_max);
                }
            }
            Outcome::Overloaded | Outcome::TimedOut if start.at >= self.cut => {
                self.limit = (self.limit * LOSS).max(1.0);
                self.cut = now;
            }
            _ => {}
        }
    }
}
