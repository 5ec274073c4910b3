//! What needs no formula, and one that needs a single division.

use super::{Limiter, View};
use crate::sim::Chance;

/// Everybody may enter: what most servers do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unbounded;

impl Limiter for Unbounded {
    fn admit(&mut self, _: &View) -> bool {
        true
    }
}

/// Nobody may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed;

impl Limiter for Closed {
    fn admit(&mut self, _: &View) -> bool {
        false
    }
}

/// Heads or tails.
#[derive(Clone, Debug)]
pub(super) struct Coin(pub(super) Chance);

impl Limiter for Coin {
    fn admit(&mut self, _: &View) -> bool {
        self.0.unit() < 0.5
    }
}

/// At most so many requests wait; tail drop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    pub(super) waiting_max: u32,
}

impl Limiter for Fixed {
    fn admit(&mut self, view: &View) -> bool {
        view.waiting < self.waiting_max
    }
}

/// Admits what the queue's contents and the mean commit say will be answered
/// within `slo` seconds. After Sajjad Mashayekhi et al., "Bouncer: Admission
/// Control with Response Time Objectives", SIGMOD 2024, for one type of request.
#[derive(Clone, Copy, Debug)]
pub(super) struct PredictedWait {
    pub(super) slo: f64,
    pub(super) batch: f64,
    pub(super) commit: f64,
}

impl Limiter for PredictedWait {
    fn admit(&mut self, view: &View) -> bool {
        let batches = (f64::from(view.waiting + 1) / self.batch).ceil();
        view.waiting == 0 || batches * self.commit <= self.slo
    }

    fn committed(&mut self, _now: f64, seconds: f64, _requests: u32) {
        self.commit += 0.1 * (seconds - self.commit);
    }
}
