//! The gates that a door asks.

use std::sync::Arc;

use http::Extensions;
use plimsoll::capacity::{CapacityGate, Share};
use plimsoll::headroom::HeadroomGate;
use plimsoll::write::Admission;

use crate::door::turns::Turns;

/// The write gate, and whichever others guard what a server can run out of. A
/// request passes all that its route touches, or none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gates {
    /// The write queue.
    pub write: Arc<dyn Admission>,
    /// The processors, for everything but open routes.
    pub cpu: Option<Turns>,
    /// Reads under way.
    pub reads: Option<CapacityGate>,
    /// Bytes of bodies, and what they become.
    pub memory: Option<CapacityGate>,
    /// Finds the share of them that a request's connection has.
    pub memory_share: Option<fn(&Extensions) -> Option<Share>>,
    /// Free space on the disk, for writes that grow what is stored.
    pub disk: Option<Arc<HeadroomGate>>,
}

impl From<Arc<dyn Admission>> for Gates {
    /// The write gate alone.
    fn from(write: Arc<dyn Admission>) -> Self {
        Self { write, cpu: None, reads: None, memory: None, memory_share: None, disk: None }
    }
}
