//! The opaque gate: admission to a server that shows nothing but its answers.
//!
//! A proxy cannot see the queue that a server dies of. It sees starts, ends and
//! outcomes; from these it must find how many requests at once the server carries.
//! Whatever is above that number waits in the server without gaining anything.
//!
//! A request *starts* at once while fewer are in flight than the limit; else it
//! *waits* in a short fair queue, where it can be displaced by a smaller flow or a
//! higher class or run out of its time; else it is *refused*. Every end starts
//! whoever is next.
//!
//! The gate is pure: no async, no clock. The shell around it hands in a
//! [`Waiter`], which is told once, and moves wakers:
//!
//! ```
//! # use plimsoll::opaque::{Entry, OpaqueGate, OpaqueGateConfig, Outcome, Ticket, Waiter};
//! # use plimsoll::{Class, Cost, Demand, Flow, Gate, Mode, Rejection, Timestamp};
//! # use std::sync::{Arc, mpsc};
//! struct Sender(mpsc::Sender<Result<Ticket, Rejection>>);
//!
//! impl Waiter for Sender {
//!     fn told(self, verdict: Result<Ticket, Rejection>) {
//!         // Nobody listens any more: the ticket ends by being dropped.
//!         drop(self.0.send(verdict));
//!     }
//! }
//!
//! let gate = OpaqueGate::new(
//!     Gate::Upstream, OpaqueGateConfig::default(), Mode::Enforce, Arc::new(()));
//! let cost = Cost::item(512);
//! let demand = Demand { class: Class::Normal, flow: Flow(7), cost, deadline: None };
//! let (sender, receiver) = mpsc::channel();
//! let now = Timestamp::ZERO;
//! let ticket = match gate.enter(now, &demand, || Sender(sender)) {
//!     Ok(Entry::Started(ticket)) => ticket,
//!     // A shell waits until `waiting.until()`, then calls `waiting.expire(now)`.
//!     Ok(Entry::Waiting(_waiting)) => match receiver.recv()? {
//!         Ok(ticket) => ticket,
//!         Err(rejection) => panic!("503 after all: {rejection:?}"),
//!     },
//!     Err(rejection) => panic!("503 at once: {rejection:?}"),
//! };
//! ticket.end(Timestamp::from_nanos(3_000_000), Outcome::Answered);
//! # Ok::<(), mpsc::RecvError>(())
//! ```

mod aside;
mod bystanders;
mod chance;
mod config;
mod contrast;
mod epoch;
mod law;
mod opening;
mod price;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod ticket;
mod trial;

use core::fmt;
use std::sync::{Arc, PoisonError};

use crate::Timestamp;
use crate::demand::Demand;
use crate::mode::{AtomicMode, Mode};
use crate::observer::{Event, Observer};
use crate::opaque::state::{Next, Offered, State};
use crate::opaque::ticket::{Gatekeeper, Start};
use crate::queue::{Holder, SlotId};
use crate::sync::{Mutex, MutexGuard};
use crate::verdict::{Gate, Reason, Rejection};

pub use crate::opaque::bystanders::Bystanders;
pub use crate::opaque::config::{CALLERS_FEW_MAX, InvalidOpaqueGate, OpaqueGateConfig};
pub use crate::opaque::snapshot::OpaqueSnapshot;
pub use crate::opaque::ticket::{Outcome, Ticket, Waiting};

/// Who waits, and is told exactly once unless it leaves the queue first.
pub trait Waiter: Send + 'static {
    /// It may start, or lost its place. Called outside the gate's lock, on the
    /// thread of whoever made room; must not block.
    fn told(self, verdict: Result<Ticket, Rejection>);
}

/// How a request entered.
#[derive(Debug)]
pub enum Entry {
    /// It is to be sent now.
    Started(Ticket),
    /// It waits; its waiter will be told.
    Waiting(Waiting),
}

/// The admission controller of one opaque upstream. Clones share it.
pub struct OpaqueGate<W>(Arc<Shared<W>>);

struct Shared<W> {
    state: Mutex<State<W>>,
    mode: AtomicMode,
    observer: Arc<dyn Observer>,
}

impl<W> Clone for OpaqueGate<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W> fmt::Debug for OpaqueGate<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpaqueGate").field("mode", &self.0.mode.load()).finish_non_exhaustive()
    }
}

impl<W: Waiter> OpaqueGate<W> {
    /// A gate with nothing in flight. `gate` is the name that its refusals bear.
    pub fn new(
        gate: Gate,
        config: OpaqueGateConfig,
        mode: Mode,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self::beside(Bystanders::default(), gate, config, mode, observer)
    }

    /// One of several gates of an upstream, which share `bystanders`: where the limit of one
    /// binds, latency is dearer there the more is asked at the others, by requests that take less.
    pub fn beside(
        bystanders: Bystanders,
        gate: Gate,
        config: OpaqueGateConfig,
        mode: Mode,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let state = Mutex::new(State::new(gate, config, bystanders));
        Self(Arc::new(Shared { state, mode: AtomicMode::new(mode), observer }))
    }

