//! The counters that say whether a connection is getting anywhere.

use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Relaxed, Release},
};

/// Written from the connection's own task, or for HTTP/2 from the tasks of its
/// streams; read by its timer. Approximate by design, hence relaxed.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    requests: AtomicU64,
    in_flight: AtomicU32,
    /// `read_bytes` when the last request in flight was done with.
    read_at_rest_bytes: AtomicU64,
    write_blocked: AtomicBool,
    h2: AtomicBool,
    /// The last request announced a body.
    body_announced: AtomicBool,
    /// A client of HTTP/1.0 has not got all of its answer.
    owes_http_10: AtomicBool,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) requests: u64,
    pub(super) in_flight: u32,
    pub(super) read_at_rest_bytes: u64,
    pub(super) write_blocked: bool,
    pub(super) h2: bool,
}

impl Vitals {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            read_bytes: self.read_bytes.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            requests: self.requests.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            read_at_rest_bytes: self.read_at_rest_bytes.load(Relaxed),
            write_blocked: self.write_blocked.load(Relaxed),
            h2: self.h2.load(Relaxed),
        }
    }

    /// Counts bytes from the client and recognises the HTTP/2 preface by its first.
    pub(super) fn read(&self, bytes: &[u8]) {
        // Only the task that owns the socket reads, so load and store suffice.
        let before = self.read_bytes.load(Relaxed);
        if before == 0 && bytes.starts_with(b"PRI") {
            self.h2.store(true, Relaxed);
        }
        self.read_bytes.store(before + bytes.len() as u64, Relaxed);
    }

    pub(super) fn written(&self, bytes: usize) {
        let before = self.written_bytes.load(Relaxed);
        self.written_bytes.store(before + bytes as u64, Relaxed);
        self.write_blocked.store(false, Relaxed);
    }

    pub(super) fn write_blocked(&self) {
        self.write_blocked.store(true, Relaxed);
    }

    pub(super) fn request_begins(&self, body_announced: bool) {
        self.in_flight.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.body_announced.store(body_announced, Relaxed);
    }

    pub(super) fn request_ends(&self) {
        self.read_at_rest_bytes.store(self.read_bytes.load(Relaxed), Relaxed);
        self.in_flight.fetch_sub(1, Release);
    }

    pub(super) fn set_owes_http_10(&self, owes: bool) {
        self.owes_http_10.store(owes, Relaxed);
    }

    pub(super) fn owes_http_10(&self) -> bool {
        self.owes_http_10.load(Relaxed)
    }

    pub(super) fn in_flight(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    /// Whether the client may have sent, or be sending, what nobody will read.
    pub(super) fn unread_likely(&self) -> bool {
        self.body_announced.load(Relaxed)
            || self.read_bytes.load(Relaxed) != self.read_at_rest_bytes.load(Relaxed)
    }
}
