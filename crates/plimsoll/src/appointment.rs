//! Retry-After as an appointment.
//!
//! Refused work has not gone away. It is kept as a virtual queue: every refusal
//! books a slot at the end of it, the queue drains at the rate that arriving work
//! leaves free, and the wait for the slot is the Retry-After. A short overload
//! sends clients away for a second, a long one spreads them out.

use core::time::Duration;

use crate::Timestamp;

/// A second is the shortest wait that HTTP's Retry-After can express.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// Longer waits park clients beyond the overload.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Even when arrivals take the whole rate, some of the refused return and fit.
const SPARE_MIN: f64 = 0.1;

/// The virtual queue of the refused, in units.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Appointments {
    booked: f64,
    drained: Timestamp,
}

impl Appointments {
    /// Books a slot for `units` and returns the wait for it. `rate` is the
    /// service rate in units per second, `taken` the part of it (0..1) that new
    /// arrivals use at present.
    pub(crate) fn book(&mut self, now: Timestamp, units: u32, rate: f64, taken: f64) -> Duration {
        let spare = rate * (1.0 - taken).clamp(SPARE_MIN, 1.0);
        let elapsed = now.since(self.drained).as_secs_f64();
        self.drained = self.drained.max(now);
        self.booked = (self.booked - spare * elapsed).max(0.0) + f64::from(units);
        // Bookings beyond the longest wait expire before their slot comes.
        self.booked = self.booked.min(spare * WAIT_MAX.as_secs_f64());
        let wait = self.booked / spare;
        if wait.is_finite() {
            Duration::from_secs_f64(wait).clamp(WAIT_MIN, WAIT_MAX)
        } else {
            WAIT_MIN
        }
    }
}
