//! The standing wait: the least of the latest waits.

use core::time::Duration;

/// With fifty probes a second, the memory is a sixth of a second.
const PROBES: usize = 8;

/// The latest waits; none at first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    waits: [Duration; PROBES],
    next: usize,
}

impl Standing {
    pub(crate) fn record(&mut self, wait: Duration) {
        self.waits[self.next] = wait;
        self.next = (self.next + 1) % PROBES;
    }

    pub(crate) fn least(&self) -> Duration {
        self.waits.iter().copied().min().unwrap_or_default()
    }
}
