//! The load generator, the demo and their reports.
//!
//! A server that is overloaded slows its clients down, and a load generator that
//! waits for answers slows down with them: it stops asking exactly when asking
//! would hurt, and reports a latency that no real client saw (coordinated
//! omission). The generator here is open-loop. A [`schedule`] says when each
//! request is due, whatever became of the ones before; each is sent at its time
//! on a connection of its own if need be; and its latency counts from the moment
//! it was due.
//!
//! - [`schedule`]: intended arrival times, a pure iterator
//! - [`load`]: the generator, open loop and closed loop, and its report
//! - [`demo`]: the same storm against a server with and without protection, drawn
//! - [`scenario`], [`sim`], [`rivals`], [`lab`]: the gate, its rivals and the oracle in
//!   the same storms, in virtual time
//! - [`opaque`]: the same for the gate before servers that cannot be seen
//! - [`wire`]: the HTTP/1.1 client underneath, as cheap as it gets

#![forbid(unsafe_code)]

pub mod demo;
pub mod lab;
pub mod load;
pub mod opaque;
mod picture;
pub mod rivals;
pub mod scenario;
pub mod schedule;
pub mod sim;
pub mod wire;
