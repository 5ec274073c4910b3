//! A request at the upstream, and one that waits to get there.

use core::fmt;
use std::sync::Arc;

use crate::Timestamp;
use crate::queue::{Holder, SlotId};
use crate::verdict::Rejection;

/// How a request at the upstream ended, as far as the gate is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered, well or not: a 404 is work done.
    Answered,
    /// The upstream itself refused it for want of capacity: 503, 429.
    Overloaded,
    /// No answer came in time.
    TimedOut,
    /// It came to nothing for another reason: connection refused or broken,
    /// garbage, 502. Says nothing about the load.
    Failed,
    /// The client went away first.
    Cancelled,
}

/// What tickets need of their gate, whoever waits at it.
pub(crate) trait Gatekeeper: Send + Sync {
    /// `None`: at some time after what the gate was told last.
    fn end(self: Arc<Self>, now: Option<Timestamp>, start: Start, outcome: Outcome);
    fn set_aside(self: Arc<Self>, now: Timestamp, start: Start) -> bool;
    fn leave(&self, id: SlotId);
    fn expire(&self, now: Timestamp, id: SlotId) -> Option<Rejection>;
}

/// When a request started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) at: Timestamp,
    /// How many were at the upstream then, itself included.
    pub(crate) in_flight: u32,
    /// Whose it is.
    pub(crate) holder: Holder,
    /// It holds no place any more.
    pub(crate) aside: bool,
}

/// A request that may be, or is, at the upstream. Ended exactly once: by
/// [`Ticket::end`], or as cancelled by being dropped.
#[must_use = "a dropped ticket is a cancelled request"]
pub struct Ticket {
    gate: Arc<dyn Gatekeeper>,
    start: Start,
    ended: bool,
}

impl Ticket {
    pub(crate) fn new(gate: Arc<dyn Gatekeeper>, start: Start) -> Self {
        Self { gate, start, ended: false }
    }

    /// When it was let through.
    pub const fn started(&self) -> Timestamp {
        self.start.at
    }

    /// Gives the place back although the upstream is not done, and says whether it did:
    /// where this one takes far longer than what the upstream usually answers and others
    /// are answered meanwhile, and now and then to see whether they are. Such a one waits
    /// for something of its own, a long poll for news, say, and not for the upstream.
    pub fn set_aside(&mut self, now: Timestamp) -> bool {
        if !self.start.aside {
            self.start.aside = Arc::clone(&self.gate).set_aside(now, self.start);
        }
        self.start.aside
    }

    /// The upstream is done with it: the whole answer is here, or none will come.
    /// Those who waited are started before this returns.
    pub fn end(mut self, now: Timestamp, outcome: Outcome) {
        self.ended = true;
        Arc::clone(&self.gate).end(Some(now), self.start, outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.ended {
            Arc::clone(&self.gate).end(None, self.start, Outcome::Cancelled);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.start).finish()
    }
}

/// A request in the gate's queue. Dropping it leaves the queue.
#[must_use = "dropping it leaves the queue"]
pub struct Waiting {
    gate: Arc<dyn Gatekeeper>,
    id: SlotId,
    until: Timestamp,
}

impl Waiting {
    pub(crate) fn new(gate: Arc<dyn Gatekeeper>, id: SlotId, until: Timestamp) -> Self {
        Self { gate, id, until }
    }

    /// When it has waited long enough: [`Waiting::expire`] is then to be called.
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// It waited in vain. `None` if its waiter was told something else before:
    /// that stands.
    pub fn expire(self, now: Timestamp) -> Option<Rejection> {
        self.gate.expire(now, self.id)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gate.leave(self.id);
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("id", &self.id).field("until", &self.until).finish()
    }
}
