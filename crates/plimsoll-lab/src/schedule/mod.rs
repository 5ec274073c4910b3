//! When requests are due.
//!
//! A [`Schedule`] is a list of phases, each a duration and a rate; written
//! `10s:300,20s:2000,10s:300`. [`Schedule::arrivals`] turns it into the times,
//! counted from the start, at which requests are due: evenly spaced or as a
//! Poisson process from a seed. It is pure, so the same type can drive a
//! generator in real time and a simulator in virtual time.

mod arrivals;
mod duration;

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

pub use self::{
    arrivals::{Arrivals, Spacing},
    duration::{DurationError, parse_duration},
};

/// The phases of a load; never empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schedule {
    phases: Vec<Phase>,
}

/// A stretch of time with one rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// How long it lasts; more than zero.
    pub duration: Duration,
    /// Requests per second; finite, not negative.
    pub rate_per_s: f64,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// There is no phase in it.
    #[error("a schedule needs at least one phase, such as 10s:300")]
    Empty,
    /// A phase is not `duration:rate`.
    #[error("phase {0:?} is not of the form duration:rate, such as 10s:300")]
    Form(String),
    /// The duration of a phase is unusable.
    #[error("phase {phase:?}: {source}")]
    Duration {
        /// The phase as written.
        phase: String,
        /// What is wrong with it.
        source: DurationError,
    },
    /// The rate of a phase is unusable.
    #[error("phase {0:?}: the rate is not a number of requests per second from 0 to 10000000")]
    Rate(String),
}

/// No generator gets near it; it keeps the arithmetic exact.
const RATE_PER_S_MAX: f64 = 1e7;

impl Schedule {
    /// A schedule of these phases.
    ///
    /// # Errors
    /// There is none, or one of them has no duration or an impossible rate.
    pub fn new(phases: Vec<Phase>) -> Result<Self, ScheduleError> {
        if phases.is_empty() {
            return Err(ScheduleError::Empty);
        }
        for phase in &phases {
            if !(0.0..=RATE_PER_S_MAX).contains(&phase.rate_per_s) {
                return Err(ScheduleError::Rate(phase.to_string()));
            }
            if phase.duration.is_zero() {
                let source = DurationError::Zero;
                return Err(ScheduleError::Duration { phase: phase.to_string(), source });
            }
        }
        Ok(Self { phases })
    }

    /// The phases, in order.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// How long all phases last together.
    pub fn duration(&self) -> Duration {
        self.phases.iter().map(|phase| phase.duration).sum()
    }

    /// How many requests are due in all, on average.
    pub fn requests(&self) -> f64 {
        self.phases.iter().map(Phase::requests).sum()
    }

    /// The rate that is asked for at `time` since the start, 0 after the end.
    pub fn rate_at(&self, time: Duration) -> f64 {
        let mut end = Duration::ZERO;
        for phase in &self.phases {
            end += phase.duration;
            if time < end {
                return phase.rate_per_s;
            }
        }
        0.0
    }

    /// The times at which requests are due, in order, from the start.
    pub fn arrivals(&self, spacing: Spacing) -> Arrivals {
        Arrivals::new(self, spacing)
    }
}

impl Phase {
    fn requests(&self) -> f64 {
        self.rate_per_s * self.duration.as_secs_f64()
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        if text.trim().is_empty() {
            return Err(ScheduleError::Empty);
        }
        Self::new(text.split(',').map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for Phase {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let (duration, rate) =
            text.split_once(':').ok_or_else(|| ScheduleError::Form(text.to_owned()))?;
        let duration = parse_duration(duration)
            .map_err(|source| ScheduleError::Duration { phase: text.to_owned(), source })?;
        let rate_per_s = rate.trim().parse().map_err(|_| ScheduleError::Rate(text.to_owned()))?;
        Ok(Self { duration, rate_per_s })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.duration, self.rate_per_s)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, phase) in self.phases.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{phase}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
