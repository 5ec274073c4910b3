//! Events out of the gates.
//!
//! A gate neither logs nor keeps histograms: it tells an [`Observer`], and a
//! server turns that into metrics, a test into a trajectory.

use core::fmt::Debug;

use crate::demand::{Class, Flow};
use crate::verdict::Rejection;
use crate::write::CommitSample;

/// What happened at a gate.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A request took a place.
    Admitted {
        /// Its class.
        class: Class,
        /// Its flow.
        flow: Flow,
        /// Its weight in the batch's own units.
        units: u32,
    },
    /// A request was refused, at the door or later; in monitor mode, would
    /// have been.
    Refused {
        /// Its class.
        class: Class,
        /// Its flow.
        flow: Flow,
        /// Its weight in the batch's own units.
        units: u32,
        /// By whom and why.
        rejection: Rejection,
        /// False in monitor mode: the request went through all the same.
        enforced: bool,
    },
    /// A commit ended.
    Committed(CommitSample),
}

/// Told about every event, outside the gate's lock.
pub trait Observer: Debug + Send + Sync {
    /// Called once per event, on the thread that caused it; must not block.
    fn event(&self, event: &Event);
}

/// Nobody is watching.
impl Observer for () {
    fn event(&self, _: &Event) {}
}
