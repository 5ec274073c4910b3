//! One measurement under one limit.

use crate::Timestamp;
use crate::opaque::chance::{Gaps, Turnovers};
use crate::opaque::ticket::Outcome;

/// Fewer ends than this say little.
const ENDS_MIN: u32 = 24;
/// The limit binds if so much of it is used, on average.
const BOUND: f64 = 0.8;
/// Ends in a quarter of a turnover, at least.
const QUARTER_MIN: u32 = 4;
/// The share of failures beyond which the upstream is broken, not slow.
const FAILED_MAX: f64 = 0.1;

/// Counts ends: first those of requests that another limit let in, then its own.
#[derive(Debug)]
pub(crate) struct Epoch {
    limit: u32,
    settling: u32,
    wanted: u32,
    began: Timestamp,
    seen: Timestamp,
    /// In flight, summed over time, in seconds.
    in_flight: f64,
    ends: u32,
    answered: u32,
    lost: u32,
    failed: u32,
    seconds: f64,
    quarters: Gaps,
    turnovers: Turnovers,
}

/// What an epoch showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Mean number in flight.
    pub(crate) in_flight: f64,
    /// Answers per second.
    pub(crate) rate: f64,
    /// Mean seconds to an answer.
    pub(crate) latency: f64,
    /// Turnovers it was measured over,
    pub(crate) turnovers: f64,
    /// the variance of their lengths over the squared mean,
    pub(crate) chance: f64,
    /// and the same of their quarters.
    pub(crate) clumps: f64,
    /// The share that was lost.
    pub(crate) lost: f64,
    /// Whether the limit bound and the upstream answered.
    pub(crate) valid: bool,
}

#[cfg(test)]
impl Measured {
    /// A turnover that takes so many seconds with so many in flight, by no chance.
    pub(crate) fn steady(in_flight: f64, latency: f64) -> Self {
        Self {
            in_flight,
            rate: in_flight / latency,
            latency,
            turnovers: 1.0,
            chance: 0.0,
            clumps: 0.0,
            lost: 0.0,
            valid: true,
        }
    }
}

impl Epoch {
    /// After `settling` ends, measures over `wanted`.
    pub(crate) fn new(limit: u32, settling: u32, wanted: u32) -> Self {
        let wanted = wanted.max(ENDS_MIN).next_multiple_of(limit.max(1));
        Self {
            limit,
            settling,
            wanted,
            began: Timestamp::ZERO,
            seen: Timestamp::ZERO,
            in_flight: 0.0,
            ends: 0,
            answered: 0,
            lost: 0,
            failed: 0,
            seconds: 0.0,
            quarters: Gaps::new((limit / 4).max(QUARTER_MIN)),
            turnovers: Turnovers::new(limit),
        }
    }

    /// Begins again: what was counted is to say nothing.
    pub(crate) fn restart(&mut self, settling: u32) {
        *self = Self::new(self.limit, settling, self.wanted);
    }

    /// So many were in flight since the last call.
    pub(crate) fn pass(&mut self, now: Timestamp, in_flight: u32) {
        self.in_flight += f64::from(in_flight) * now.since(self.seen).as_secs_f64();
        self.seen = self.seen.max(now);
    }

    /// A request ended. What the epoch showed, when it is over.
    pub(crate) fn ended(
        &mut self,
        now: Timestamp,
        seconds: f64,
        outcome: Outcome,
    ) -> Option<Measured> {
        if self.settling > 0 {
            self.settling -= 1;
            // From end to end: so many ends, so many gaps.
            (self.began, self.seen, self.in_flight) = (now, now, 0.0);
            self.quarters.begin(now);
            return None;
        }
        self.ends += 1;
        self.seconds += seconds;
        self.quarters.ended(now);
        self.turnovers.ended(now.since(self.began).as_secs_f64());
        match outcome {
            Outcome::Answered => self.answered += 1,
            Outcome::Overloaded | Outcome::TimedOut => self.lost += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Cancelled => {}
        }
        (self.ends >= self.wanted).then(|| self.measured(now))
    }

    fn measured(&self, now: Timestamp) -> Measured {
        let elapsed = now.since(self.began).as_secs_f64().max(1e-9);
        let (ends, answered) = (f64::from(self.ends), f64::from(self.answered));
        let in_flight = self.in_flight / elapsed;
        let latency = (self.seconds / ends).max(1e-9);
        let bound = in_flight >= BOUND * f64::from(self.limit);
        let broken = f64::from(self.failed) > FAILED_MAX * ends || self.answered == 0;
        Measured {
            in_flight,
            rate: self.turnovers.rate().unwrap_or(ends / elapsed) * answered / ends,
            latency,
            turnovers: self.turnovers.count(),
            chance: self.turnovers.variation(),
            clumps: self.quarters.variation(),
            lost: f64::from(self.lost) / ends,
            valid: bound && !broken,
        }
    }
}