    /// Lets a request start or wait. `waiter` is called only if it has to wait,
    /// under the gate's lock: it must be quick and not touch the gate.
    ///
    /// # Errors
    /// No place, no room to wait, and nobody heavier to give way.
    pub fn enter(
        &self,
        now: Timestamp,
        demand: &Demand,
        waiter: impl FnOnce() -> W,
    ) -> Result<Entry, Rejection> {
        self.enter_among(now, demand, u32::MAX, waiter)
    }

    /// The same where no more than `callers_max` are there to ask, each for one request
    /// at a time. Up to [`CALLERS_FEW_MAX`] may all wait: their number bounds the wait,
    /// and a caller who is refused comes back at once, which costs more.
    ///
    /// # Errors
    /// As of [`enter`](Self::enter).
    pub fn enter_among(
        &self,
        now: Timestamp,
        demand: &Demand,
        callers_max: u32,
        waiter: impl FnOnce() -> W,
    ) -> Result<Entry, Rejection> {
        let mut state = self.0.lock();
        let offered = state.offer(now, demand, callers_max, self.mode(), waiter);
        drop(state);
        let Demand { class, flow, cost, .. } = *demand;
        let holder = Holder { class, flow, units: cost.items };
        let gatekeeper = || Arc::clone(&self.0) as Arc<dyn Gatekeeper>;
        let entry = match offered {
            Offered::Refused(rejection) => {
                self.0.observe_refusal(holder, rejection, true);
                return Err(rejection);
            }
            Offered::Start { start, would_be } => {
                // The place exists from here on: whatever panics below drops it.
                let ticket = Ticket::new(gatekeeper(), start);
                if let Some(rejection) = would_be {
                    self.0.observe_refusal(holder, rejection, false);
                }
                Entry::Started(ticket)
            }
            Offered::Wait { id, until, displaced } => {
                let waiting = Waiting::new(gatekeeper(), id, until);
                for (holder, waiter, rejection) in displaced {
                    self.0.turn_away(holder, waiter, rejection);
                }
                Entry::Waiting(waiting)
            }
        };
        self.0.observer.event(&Event::Admitted { class, flow, units: cost.items });
        Ok(entry)
    }

    /// Counts a refusal that was decided elsewhere and says when to come back.
    pub fn refuse(&self, now: Timestamp, demand: &Demand, reason: Reason) -> Rejection {
        let rejection = self.0.lock().refuse(now, demand, reason);
        let Demand { class, flow, cost, .. } = *demand;
        self.0.observe_refusal(Holder { class, flow, units: cost.items }, rejection, true);
        rejection
    }

    /// The gate at this instant.
    pub fn snapshot(&self, now: Timestamp) -> OpaqueSnapshot {
        self.0.lock().snapshot(now)
    }

    /// What the gate does with its verdicts.
    pub fn mode(&self) -> Mode {
        self.0.mode.load()
    }

    /// Changes that, from the next request on; who waits already is let go in
    /// turn.
    pub fn set_mode(&self, mode: Mode) {
        self.0.mode.store(mode);
    }
}

impl<W> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // No code under this lock panics; should it ever, the state is still
        // worth more than an outage.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe_refusal(&self, holder: Holder, rejection: Rejection, enforced: bool) {
        let Holder { class, flow, units } = holder;
        self.observer.event(&Event::Refused { class, flow, units, rejection, enforced });
    }
}

impl<W: Waiter> Shared<W> {
    fn turn_away(&self, holder: Holder, waiter: W, rejection: Rejection) {
        self.observe_refusal(holder, rejection, true);
        waiter.told(Err(rejection));
    }

    /// Places came free.
    fn start_next(self: &Arc<Self>, now: Timestamp) {
        // One at a time: nobody is lost should a waiter panic.
        loop {
            let mode = self.mode.load();
            let next = self.lock().next(now, mode);
            match next {
                Some(Next::Start(start, waiter)) => {
                    waiter.told(Ok(Ticket::new(Arc::clone(self) as Arc<dyn Gatekeeper>, start)));
                }
                Some(Next::TurnAway(holder, waiter, rejection)) => {
                    self.turn_away(holder, waiter, rejection);
                }
                None => return,
            }
        }
    }
}

impl<W: Waiter> Gatekeeper for Shared<W> {
    fn end(self: Arc<Self>, now: Option<Timestamp>, start: Start, outcome: Outcome) {
        let now = self.lock().end(now, start, outcome);
        self.start_next(now);
    }

    fn set_aside(self: Arc<Self>, now: Timestamp, start: Start) -> bool {
        let is_aside = self.lock().set_aside(now, start);
        if is_aside {
            self.start_next(now);
        }
        is_aside
    }

    fn leave(&self, id: SlotId) {
        // The waiter is dropped outside the lock: it may hold anything.
        let _gone = self.lock().leave(id);
    }

    fn expire(&self, now: Timestamp, id: SlotId) -> Option<Rejection> {
        let (holder, _waiter, rejection) = self.lock().expire(now, id)?;
        self.observe_refusal(holder, rejection, true);
        Some(rejection)
    }
}
