//! Where held requests stand, oldest first.
//!
//! Only the first watches the clock and the window; it is woken when something
//! ends, and wakes the next when it leaves, for whatever reason.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::rules::call::GaveUp;
use crate::rules::pace::{Held, Pace};

#[derive(Debug, Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pace: Pace,
    /// By the number of the call: a retry stands where it stood before.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

impl Line {
    /// Waits until call number `number` may send. Times count from `begin`.
    pub(super) async fn pass(
        &self,
        number: u64,
        begin: Instant,
        waiting_max: usize,
    ) -> Result<Pass<'_>, GaveUp> {
        let place = {
            let mut state = self.state();
            if state.waiting.is_empty() && state.pace.check(begin.elapsed()).is_ok() {
                state.pace.started();
                return Ok(Pass { line: self });
            }
            if state.waiting.len() >= waiting_max {
                return Err(GaveUp::TooManyHeld);
            }
            let woken = Arc::new(Notify::new());
            state.waiting.insert(number, Arc::clone(&woken));
            Place { line: self, number, woken }
        };
        loop {
            match place.check(begin.elapsed()) {
                Ok(pass) => return Ok(pass),
                Err(Held::Full) => place.woken.notified().await,
                Err(Held::Until(until)) => tokio::select! {
                    () = place.woken.notified() => {}
                    () = sleep_until(later(begin, until)) => {}
                },
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_first(&self) {
        if let Some((_, first)) = self.waiting.first_key_value() {
            first.notify_one();
        }
    }
}

/// A place in the line, left when it is dropped.
struct Place<'a> {
    line: &'a Line,
    number: u64,
    woken: Arc<Notify>,
}

impl<'a> Place<'a> {
    fn check(&self, now: Duration) -> Result<Pass<'a>, Held> {
        let mut state = self.line.state();
        let is_first = state.waiting.first_key_value().is_some_and(|(n, _)| *n == self.number);
        if !is_first {
            return Err(Held::Full);
        }
        state.pace.check(now)?;
        state.pace.started();
        Ok(Pass { line: self.line })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.line.state();
        state.waiting.remove(&self.number);
        state.wake_first();
    }
}

/// Leave to send once; ends when it is dropped.
pub(super) struct Pass<'a> {
    line: &'a Line,
}

impl Pass<'_> {
    pub(super) fn served(self) {
        let mut state = self.line.state();
        let more = !state.waiting.is_empty();
        state.pace.served(more);
    }

    pub(super) fn refused(self, until: Duration) {
        self.line.state().pace.refused(until);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.line.state();
        state.pace.ended();
        state.wake_first();
    }
}

/// `since` after `begin`, or in the far future if there is no such instant.
pub(super) fn later(begin: Instant, since: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 86_400);
    begin.checked_add(since).unwrap_or_else(|| begin + FAR)
}
