//! How long a ticketed request takes to reach the queue.
//!
//! Requests that hold a ticket while they are authenticated fill the gate but
//! not the next batch. Unless the line is raised by what the disk serves in that
//! time, they starve it: by Little's law as many are on their way as the disk
//! serves in the *mean* time, and a deviation or two more, since they come as they
//! please.
//!
//! The mean is that of requests which a batch took: those that were displaced from
//! the queue, and had come there faster than others, fill no batch. It is a mean and
//! no quantile, since logins may take 50 ms beside puts that take none. And no sample
//! counts for more than a limit: where requests queue before the queue, a longer way
//! would admit more and so be longer still.

use core::time::Duration;

const SAMPLES: usize = 64;
/// Weight of a new mean.
const ALPHA: f64 = 0.1;

/// The latest samples and the mean that is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prestage {
    latest: [f64; SAMPLES],
    next: usize,
    filled: bool,
    seconds: Option<f64>,
}

impl Default for Prestage {
    fn default() -> Self {
        Self { latest: [0.0; SAMPLES], next: 0, filled: false, seconds: None }
    }
}

impl Prestage {
    pub(crate) fn sample(&mut self, time: Duration) {
        self.latest[self.next] = time.as_secs_f64();
        self.next = (self.next + 1) % SAMPLES;
        self.filled |= self.next == 0;
    }

    /// A batch was committed: renews the mean.
    pub(crate) fn settle(&mut self) {
        if !self.filled {
            return;
        }
        let mean = self.latest.iter().sum::<f64>() / SAMPLES as f64;
        let before = self.seconds.unwrap_or(mean);
        self.seconds = Some(before + ALPHA * (mean - before));
    }

    /// Units on their way to a disk of that rate, so that it finds full batches
    /// of `batch`. A deviation of their number is added as far as the batch that
    /// waits does not bridge it.
    pub(crate) fn units(&self, rate: f64, batch: u32) -> f64 {
        let mean = rate * self.seconds.unwrap_or(0.0);
        mean + (DEVIATIONS * mean.sqrt() - f64::from(batch) * BRIDGED).max(0.0)
    }
}

/// By how much the number on the way is expected to vary.
const DEVIATIONS: f64 = 1.5;
/// The part of a waiting batch that may be missing now and then.
const BRIDGED: f64 = 1.0 / 8.0;
