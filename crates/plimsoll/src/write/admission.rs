//! The gate as a door sees it, whatever work is queued behind it.

use core::fmt::Debug;

use crate::Timestamp;
use crate::demand::Demand;
use crate::mode::Mode;
use crate::verdict::{Reason, Rejection};
use crate::write::{Place, Work, WriteGate, WriteSnapshot};

/// Asks for places. Implemented by [`WriteGate`], and by whoever puts another
/// gate in front of it.
pub trait Admission: Debug + Send + Sync {
    /// Asks without taking a place; see [`WriteGate::peek`].
    ///
    /// # Errors
    /// The demand would be refused.
    fn peek(&self, now: Timestamp, demand: &Demand) -> Result<(), Rejection>;

    /// Takes a place; see [`WriteGate::admit`].
    ///
    /// # Errors
    /// The demand is refused.
    fn admit(&self, now: Timestamp, demand: &Demand) -> Result<Place, Rejection>;

    /// Counts a refusal decided elsewhere; see [`WriteGate::refuse`].
    fn refuse(&self, now: Timestamp, demand: &Demand, reason: Reason) -> Rejection;

    /// What is done with verdicts.
    fn mode(&self) -> Mode;

    /// Changes that.
    fn set_mode(&self, mode: Mode);

    /// The gate at this instant.
    fn snapshot(&self, now: Timestamp) -> WriteSnapshot;
}

impl<T: Work + 'static> Admission for WriteGate<T> {
    fn peek(&self, now: Timestamp, demand: &Demand) -> Result<(), Rejection> {
        Self::peek(self, now, demand)
    }

    fn admit(&self, now: Timestamp, demand: &Demand) -> Result<Place, Rejection> {
        Self::admit(self, now, demand)
    }

    fn refuse(&self, now: Timestamp, demand: &Demand, reason: Reason) -> Rejection {
        Self::refuse(self, now, demand, reason)
    }

    fn mode(&self) -> Mode {
        Self::mode(self)
    }

    fn set_mode(&self, mode: Mode) {
        Self::set_mode(self, mode);
    }

    fn snapshot(&self, now: Timestamp) -> WriteSnapshot {
        Self::snapshot(self, now)
    }
}
