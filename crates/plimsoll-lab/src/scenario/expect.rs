//! What is expected of a good controller, in numbers.

use serde::{Deserialize, Serialize};

/// The pass marks of a case; what is absent is not asserted.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Goodput over the oracle's, at least.
    pub goodput_min: Option<f64>,
    /// Goodput at most this much below that of the unbounded queue.
    pub below_unbounded_max: Option<f64>,
    /// 99th percentile of the accepted in units of S(B), at most; the
    /// pre-stage's own 99th percentile is added.
    pub p99_max: Option<f64>,
    /// The same in the first second after the step; the burst is added.
    pub first_second_p99_max: Option<f64>,
    /// Refusals of work that fits, over all requests, at most.
    pub false_rejects_max: Option<f64>,
    /// Refusals beyond what the overload makes necessary, at most.
    pub excess_rejects_max: Option<f64>,
    /// Time until the goodput is reached after the step, in milliseconds, at
    /// most; one commit is always allowed.
    pub reached_ms_max: Option<f64>,
    /// Requests of the quiet clients that succeed, at least.
    pub quiet_min: Option<f64>,
    /// Requests of class critical that succeed, at least.
    pub critical_min: Option<f64>,
    /// Places taken back over requests served, at most.
    pub displaced_max: Option<f64>,
    /// Jain's index of satisfaction over all flows, at least.
    pub jain_min: Option<f64>,
    /// Attempts per request, at most.
    pub amplification_max: Option<f64>,
    /// Commits of work nobody waits for, over all, at most.
    pub zombies_max: Option<f64>,
    /// An exception on record: the marks above are missed, by how much and
    /// why. The goodput is then held at this snapshot.
    pub exception: Option<f64>,
}

/// A mark and what was measured against it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PassMark {
    /// Which one.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// The mark.
    pub mark: f64,
    /// Whether it holds.
    pub holds: bool,
}

impl PassMark {
    /// `measured` must be at least `mark`.
    pub fn at_least(what: &str, measured: f64, mark: f64) -> Self {
        Self { what: what.to_owned(), measured, mark, holds: measured >= mark }
    }

    /// `measured` must be at most `mark`.
    pub fn at_most(what: &str, measured: f64, mark: f64) -> Self {
        Self { what: what.to_owned(), measured, mark, holds: measured <= mark }
    }
}
