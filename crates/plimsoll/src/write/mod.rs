//! The write gate: admission to a group-commit queue.
//!
//! A server that commits in groups has a property that no latency-based limiter
//! survives: healthy load makes it slower. A commit of b transactions takes
//! S(b) = s0 + s1 b, so an idle server answers after S(1) and a full one after
//! two full batches, with no queue standing anywhere. A limiter that compares
//! latencies reads that as congestion, shrinks the window, gets smaller batches,
//! and thereby makes its own fear come true.
//!
//! The optimum is known in closed form instead. The disk never waits, and every
//! batch is full, if one batch waits whenever a commit ends; each batch more
//! that waits adds S(B) to every latency and nothing to the throughput. So:
//!
//! 1. admit while what waits and what is on its way there fit into one batch of
//!    B_eff, plus what the disk serves while requests are under way to the queue;
//! 2. else admit from the burst bucket, for a server that was idle;
//! 3. else let a lower class, or the newest request of the flow that took most,
//!    give way; work that would, leaves room for those it would give way to;
//! 4. else refuse at once.
//!
//! The line is counted in the batch's own units, so a disk that turns ten times
//! slower changes nothing: it is full with the same number of items. Nothing is
//! probed, no baseline is kept, and there is no gain to tune. An empty gate
//! always admits, before the first commit was ever measured too.

mod admission;
mod config;
mod light;
mod model;
mod place;
mod prestage;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Deref;
use std::sync::{Arc, PoisonError};

use crate::Timestamp;
use crate::demand::{Cost, Demand};
use crate::mode::{AtomicMode, Mode};
use crate::observer::{Event, Observer};
use crate::queue::{Holder, SlotId};
use crate::sync::{Mutex, MutexGuard};
use crate::verdict::{Reason, Rejection};
use crate::write::place::Places;
use crate::write::state::{Offered, State, Turned};

pub use crate::verdict::Counters;
pub use crate::write::admission::Admission;
pub use crate::write::config::{InvalidWriteGate, WriteGateConfig};
pub use crate::write::model::{Calibration, CommitSample};
pub use crate::write::place::Place;
pub use crate::write::snapshot::WriteSnapshot;

/// Work that waits at the gate.
pub trait Work: Send {
    /// Nobody waits for the answer any more: not worth committing.
    fn is_abandoned(&self) -> bool;

    /// It lost its place: tell its owner. Called outside the gate's lock.
    fn turned_away(self, rejection: Rejection);
}

/// What the next commit is to hold.
#[derive(Debug)]
pub struct Batch<T> {
    /// The work, in the order of service.
    pub payloads: Vec<T>,
    /// Its weight.
    pub units: u32,
    /// Units still free, for background work.
    pub room: u32,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { payloads: Vec::new(), units: 0, room: 0 }
    }
}

/// The admission controller of one group-commit queue, and the queue itself.
/// Clones share it.
pub struct WriteGate<T>(Arc<Shared<T>>);

/// The count of references, which every place changes, what is only read, and what the
/// lock guards do not disturb each other: each has lines of the cache to itself.
struct Shared<T> {
    fixed: Apart<Fixed>,
    state: Apart<Mutex<State<T>>>,
}

/// Two lines, since processors fetch them in pairs.
#[repr(align(128))]
struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

struct Fixed {
    mode: AtomicMode,
    config: WriteGateConfig,
    observer: Arc<dyn Observer>,
}

impl<T> Clone for WriteGate<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for WriteGate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGate").field("mode", &self.0.fixed.mode.load()).finish_non_exhaustive()
    }
}

