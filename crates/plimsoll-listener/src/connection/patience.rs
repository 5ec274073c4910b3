//! When to give up on a client: a pure function of counters over time.
//!
//! Time is counted in periods of half the shortest limit, so a limit is noticed
//! between once and one and a half times its value.

use std::time::Duration;

use super::vitals::Snapshot;
use crate::Limits;

/// The HTTP/2 preface; fewer bytes than that are no connection yet.
const H2_PREFACE_BYTES: u64 = 24;

/// What to do with a connection after a look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is fine.
    Go,
    /// It is idle: close it politely.
    Close,
    /// The client stalls: cut it off.
    Cut,
}

#[derive(Debug)]
pub(super) struct Patience {
    period_ms: u64,
    header_read_ms_max: u64,
    idle_ms_max: u64,
    write_stall_ms_max: u64,
    last: Snapshot,
    quiet_ms: u64,
    partial_head_ms: u64,
    write_stall_ms: u64,
}

impl Patience {
    pub(super) fn new(limits: &Limits) -> Self {
        let shortest_ms =
            limits.header_read_ms_max.min(limits.idle_ms_max).min(limits.write_stall_ms_max);
        Self {
            period_ms: (shortest_ms / 2).max(1),
            header_read_ms_max: limits.header_read_ms_max,
            idle_ms_max: limits.idle_ms_max,
            write_stall_ms_max: limits.write_stall_ms_max,
            last: Snapshot::default(),
            quiet_ms: 0,
            partial_head_ms: 0,
            write_stall_ms: 0,
        }
    }

    /// How long to wait before the next [`look`](Self::look).
    pub(super) fn period(&self) -> Duration {
        Duration::from_millis(self.period_ms)
    }

    /// Judges the connection one period after the last look.
    pub(super) fn look(&mut self, now: &Snapshot) -> Verdict {
        let quiet = now.in_flight == 0 && now.requests == self.last.requests;
        let stalled = now.write_blocked && now.written_bytes == self.last.written_bytes;
        self.quiet_ms = self.longer_if(quiet, self.quiet_ms);
        self.partial_head_ms = self.longer_if(quiet && head_begun(now), self.partial_head_ms);
        self.write_stall_ms = self.longer_if(stalled, self.write_stall_ms);
        self.last = *now;

        if self.write_stall_ms >= self.write_stall_ms_max
            || self.partial_head_ms >= self.header_read_ms_max
        {
            Verdict::Cut
        } else if self.quiet_ms >= self.idle_ms_max {
            Verdict::Close
        } else {
            Verdict::Go
        }
    }

    fn longer_if(&self, lasts: bool, so_far_ms: u64) -> u64 {
        if lasts { so_far_ms.saturating_add(self.period_ms) } else { 0 }
    }
}

/// Whether the client owes the rest of a head (or, on a new connection, one).
fn head_begun(now: &Snapshot) -> bool {
    if now.requests == 0 {
        // An HTTP/2 client may open a connection in advance; an HTTP/1.1 client
        // that says nothing at all is not worth a place.
        !now.h2 || now.read_bytes < H2_PREFACE_BYTES
    } else {
        // Between HTTP/2 requests there are pings and window updates.
        !now.h2 && now.read_bytes > now.read_at_rest_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        Patience::new(&Limits {
            header_read_ms_max: 10_000,
            idle_ms_max: 20_000,
            write_stall_ms_max: 30_000,
            ..Limits::default()
        })
    }

    /// Milliseconds until the verdict is no longer `Go`, if `now` never changes.
    fn time_to_verdict(now: Snapshot) -> (u64, Verdict) {
        let mut patience = patience();
        for look in 1..100 {
            let verdict = patience.look(&now);
            if verdict != Verdict::Go {
                return (look * patience.period_ms, verdict);
            }
        }
        (u64::MAX, Verdict::Go)
    }

    fn after_one_request() -> Snapshot {
        Snapshot { read_bytes: 90, read_at_rest_bytes: 90, requests: 1, ..Snapshot::default() }
    }

    #[test]
    fn a_client_that_never_says_anything_is_cut_off_like_a_slow_head() {
        assert_eq!(time_to_verdict(Snapshot::default()), (10_000, Verdict::Cut));
    }

    #[test]
    fn a_trickled_head_is_cut_off_although_bytes_keep_coming() {
        let mut patience = patience();
        let first = patience.look(&Snapshot { read_bytes: 5, ..Snapshot::default() });
        let second = patience.look(&Snapshot { read_bytes: 10, ..Snapshot::default() });
        assert_eq!((first, second), (Verdict::Go, Verdict::Cut));
    }

    #[test]
    fn an_idle_connection_is_closed_politely() {
        let (ms, verdict) = time_to_verdict(after_one_request());
        // The first look still sees the request that was new to it.
        assert_eq!((ms, verdict), (25_000, Verdict::Close));
    }

    #[test]
    fn a_second_head_that_stalls_is_cut_off() {
        let now = Snapshot { read_bytes: 95, ..after_one_request() };
        assert_eq!(time_to_verdict(now), (15_000, Verdict::Cut));
    }

    #[test]
    fn a_request_in_flight_is_never_idle() {
        let now = Snapshot { in_flight: 1, ..after_one_request() };
        assert_eq!(time_to_verdict(now).1, Verdict::Go);
    }

    #[test]
    fn a_client_that_does_not_read_its_answer_is_cut_off() {
        let now = Snapshot { in_flight: 1, write_blocked: true, ..after_one_request() };
        assert_eq!(time_to_verdict(now), (30_000, Verdict::Cut));
    }

    #[test]
    fn a_client_that_reads_slowly_is_served() {
        let mut patience = patience();
        for look in 0..100 {
            let now = Snapshot {
                in_flight: 1,
                write_blocked: true,
                written_bytes: 1_000 + look,
                ..after_one_request()
            };
            assert_eq!(patience.look(&now), Verdict::Go);
        }
    }

    #[test]
    fn an_http2_connection_opened_in_advance_is_only_idle() {
        let now = Snapshot { h2: true, read_bytes: 60, ..Snapshot::default() };
        assert_eq!(time_to_verdict(now), (20_000, Verdict::Close));
    }

    #[test]
    fn http2_pings_between_requests_are_not_a_slow_head() {
        let now = Snapshot { h2: true, read_bytes: 500, ..after_one_request() };
        assert_eq!(time_to_verdict(now).1, Verdict::Close);
    }
}
