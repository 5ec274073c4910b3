//! Counters of a listener, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a listener has done so far. Every number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed, for whatever reason.
    pub closed: u64,
    /// Accepts that failed, for want of file descriptors mostly.
    pub accept_errors: u64,
    /// Times at which the connection limit held accepting up.
    pub limit_reached: u64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: u64,
    /// Connections cut off because the client was too slow or did not read.
    pub timed_out: u64,
}

impl ListenerStats {
    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.accepted.saturating_sub(self.closed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) limit_reached: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> ListenerStats {
        // `closed` first: a connection that opens and closes in between must not
        // make more closed than accepted.
        let closed = self.closed.load(Relaxed);
        ListenerStats {
            closed,
            accepted: self.accepted.load(Relaxed),
            accept_errors: self.accept_errors.load(Relaxed),
            limit_reached: self.limit_reached.load(Relaxed),
            handshakes_failed: self.handshakes_failed.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
        }
    }
}