impl<T: Work + 'static> WriteGate<T> {
    /// A gate with nothing waiting.
    pub fn new(config: WriteGateConfig, mode: Mode, observer: Arc<dyn Observer>) -> Self {
        let state = Apart(Mutex::new(State::new(config)));
        let fixed = Apart(Fixed { mode: AtomicMode::new(mode), config, observer });
        Self(Arc::new(Shared { fixed, state }))
    }

    /// Asks for a place.
    ///
    /// # Errors
    /// The gate is full, and nobody heavier was there to give way.
    pub fn admit(&self, now: Timestamp, demand: &Demand) -> Result<Place, Rejection> {
        let offered = self.0.lock().offer(now, demand, self.mode());
        let Demand { class, flow, .. } = *demand;
        match offered {
            Offered::Refused { units, rejection } => {
                let holder = Holder { class, flow, units };
                self.0.observe_refusal(holder, rejection, true);
                Err(rejection)
            }
            Offered::Place { id, units, displaced, would_be } => {
                // The place exists from here on: whatever panics below drops it.
                let place = Place::new(Arc::clone(&self.0) as Arc<dyn Places>, id);
                if let Some(rejection) = would_be {
                    self.0.observe_refusal(Holder { class, flow, units }, rejection, false);
                }
                self.0.fixed.observer.event(&Event::Admitted { class, flow, units });
                self.0.turn_away(displaced);
                Ok(place)
            }
        }
    }

    /// Asks without taking a place, as soon as the headers are known: a body
    /// that would be refused anyway need not be read. Counts a refusal, and
    /// nothing else.
    ///
    /// # Errors
    /// As [`WriteGate::admit`].
    pub fn peek(&self, now: Timestamp, demand: &Demand) -> Result<(), Rejection> {
        if self.mode() != Mode::Enforce {
            return Ok(());
        }
        let mut state = self.0.lock();
        let Err(reason) = state.peek(now, demand) else { return Ok(()) };
        let rejection = state.refuse(now, demand, reason);
        drop(state);
        self.0.observe_refusal(self.holder(demand), rejection, true);
        Err(rejection)
    }

    /// Counts a refusal that was decided elsewhere and says when to come back.
    pub fn refuse(&self, now: Timestamp, demand: &Demand, reason: Reason) -> Rejection {
        let rejection = self.0.lock().refuse(now, demand, reason);
        self.0.observe_refusal(self.holder(demand), rejection, true);
        rejection
    }

    /// Puts work into the queue, at its real cost.
    ///
    /// # Errors
    /// The place was displaced meanwhile, or is another gate's: the work comes
    /// back, with the rejection to answer.
    pub fn enqueue(
        &self,
        now: Timestamp,
        place: Place,
        cost: Cost,
        work: T,
    ) -> Result<(), (T, Rejection)> {
        debug_assert!(place.belongs_to(Arc::as_ptr(&self.0).cast()), "a place of another gate");
        let units = self.0.fixed.config.units(cost);
        let id = place.spend();
        self.0.lock().enqueue(now, id, units, work).map_err(|(work, rejection)| {
            // A place is spent once, so an unknown one can only be displaced.
            let gate = crate::verdict::Gate::Write;
            let retry_after = core::time::Duration::from_secs(1);
            let unknown = Rejection { gate, reason: Reason::Displaced, retry_after };
            (work, rejection.unwrap_or(unknown))
        })
    }

    /// Takes what the next commit is to hold into `batch`, which is emptied
    /// first. With `background`, a tenth of it is left free. What was abandoned
    /// or is past its deadline is turned away instead.
    pub fn take(&self, now: Timestamp, background: bool, batch: &mut Batch<T>) {
        batch.payloads.clear();
        (batch.units, batch.room) = (0, 0);
        let mode = self.mode();
        let dead = self.0.lock().take(now, mode, background, T::is_abandoned, batch);
        self.0.turn_away(dead);
    }

    /// Tells the gate what commits cost, before the first request: an engine that
    /// can measure that at its start should.
    pub fn calibrate(&self, calibration: &Calibration) {
        self.0.lock().calibrate(calibration);
    }

    /// Reports that a commit ended: the loop that moves the load line.
    pub fn committed(&self, now: Timestamp, sample: CommitSample) {
        let trimmed = self.0.lock().committed(now, &sample, self.mode());
        self.0.fixed.observer.event(&Event::Committed(sample));
        self.0.turn_away(trimmed);
    }

    /// Whether anything waits to be taken.
    pub fn has_waiting(&self) -> bool {
        self.0.lock().has_waiting()
    }

    /// The weight of a cost in the batch's own units.
    pub fn units(&self, cost: Cost) -> u32 {
        self.0.fixed.config.units(cost)
    }

    /// The gate at this instant.
    pub fn snapshot(&self, now: Timestamp) -> WriteSnapshot {
        self.0.lock().snapshot(now)
    }

    /// What the gate does with its verdicts.
    pub fn mode(&self) -> Mode {
        self.0.fixed.mode.load()
    }

    /// Changes that, from the next request on.
    pub fn set_mode(&self, mode: Mode) {
        self.0.fixed.mode.store(mode);
    }

    fn holder(&self, demand: &Demand) -> Holder {
        Holder {
            class: demand.class,
            flow: demand.flow,
            units: self.0.fixed.config.units(demand.cost),
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code under this lock panics; should it ever, the state is still
        // worth more than an outage.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe_refusal(&self, holder: Holder, rejection: Rejection, enforced: bool) {
        let Holder { class, flow, units } = holder;
        self.fixed.observer.event(&Event::Refused { class, flow, units, rejection, enforced });
    }
}

impl<T: Work> Shared<T> {
    fn turn_away(&self, turned: Vec<Turned<T>>) {
        for (holder, work, rejection) in turned {
            self.observe_refusal(holder, rejection, true);
            if let Some(work) = work {
                work.turned_away(rejection);
            }
        }
    }
}

impl<T: Work> Places for Shared<T> {
    fn release(&self, id: SlotId) {
        self.lock().release(id);
    }
}
