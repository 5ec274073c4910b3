//! From phases to arrival times.
//!
//! Both kinds of arrivals are a process of rate one, seen through the schedule:
//! the k-th request is due when the integral of the rate reaches its mark. The
//! marks are 1, 2, 3, ... for even spacing and a sum of exponential gaps for a
//! Poisson process. The integral is piecewise linear, so inverting it is exact
//! and no rounding error piles up from one arrival to the next.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Phase, Schedule};

/// How arrivals are spaced within a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly.
    Constant,
    /// As independent clients would arrive: exponential gaps from this seed.
    Poisson(u64),
}

/// Arrival times since the start, in order; made by [`Schedule::arrivals`].
#[derive(Clone, Debug)]
pub struct Arrivals {
    phases: std::vec::IntoIter<Phase>,
    phase: Phase,
    /// When the current phase began.
    begin: Duration,
    /// The integral of the rate at that moment.
    integral: f64,
    mark: f64,
    gaps: Gaps,
}

#[derive(Clone, Debug)]
enum Gaps {
    One,
    Exponential(Box<StdRng>),
}

impl Arrivals {
    pub(super) fn new(schedule: &Schedule, spacing: Spacing) -> Self {
        let mut phases = schedule.phases.clone().into_iter();
        let nothing = Phase { duration: Duration::ZERO, rate_per_s: 0.0 };
        let mut gaps = match spacing {
            Spacing::Constant => Gaps::One,
            Spacing::Poisson(seed) => Gaps::Exponential(Box::new(StdRng::seed_from_u64(seed))),
        };
        Self {
            phase: phases.next().unwrap_or(nothing),
            phases,
            begin: Duration::ZERO,
            integral: 0.0,
            mark: gaps.next(),
            gaps,
        }
    }
}

impl Gaps {
    fn next(&mut self) -> f64 {
        match self {
            Self::One => 1.0,
            // 1 - u is in (0, 1], so the logarithm is finite.
            Self::Exponential(rng) => -(1.0 - rng.random::<f64>()).ln(),
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let end = self.integral + self.phase.requests();
            // A hair of tolerance, so that 300/s for 10 s are 3,000 and not 2,999.
            if self.phase.rate_per_s > 0.0 && self.mark <= end + 1e-6 {
                let into_s = (self.mark - self.integral).max(0.0) / self.phase.rate_per_s;
                let into = Duration::from_secs_f64(into_s).min(self.phase.duration);
                self.mark += self.gaps.next();
                return Some(self.begin + into);
            }
            self.begin += self.phase.duration;
            self.integral = end;
            self.phase = self.phases.next()?;
        }
    }
}
