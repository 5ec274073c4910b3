//! A PI controller on the length of the queue that sets a reject probability:
//! the shape of Vault Enterprise's adaptive overload protection, whose gains are
//! not published, with those of Uber's Cinnamon (0.1 and 1.4, every 500 ms;
//! "Cinnamon: Using Century Old Tech to Build a Mean Load Shedder", 2023).

use super::{Limiter, View};
use crate::sim::Chance;

/// error = (inflow - outflow + waiting - set-point) / outflow per period.
#[derive(Clone, Debug)]
pub(super) struct QueuePi {
    pub(super) period: f64,
    pub(super) proportional: f64,
    pub(super) integral: f64,
    pub(super) set_point: f64,
    sum: f64,
    probability: f64,
    next: f64,
    out: f64,
    chance: Chance,
}

impl QueuePi {
    pub(super) fn new(period: f64, proportional: f64, integral: f64, set_point: f64) -> Self {
        let chance = Chance::new(1, 5);
        let (sum, probability, next, out) = (0.0, 0.0, period, 0.0);
        Self { period, proportional, integral, set_point, sum, probability, next, out, chance }
    }
}

impl Limiter for QueuePi {
    fn admit(&mut self, view: &View) -> bool {
        if view.now >= self.next {
            let error =
                ((f64::from(view.waiting) - self.set_point) / self.out.max(1.0)).clamp(-1.0, 1.0);
            self.sum = (self.sum + self.integral * error * self.period).clamp(0.0, 1.0);
            self.probability = (self.proportional * error + self.sum).clamp(0.0, 1.0);
            (self.next, self.out) = (view.now + self.period, 0.0);
        }
        self.chance.unit() >= self.probability
    }

    fn committed(&mut self, _now: f64, _seconds: f64, requests: u32) {
        self.out += f64::from(requests);
    }
}
