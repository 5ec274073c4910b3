//! AIMD and Vegas of Netflix concurrency-limits: `AIMDLimit.java`,
//! `VegasLimit.java`. Every finished request is a sample.

use super::{Finished, Limiter, View};
use crate::sim::Chance;

/// +1 when it binds, x 0.9 when a request took longer than the timeout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aimd {
    pub(super) limit: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) backoff: f64,
    pub(super) timeout: f64,
}

impl Default for Aimd {
    fn default() -> Self {
        Self { limit: 20.0, min: 20.0, max: 200.0, backoff: 0.9, timeout: 5.0 }
    }
}

impl Limiter for Aimd {
    fn admit(&mut self, view: &View) -> bool {
        f64::from(view.in_flight) < self.limit
    }

    fn finished(&mut self, done: &Finished) {
        if done.rtt > self.timeout {
            self.limit = (self.limit * self.backoff).floor();
        } else if f64::from(done.in_flight) * 2.0 >= self.limit {
            self.limit += 1.0;
        }
        self.limit = self.limit.clamp(self.min, self.max);
    }

    fn lost(&mut self, _now: f64) {
        self.limit = (self.limit * self.backoff).floor().max(self.min);
    }
}

/// Holds `queue = L (1 - rtt_noload / rtt)` between alpha and beta, in steps of
/// log10 L; forgets rtt_noload every `probe` L samples.
#[derive(Clone, Debug)]
pub(super) struct Vegas {
    pub(super) limit: f64,
    pub(super) max: f64,
    pub(super) probe: f64,
    noload: f64,
    samples: f64,
    jitter: f64,
    chance: Chance,
}

impl Vegas {
    pub(super) fn new(initial: f64, max: f64, probe: f64) -> Self {
        let chance = Chance::new(1, 1);
        Self { limit: initial, max, probe, noload: 0.0, samples: 0.0, jitter: 0.75, chance }
    }
}

impl Limiter for Vegas {
    fn admit(&mut self, view: &View) -> bool {
        f64::from(view.in_flight) < self.limit
    }

    fn finished(&mut self, done: &Finished) {
        self.samples += 1.0;
        if self.samples > self.jitter * self.probe * self.limit {
            self.jitter = 0.5 + self.chance.unit() / 2.0;
            (self.samples, self.noload) = (0.0, done.rtt);
            return;
        }
        if self.noload == 0.0 || done.rtt < self.noload {
            self.noload = done.rtt;
            return;
        }
        if f64::from(done.in_flight) * 2.0 < self.limit {
            return;
        }
        let queue = (self.limit * (1.0 - self.noload / done.rtt)).ceil();
        let log = self.limit.log10().floor().max(1.0);
        if queue <= log {
            self.limit += 6.0 * log;
        } else if queue < 3.0 * log {
            self.limit += log;
        } else if queue > 6.0 * log {
            self.limit -= log;
        }
        self.limit = self.limit.clamp(1.0, self.max);
    }

    fn lost(&mut self, _now: f64) {
        self.limit = (self.limit - self.limit.log10().floor().max(1.0)).max(1.0);
    }
}
