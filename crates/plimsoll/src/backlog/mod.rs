//! The gate of a backlog: what is taken in now makes work for later.
//!
//! A lease is given out by a request and ended by the background, when its time has
//! come. A server that gives them out faster than it ends them stores more and more of
//! them that are good for nothing, and nobody sees it: every answer is quick. So who
//! makes that work is refused while it is not done in time.
//!
//! The measure is how *late* the work is: the age of the oldest item that is due. It
//! needs no count, and no capacity. Being late is no reason to refuse, or a restart
//! after a night would refuse logins until everything of that night is ended; so the
//! gate closes when the work is late by more than [`LATE_MAX`] *and*, at the pace of
//! the last seconds, will not have caught up within [`LATE_MAX`] either. It opens when
//! one of the two is no longer so.

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::sync::PoisonError;

use crate::Timestamp;
use crate::controller::{Controller, GateSnapshot};
use crate::demand::Class;
use crate::mode::{AtomicMode, Mode};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::tally::Tally;
use crate::verdict::{Gate, Reason, Rejection};

/// Work may be this late, and take this long to catch up.
pub const LATE_MAX: Duration = Duration::from_secs(60);

/// How long the pace remembers.
const MEMORY_SECONDS: f64 = 10.0;
/// How long work must have been late before its pace is known.
const MEASURED_SECONDS: f64 = 1.0;
/// What a refused client is told at least, and at most.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// See the module. Until the first report nothing is late.
#[derive(Debug)]
pub struct BacklogGate {
    state: Mutex<State>,
    /// Zero while the gate is open, else what a refused client is told, in nanoseconds.
    retry_after: AtomicU64,
    mode: AtomicMode,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    reported: Timestamp,
    late: Duration,
    /// Seconds caught up, and seconds in which that was done; the older ones fading.
    caught_up: f64,
    seconds: f64,
}

impl BacklogGate {
    /// An open gate.
    pub fn new(mode: Mode) -> Self {
        let (state, retry_after) = (Mutex::default(), AtomicU64::new(0));
        Self { state, retry_after, mode: AtomicMode::new(mode), tally: Tally::default() }
    }

    /// Tells how late the work is: the age of the oldest item that is due, zero if none
    /// is. Call it after each piece of the work, and now and then when there is none.
    pub fn report(&self, now: Timestamp, late: Duration) {
        let mut state = self.lock();
        state.report(now, late);
        let closed = state.behind() > LATE_MAX.as_secs_f64();
        let retry_after = if closed { state.retry_after() } else { Duration::ZERO };
        drop(state);
        self.retry_after.store(nanos(retry_after), Ordering::Relaxed);
    }

    /// Asks on behalf of a request that makes such work.
    ///
    /// # Errors
    /// There is more of it than is done in time.
    pub fn admit(&self, now: Timestamp, class: Class) -> Result<(), Rejection> {
        let mode = self.mode.load();
        if mode == Mode::Off {
            return Ok(());
        }
        self.tally.offered(now);
        let retry_after = Duration::from_nanos(self.retry_after.load(Ordering::Relaxed));
        if retry_after.is_zero() || class == Class::Critical {
            return Ok(());
        }
        self.tally.refused(now, class, Reason::Full);
        match mode {
            Mode::Off | Mode::Monitor => Ok(()),
            Mode::Enforce => {
                Err(Rejection { gate: Gate::Leases, reason: Reason::Full, retry_after })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics, and numbers cannot be left half-made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn report(&mut self, now: Timestamp, late: Duration) {
        let elapsed = now.since(self.reported).as_secs_f64();
        if self.late.is_zero() || late.is_zero() {
            // Falling behind begins anew: the clock may have jumped, too.
            (self.caught_up, self.seconds) = (0.0, 0.0);
        } else {
            let fade = (-elapsed / MEMORY_SECONDS).exp();
            let caught_up = self.late.as_secs_f64() - late.as_secs_f64();
            self.caught_up = self.caught_up * fade + caught_up;
            self.seconds = self.seconds * fade + elapsed;
        }
        (self.reported, self.late) = (self.reported.max(now), late);
    }

    /// In how many seconds nothing is late any more, at this pace.
    fn seconds_left(&self) -> f64 {
        if self.seconds < MEASURED_SECONDS {
            return 0.0;
        }
        let pace = (self.caught_up / self.seconds).max(f64::MIN_POSITIVE);
        self.late.as_secs_f64() / pace
    }

    /// What counts, in seconds: work is behind if it is late and stays so.
    fn behind(&self) -> f64 {
        self.seconds_left().min(self.late.as_secs_f64())
    }

    fn retry_after(&self) -> Duration {
        let left = Duration::try_from_secs_f64(self.seconds_left()).unwrap_or(RETRY_AFTER_MAX);
        left.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Controller for BacklogGate {
    fn snapshot(&self, now: Timestamp) -> GateSnapshot {
        let saturation = self.lock().behind() / LATE_MAX.as_secs_f64();
        self.tally.snapshot(now, Gate::Leases, self.mode.load(), saturation)
    }

    fn set_mode(&self, mode: Mode) {
        self.mode.store(mode);
    }
}
