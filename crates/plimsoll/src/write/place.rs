//! A place at the write gate, given back exactly once.

use core::fmt;
use std::sync::Arc;

use crate::queue::SlotId;

/// What a place needs of its gate, whatever work the gate queues.
pub(crate) trait Places: Send + Sync {
    fn release(&self, id: SlotId);
}

/// The right to put one piece of work into the queue. Dropping it, on any
/// path, gives it back; [`WriteGate::enqueue`](crate::write::WriteGate::enqueue)
/// consumes it.
pub struct Place {
    gate: Arc<dyn Places>,
    id: SlotId,
    spent: bool,
}

impl Place {
    pub(crate) fn new(gate: Arc<dyn Places>, id: SlotId) -> Self {
        Self { gate, id, spent: false }
    }

    /// Hands the place over to the queue: the drop gives nothing back.
    pub(crate) fn spend(mut self) -> SlotId {
        self.spent = true;
        self.id
    }

    /// Whether this place was given out by the gate behind `places`.
    pub(crate) fn belongs_to(&self, places: *const ()) -> bool {
        core::ptr::eq(Arc::as_ptr(&self.gate).cast::<()>(), places)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.spent {
            self.gate.release(self.id);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.id).finish()
    }
}
