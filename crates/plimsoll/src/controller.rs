//! What all gates have in common, for whoever reports on them or switches them.

use core::fmt::Debug;

use crate::Timestamp;
use crate::demand::Class;
use crate::mode::Mode;
use crate::verdict::{Gate, Reason};

/// Any gate at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateSnapshot {
    /// Which.
    pub gate: Gate,
    /// What it does with its verdicts.
    pub mode: Mode,
    /// How full it is, 0..=1.
    pub saturation: f64,
    /// Refused over offered in the last ten seconds, 0..=1; in monitor mode what
    /// would have been refused.
    pub reject_fraction: f64,
    /// Requests that asked, since the start.
    pub offered: u64,
    /// Requests refused since the start, by class and reason; in monitor mode,
    /// those that would have been.
    pub refused: [[u64; Reason::COUNT]; Class::COUNT],
}

/// A gate that can be watched and switched while it works.
pub trait Controller: Debug + Send + Sync {
    /// The gate at this instant.
    fn snapshot(&self, now: Timestamp) -> GateSnapshot;

    /// Changes what is done with verdicts.
    fn set_mode(&self, mode: Mode);
}
