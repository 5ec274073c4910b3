//! The key figures of a run.

use std::time::Duration;

use serde::Serialize;

use super::Storm;
use crate::load::{Outcomes, Report, Second};

/// Latency is back where it was if its p99 is no more than this times the worst
/// of the seconds before the storm.
const BACK_FACTOR: f64 = 1.5;
/// It is back for good if that holds for so many seconds in a row.
const BACK_SECONDS: usize = 3;
/// Service is back if this part of what is asked for is answered.
const BACK_GOODPUT: f64 = 0.95;

/// What a run comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Logins asked for in the storm, per second.
    pub offered_per_s: f64,
    /// Logins that succeeded of those asked for in the storm, per second.
    pub goodput_per_s: f64,
    /// The same as a part of the capacity.
    pub goodput_of_capacity: f64,
    /// The same in the second half of the storm: what it settles at.
    pub goodput_late_of_capacity: f64,
    /// Answered 503 in the storm, per second.
    pub refused_per_s: f64,
    /// Given up by clients in the storm, per second.
    pub timeout_per_s: f64,
    /// The median of the per-second medians of successful logins in the storm.
    pub p50_ms: Option<f64>,
    /// The worst per-second p99 of successful logins in the storm, but for its first second.
    pub p99_ms: Option<f64>,
    /// The worst per-second p99 of the time to a refusal in the storm.
    pub refusal_p99_ms: Option<f64>,
    /// Seconds after the storm until service is back; `None`: not in this run.
    pub recovery_s: Option<u64>,
}

impl Figures {
    /// The figures of a run of this storm.
    pub fn of(report: &Report, storm: &Storm) -> Self {
        let (begin, end) = storm.seconds();
        let in_storm = |second: &&Second| (begin..end).contains(&second.second);
        let seconds: Vec<_> = report.seconds.iter().filter(in_storm).copied().collect();
        let late = &seconds[seconds.len() / 2..];
        let per_s = |count: u64| count as f64 / seconds.len().max(1) as f64;
        let sum = total(&seconds);
        let goodput_per_s = per_s(sum.ok);
        let settled: Vec<_> = seconds.iter().skip(1).copied().collect();
        Self {
            offered_per_s: per_s(sum.offered()),
            goodput_per_s,
            goodput_of_capacity: goodput_per_s / storm.capacity_per_s,
            goodput_late_of_capacity: total(late).ok as f64
                / late.len().max(1) as f64
                / storm.capacity_per_s,
            refused_per_s: per_s(sum.refused),
            timeout_per_s: per_s(sum.timeout),
            p50_ms: median(answered(&seconds).map(|second| second.accepted.p50_ms).collect()),
            p99_ms: answered(&settled).map(|second| second.accepted.p99_ms).reduce(f64::max),
            refusal_p99_ms: seconds
                .iter()
                .filter(|second| second.refused.count > 0)
                .map(|second| second.refused.p99_ms)
                .reduce(f64::max),
            recovery_s: recovery(report, begin, end),
        }
    }
}

impl Storm {
    /// The seconds of the storm, which is the phase with the highest rate.
    pub(super) fn seconds(&self) -> (u64, u64) {
        let mut storm = (0.0, 0, 0);
        let mut begin = Duration::ZERO;
        for phase in self.phases.phases() {
            let end = begin + phase.duration;
            if phase.rate_per_s > storm.0 {
                storm = (phase.rate_per_s, begin.as_secs(), end.as_secs());
            }
            begin = end;
        }
        (storm.1, storm.2)
    }
}

fn total(seconds: &[Second]) -> Outcomes {
    let mut sum = Outcomes::default();
    for second in seconds {
        sum += second.outcomes;
    }
    sum
}

fn answered(seconds: &[Second]) -> impl Iterator<Item = &Second> {
    seconds.iter().filter(|second| second.accepted.count > 0)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Seconds after `end` from which service is as good as it was before `begin`.
fn recovery(report: &Report, begin: u64, end: u64) -> Option<u64> {
    let before: Vec<_> =
        report.seconds.iter().filter(|second| second.second < begin).copied().collect();
    let usual_ms = answered(&before).map(|second| second.accepted.p99_ms).reduce(f64::max)?;
    let is_back = |second: &Second| {
        second.accepted.p99_ms <= usual_ms * BACK_FACTOR
            && second.outcomes.ok as f64 >= second.outcomes.offered() as f64 * BACK_GOODPUT
    };
    let after: Vec<_> =
        report.seconds.iter().filter(|second| second.second >= end).copied().collect();
    let back = after.windows(BACK_SECONDS).position(|row| row.iter().all(is_back))?;
    u64::try_from(back).ok()
}
