//! The door: a request is admitted whole or refused whole, before anything is
//! done for it.
//!
//! A request that will write meets the gate twice. On its headers the gate is
//! only *asked*: what would be refused anyway need not send its body, and a client
//! that sent `Expect: 100-continue` has its answer at once. When the last byte of
//! the body is in, the place is *taken*: a client that trickles its body holds
//! nothing, and nobody is authenticated, decoded or hashed for without a place.
//!
//! Reads have places of their own, and whatever is admitted takes its [turn](Turns) at the
//! processors.
//!
//! The place travels in the request's extensions as a [`Ticket`]. The service
//! takes it out and hands it to whatever queues the work; if it never does, or the
//! client goes away, or something panics, the place is given back by being dropped.

mod gates;
mod layer;
mod memory;
mod route;
mod service;
#[cfg(test)]
mod tests;
mod ticket;
mod turns;

pub use crate::door::gates::Gates;
pub use crate::door::layer::{Door, DoorLayer};
pub use crate::door::memory::Memory;
pub use crate::door::route::{Classify, Route};
pub use crate::door::ticket::Ticket;
pub use crate::door::turns::Turns;
