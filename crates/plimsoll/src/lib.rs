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
//! Start reading at [`mod@write`], the gate of a group-commit queue.

#![forbid(unsafe_code)]

pub mod debt;
mod demand;
mod mode;
mod observer;
mod route_cost;
mod sync;
mod time;
mod verdict;
pub mod write;

pub use crate::demand::{Class, Cost, Demand, Flow};
pub use crate::mode::{Mode, UnknownMode};
pub use crate::observer::{Event, Observer};
pub use crate::route_cost::RouteCosts;
pub use crate::time::Timestamp;
pub use crate::verdict::{Gate, Reason, Rejection};
