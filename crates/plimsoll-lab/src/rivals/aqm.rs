//! Laws on the delay in the queue.

use super::{Dequeue, Limiter, View};
use crate::sim::Chance;

/// folly's CoDel (`folly/executors/Codel.cpp`): overloaded if the least delay of
/// an interval exceeds the target; then whatever waited twice the target is
/// dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codel {
    pub(super) target: f64,
    pub(super) interval: f64,
    least: f64,
    ends: f64,
    overloaded: bool,
}

impl Codel {
    pub(super) const fn new(target: f64, interval: f64) -> Self {
        Self { target, interval, least: 0.0, ends: 0.0, overloaded: false }
    }
}

impl Limiter for Codel {
    fn admit(&mut self, _: &View) -> bool {
        true
    }

    fn leaving(&mut self, now: f64, delay: f64) -> Dequeue {
        if now >= self.ends {
            self.ends = now + self.interval;
            self.overloaded = self.least > self.target;
            // The first of an interval is never dropped.
            self.least = delay;
            return Dequeue::Serve;
        }
        self.least = self.least.min(delay);
        let drop = self.overloaded && delay > 2.0 * self.target;
        if drop { Dequeue::Drop } else { Dequeue::Serve }
    }
}

/// Facebook's controlled delay with adaptive LIFO (Ben Maurer, "Fail at Scale",
/// ACM Queue 2015): if the queue was not empty for `interval`, requests wait at
/// most `target` and the newest is served first.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdaptiveLifo {
    pub(super) target: f64,
    pub(super) interval: f64,
    last_empty: f64,
}

impl AdaptiveLifo {
    pub(super) const fn new(target: f64, interval: f64) -> Self {
        Self { target, interval, last_empty: 0.0 }
    }
}

impl Limiter for AdaptiveLifo {
    fn admit(&mut self, view: &View) -> bool {
        if view.waiting == 0 {
            self.last_empty = view.now;
        }
        true
    }

    fn leaving(&mut self, now: f64, delay: f64) -> Dequeue {
        let standing = now - self.last_empty > self.interval;
        let patience = if standing { self.target } else { self.interval };
        if delay > patience { Dequeue::Drop } else { Dequeue::Serve }
    }

    fn newest_first(&mut self, now: f64, _waiting: u32) -> bool {
        now - self.last_empty > self.interval
    }
}

/// PIE, RFC 8033, with delays measured by timestamps (its section 5.3).
#[derive(Clone, Debug)]
pub(super) struct Pie {
    target: f64,
    update: f64,
    probability: f64,
    delay: f64,
    delay_before: f64,
    next: f64,
    burst: f64,
    chance: Chance,
}

const PIE_ALPHA: f64 = 0.125;
const PIE_BETA: f64 = 1.25;
const PIE_BURST: f64 = 0.15;

impl Pie {
    pub(super) fn new(target: f64, update: f64) -> Self {
        let chance = Chance::new(1, 4);
        let (probability, delay, delay_before, next) = (0.0, 0.0, 0.0, 0.0);
        Self { target, update, probability, delay, delay_before, next, burst: PIE_BURST, chance }
    }

    /// Section 4.2.
    fn step(&mut self) {
        let change =
            PIE_ALPHA * (self.delay - self.target) + PIE_BETA * (self.delay - self.delay_before);
        let scales =
            [(1e-6, 2048.0), (1e-5, 512.0), (1e-4, 128.0), (1e-3, 32.0), (1e-2, 8.0), (0.1, 2.0)];
        let scale = scales.iter().find(|(below, _)| self.probability < *below).map_or(1.0, |s| s.1);
        let mut change = change / scale;
        if self.probability >= 0.1 {
            change = change.min(0.02);
        }
        self.probability += change;
        if self.delay == 0.0 && self.delay_before == 0.0 {
            self.probability *= 0.98;
        }
        self.probability = self.probability.clamp(0.0, 1.0);
        self.delay_before = self.delay;
        self.burst = (self.burst - self.update).max(0.0);
        if self.probability == 0.0 && self.delay < self.target / 2.0 {
            self.burst = PIE_BURST;
        }
    }
}

impl Limiter for Pie {
    fn admit(&mut self, view: &View) -> bool {
        while view.now >= self.next {
            self.step();
            self.next = (self.next + self.update).max(view.now - 1.0);
        }
        if view.waiting == 0 {
            self.delay = 0.0;
        }
        let spared = (self.delay_before < self.target / 2.0 && self.probability < 0.2)
            || view.waiting <= 2
            || self.burst > 0.0;
        spared || self.chance.unit() >= self.probability
    }

    fn leaving(&mut self, _now: f64, delay: f64) -> Dequeue {
        self.delay = delay;
        Dequeue::Serve
    }
}
