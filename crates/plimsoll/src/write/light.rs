//! Places kept free for those who would get one anyway.
//!
//! A flow that took much fills the queue as soon as a batch is taken; flows that
//! took little then arrive one by one until the commit ends, and each pushes one
//! of its requests out again. It is kinder to have refused that one at the door.
//! So the gate watches at which rate such light work arrives and keeps as much
//! free as will come in the rest of the running commit, but for a deviation and
//! until shortly before its end: a place kept free in vain is a place wasted, and
//! of a batch of eight each is worth an eighth of the server.

use crate::Timestamp;

/// Weight of the latest commit's rate.
const ALPHA: f64 = 0.1;
/// The part of a commit in which places are kept free.
const UNTIL: f64 = 0.85;

/// The rate at which light work arrives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Light {
    units: u64,
    since: Timestamp,
    /// Units per second.
    rate: f64,
}

impl Light {
    pub(crate) fn arrived(&mut self, units: u32) {
        self.units += u64::from(units);
    }

    /// A batch was taken: the rate since the last one is known.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let seconds = now.since(self.since).as_secs_f64();
        if seconds > 0.0 {
            self.rate += ALPHA * (self.units as f64 / seconds - self.rate);
            (self.units, self.since) = (0, now);
        }
    }

    /// Units to keep free when a commit is `age` old of `predicted` seconds.
    pub(crate) fn expected(&self, age: f64, predicted: f64) -> f64 {
        let expected = self.rate * (UNTIL * predicted - age).max(0.0);
        (expected - expected.sqrt()).max(0.0)
    }
}
