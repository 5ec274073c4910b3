//! Gradient2 of Netflix concurrency-limits (`Gradient2Limit.java`,
//! `WindowedLimit.java`); with a minimum of 100 and a maximum of 5000 it is what
//! Vault 1.16 shipped.

use super::{Finished, Limiter, View, round::Rounds};

/// limit = limit * clamp(tolerance * long / short, 1/2, 1) + queue, smoothed.
#[derive(Clone, Debug)]
pub(super) struct Gradient2 {
    limit: f64,
    min: f64,
    max: f64,
    tolerance: f64,
    queue: f64,
    smoothing: f64,
    long: f64,
    rounds_seen: u32,
    rounds: Rounds,
}

impl Gradient2 {
    pub(super) fn new(min: f64, max: f64, tolerance: f64, queue: f64, window: f64) -> Self {
        Self {
            limit: min,
            min,
            max,
            tolerance,
            queue,
            smoothing: 0.2,
            long: 0.0,
            rounds_seen: 0,
            rounds: Rounds::new(window, 10),
        }
    }

    /// Exponential mean over 600 rounds, after a plain mean over the first 10.
    fn learn(&mut self, short: f64) {
        self.rounds_seen += 1;
        let weight =
            if self.rounds_seen <= 10 { 1.0 / f64::from(self.rounds_seen) } else { 2.0 / 601.0 };
        self.long += weight * (short - self.long);
    }
}

impl Limiter for Gradient2 {
    fn admit(&mut self, view: &View) -> bool {
        f64::from(view.in_flight) < self.limit
    }

    fn finished(&mut self, done: &Finished) {
        let Some(round) = self.rounds.add(done) else { return };
        let short = round.mean();
        self.learn(short);
        if self.long / short > 2.0 {
            self.long *= 0.95;
        }
        if f64::from(round.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (self.tolerance * self.long / short).clamp(0.5, 1.0);
        let new = self.limit * gradient + self.queue;
        let smoothed = self.limit * (1.0 - self.smoothing) + new * self.smoothing;
        self.limit = smoothed.clamp(self.min, self.max);
    }
}
