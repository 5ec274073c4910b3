//! The gates that a door asks.

use std::sync::Arc;

use plimsoll::headroom::HeadroomGate;
use plimsoll::write::Admission;

/// The write gate, and whichever others guard what a server can run out of. A
/// request passes all that its route touches, or none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gates {
    /// The write queue.
    pub write: Arc<dyn Admission>,
    /// Free space on the disk, for writes that grow what is stored.
    pub disk: Option<Arc<HeadroomGate>>,
}

impl From<Arc<dyn Admission>> for Gates {
    /// The write gate alone.
    fn from(write: Arc<dyn Admission>) -> Self {
        Self { write, disk: None }
    }
}
