//! brpc's automatic concurrency limiter: `auto_concurrency_limiter.cpp`.

use super::{Finished, Limiter, View, round::Rounds};
use crate::sim::Chance;

const EXPLORE_MIN: f64 = 0.06;
const EXPLORE_MAX: f64 = 0.3;
const EXPLORE_STEP: f64 = 0.02;

/// limit = least latency * largest rate * (1 + explore); every half minute it
/// steps down a tenth to measure the least latency anew.
#[derive(Clone, Debug)]
pub(super) struct Brpc {
    limit: f64,
    explore: f64,
    min_latency: f64,
    max_rate: f64,
    remeasure: f64,
    /// The least latency is forgotten then.
    reset: Option<f64>,
    samples_max: usize,
    rounds: Rounds,
    chance: Chance,
    remeasure_every: f64,
}

impl Brpc {
    pub(super) fn new(initial: f64, samples_max: usize, remeasure_every: f64) -> Self {
        Self {
            limit: initial,
            explore: EXPLORE_MAX,
            min_latency: 0.0,
            max_rate: 0.0,
            remeasure: remeasure_every,
            reset: None,
            samples_max,
            // Whichever comes first, 200 samples or a second.
            rounds: Rounds::new(0.0, samples_max),
            chance: Chance::new(1, 3),
            remeasure_every,
        }
    }

    fn learn(&mut self, latency: f64, rate: f64) {
        if self.min_latency == 0.0 {
            self.min_latency = latency;
        } else if latency < self.min_latency {
            self.min_latency += 0.1 * (latency - self.min_latency);
        }
        if rate >= self.max_rate {
            self.max_rate = rate;
        } else {
            self.max_rate += 0.01 * (rate - self.max_rate);
        }
    }
}

impl Limiter for Brpc {
    fn admit(&mut self, view: &View) -> bool {
        f64::from(view.in_flight) < self.limit
    }

    fn finished(&mut self, done: &Finished) {
        if let Some(reset) = self.reset {
            if done.now < reset {
                return;
            }
            (self.reset, self.min_latency) = (None, 0.0);
            self.rounds.forget(done.now);
        }
        let Some(round) = self.rounds.add(done) else { return };
        let rate = round.count() as f64 / round.seconds.max(1e-6);
        let latency = round.mean();
        self.learn(latency, rate);
        if done.now >= self.remeasure {
            self.reset = Some(done.now + 2.0 * latency);
            self.remeasure = done.now + self.remeasure_every * (0.5 + self.chance.unit() / 2.0);
            self.limit = (self.limit * 0.9).ceil();
            return;
        }
        let calm = latency <= self.min_latency * (1.0 + EXPLORE_MIN)
            || rate <= self.max_rate / (1.0 + EXPLORE_MIN);
        let step = if calm { EXPLORE_STEP } else { -EXPLORE_STEP };
        self.explore = (self.explore + step).clamp(EXPLORE_MIN, EXPLORE_MAX);
        self.limit = (self.min_latency * self.max_rate * (1.0 + self.explore)).ceil().max(1.0);
        self.rounds = Rounds::new(0.0, self.samples_max);
        self.rounds.forget(done.now);
    }
}
