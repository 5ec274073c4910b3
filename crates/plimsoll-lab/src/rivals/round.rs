//! A round of samples, as most limiters collect them.

use super::Finished;

/// Ends after `seconds`, but not before `samples` requests.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    seconds: f64,
    samples: usize,
    began: f64,
    rtts: Vec<f64>,
    in_flight: u32,
}

/// A round that ended.
#[derive(Clone, Debug)]
pub(super) struct Round {
    rtts: Vec<f64>,
    /// The most requests that were in flight.
    pub(super) in_flight: u32,
    /// How long it took.
    pub(super) seconds: f64,
}

impl Rounds {
    pub(super) const fn new(seconds: f64, samples: usize) -> Self {
        Self { seconds, samples, began: 0.0, rtts: Vec::new(), in_flight: 0 }
    }

    /// Adds a request; the round, if that ended it.
    pub(super) fn add(&mut self, done: &Finished) -> Option<Round> {
        if self.rtts.is_empty() {
            self.began = self.began.max(done.now - done.rtt.min(self.seconds));
        }
        self.rtts.push(done.rtt);
        self.in_flight = self.in_flight.max(done.in_flight);
        let seconds = done.now - self.began;
        if seconds < self.seconds || self.rtts.len() < self.samples {
            return None;
        }
        let rtts = std::mem::take(&mut self.rtts);
        let in_flight = std::mem::take(&mut self.in_flight);
        self.began = done.now;
        Some(Round { rtts, in_flight, seconds })
    }

    pub(super) fn forget(&mut self, now: f64) {
        self.rtts.clear();
        self.in_flight = 0;
        self.began = now;
    }
}

impl Round {
    pub(super) fn mean(&self) -> f64 {
        self.rtts.iter().sum::<f64>() / self.rtts.len() as f64
    }

    pub(super) fn quantile(&mut self, q: f64) -> f64 {
        let index = ((self.rtts.len() - 1) as f64 * q).round() as usize;
        *self.rtts.select_nth_unstable_by(index, f64::total_cmp).1
    }

    pub(super) fn count(&self) -> usize {
        self.rtts.len()
    }
}
