//! Admission control that holds a server at exactly the load it can carry.
//!
//! A *gate* is the admission controller of one resource. A request states its
//! *demand* - class, flow, cost, deadline - and is admitted whole, with a *place*
//! that is given back exactly once, or refused whole, with the gate, the reason
//! and the time after which a retry is worth it.
//!
//! The crate is pure: no I/O, no async, no HTTP, no clock and no randomness of its
//! own. The same calls give the same answers, to the bit, in a server and in a
//! simulator.
//!
//! Start reading at [`mod@write`], the gate of a group-commit queue that can be
//! seen; [`mod@opaque`] is the one in front of a server that cannot.
//! Quotas, the limits that operators set for their clients, are in [`quota`], and the
//! windows in which they close a service on purpose in [`maintenance`].
//! [`cpu`] guards the processors, [`capacity`] what is counted in places or bytes
//! (password hashing, reads, memory), [`headroom`] the free space of a disk, [`backlog`]
//! work that is put off.

#![forbid(unsafe_code)]

mod appointment;
pub mod backlog;
mod bucket;
pub mod capacity;
mod controller;
pub mod cpu;
pub mod debt;
mod demand;
pub mod headroom;
pub mod maintenance;
mod mode;
mod observer;
pub mod opaque;
mod queue;
pub mod quota;
mod route_cost;
mod sync;
mod tally;
mod time;
mod verdict;
mod window;
pub mod write;

pub use crate::controller::{Controller, GateSnapshot};
pub use crate::demand::{Class, Cost, Demand, Flow};
pub use crate::mode::{Mode, UnknownMode};
pub use crate::observer::{Event, Observer};
pub use crate::route_cost::RouteCosts;
pub use crate::time::Timestamp;
pub use crate::verdict::{Counters, Gate, Reason, Rejection};
