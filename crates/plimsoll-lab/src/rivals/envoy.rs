//! Envoy's adaptive concurrency filter: `gradient_controller.cc`.

use super::{Finished, Limiter, View, round::Rounds};
use crate::sim::Chance;

/// Pinned to this many while the least round-trip time is measured.
const PROBE_LIMIT: f64 = 3.0;
const PROBE_SAMPLES: usize = 50;

/// limit = g limit + sqrt(g limit), g = clamp(1.25 minRTT / sample, 1/2, 2).
#[derive(Clone, Debug)]
pub(super) struct Envoy {
    limit: f64,
    max: f64,
    buffer: f64,
    quantile: f64,
    interval: f64,
    min_rtt: f64,
    /// Measuring the least round-trip time; the limit to go back to.
    probing: Option<f64>,
    next_probe: f64,
    at_min: u32,
    rounds: Rounds,
    window: f64,
    chance: Chance,
}

impl Envoy {
    pub(super) fn new(quantile: f64, buffer: f64, interval: f64, max: f64) -> Self {
        let window = 0.1;
        Self {
            limit: PROBE_LIMIT,
            max,
            buffer,
            quantile,
            interval,
            min_rtt: 0.0,
            probing: Some(PROBE_LIMIT),
            next_probe: 0.0,
            at_min: 0,
            rounds: Rounds::new(0.0, PROBE_SAMPLES),
            window,
            chance: Chance::new(1, 2),
        }
    }

    fn probe(&mut self, now: f64) {
        self.probing = Some(self.limit);
        self.limit = PROBE_LIMIT;
        self.rounds = Rounds::new(0.0, PROBE_SAMPLES);
        self.rounds.forget(now);
    }

    fn probed(&mut self, now: f64, min_rtt: f64, before: f64) {
        self.min_rtt = min_rtt;
        self.probing = None;
        self.limit = before;
        self.at_min = 0;
        self.next_probe = now + self.interval * (1.0 + 0.15 * self.chance.unit());
        self.rounds = Rounds::new(self.window, 5);
        self.rounds.forget(now);
    }
}

impl Limiter for Envoy {
    fn admit(&mut self, view: &View) -> bool {
        f64::from(view.in_flight) < self.limit
    }

    fn finished(&mut self, done: &Finished) {
        let Some(mut round) = self.rounds.add(done) else { return };
        let sample = round.quantile(self.quantile);
        if let Some(before) = self.probing {
            self.probed(done.now, sample, before);
            return;
        }
        let gradient = (self.min_rtt * (1.0 + self.buffer) / sample).clamp(0.5, 2.0);
        let limit = self.limit * gradient;
        self.limit = (limit + limit.sqrt()).clamp(PROBE_LIMIT, self.max);
        self.at_min = if self.limit <= PROBE_LIMIT { self.at_min + 1 } else { 0 };
        if done.now >= self.next_probe || self.at_min >= 5 {
            self.probe(done.now);
        }
    }
}
