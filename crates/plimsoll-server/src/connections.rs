//! The gate of the connections, as listeners ask it.

use std::sync::Arc;

use plimsoll::Class;
use plimsoll::capacity::{CapacityGate, Held, Share};
use plimsoll_listener::{Place, Places};
use plimsoll_store::Clock;

/// Places for the connections of all listeners together.
#[derive(Debug)]
pub(crate) struct Connections {
    gate: CapacityGate,
    clock: Clock,
}

/// What an open connection has.
#[derive(Debug)]
struct Connection {
    _place: Held,
    /// Of the memory gate.
    memory: Share,
}

impl Connections {
    pub(crate) fn new(gate: CapacityGate, clock: Clock) -> Arc<Self> {
        Arc::new(Self { gate, clock })
    }
}

impl Places for Connections {
    fn take(&self) -> Option<Place> {
        let place = self.gate.hold(self.clock.now(), Class::Normal, 1).ok()?;
        Some(Place::holding(Connection { _place: place, memory: Share::default() }))
    }
}

/// The memory of the connection on which a request came.
pub(crate) fn memory_of(extensions: &http::Extensions) -> Option<Share> {
    let connection = extensions.get::<Place>()?.held::<Connection>()?;
    Some(connection.memory.clone())
}
