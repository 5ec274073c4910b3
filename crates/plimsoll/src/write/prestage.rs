//! How long a ticketed request takes to reach the queue.
//!
//! Requests that hold a ticket while they are authenticated fill the gate but
//! not the next batch. Unless the line is raised by what the disk serves in that
//! time, they starve it. The term is a low quantile, because the time wanted is
//! the service of the steps before the queue, not the queueing in front of them:
//! raising the line with the queueing would feed the queue.

use core::time::Duration;

const SAMPLES: usize = 64;
/// The 25th percentile.
const QUANTILE_INDEX: usize = SAMPLES / 4;

/// The latest samples and the quantile of the window before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prestage {
    nanos: [u64; SAMPLES],
    next: usize,
    filled: bool,
    seconds: f64,
}

impl Default for Prestage {
    fn default() -> Self {
        Self { nanos: [0; SAMPLES], next: 0, filled: false, seconds: 0.0 }
    }
}

impl Prestage {
    pub(crate) fn sample(&mut self, time: Duration) {
        self.nanos[self.next] = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.next = (self.next + 1) % SAMPLES;
        self.filled |= self.next == 0;
    }

    /// Renews the term; it never exceeds `cap`, the time of one full commit.
    pub(crate) fn settle(&mut self, cap: Duration) {
        if !self.filled {
            return;
        }
        let mut sorted = self.nanos;
        let (_, quantile, _) = sorted.select_nth_unstable(QUANTILE_INDEX);
        self.seconds = Duration::from_nanos(*quantile).min(cap).as_secs_f64();
    }

    pub(crate) const fn seconds(&self) -> f64 {
        self.seconds
    }
}
