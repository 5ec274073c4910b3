//! Capacity gates: admission to what is counted in places or in bytes.
//!
//! Some resources have a size and no queue worth keeping: threads that hash
//! passwords, reads under way, memory for bodies. A request holds so many units of
//! them while it lasts; what does not fit is refused at once.
//!
//! - *Password hashing* takes tens of milliseconds of a core. One round of work may
//!   wait behind the one that runs ([`CapacityGate::crypto`]): that keeps every
//!   worker busy, and a second round would only buy latency.
//! - *Reads* never stand behind writes: they have places of their own
//!   ([`CapacityGate::reads`]).
//! - *Memory* is held by bodies as they arrive, by what they become when they are
//!   decoded, and by answers until they are sent ([`CapacityGate::memory`]). Bytes
//!   are counted when they are there, not when they are announced: a client that
//!   announces much and sends nothing keeps nobody out. One connection has a quarter
//!   of it at most ([`Share`]), or whatever its only request needs.
//! - *Connections* cost memory and a file each ([`CapacityGate::connections`]).
//!
//! An empty gate admits anything, or a request larger than the gate could never be
//! served, and who asks for nothing is never refused: what is small enough not to be
//! counted is served, however much others hold. [`Class::Critical`] always passes, and
//! is counted.

mod share;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::sync::Arc;

pub use crate::capacity::share::Share;

use crate::Timestamp;
use crate::controller::{Controller, GateSnapshot};
use crate::demand::Class;
use crate::mode::{AtomicMode, Mode};
use crate::sync::{AtomicU64, Ordering};
use crate::tally::Tally;
use crate::verdict::{Gate, Reason, Rejection};

/// How soon room is expected: a round of the work that holds the places. The
/// shortest wait that Retry-After can express.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What one [`Share`] may hold, as a part of the gate.
const SHARE_PART: u64 = 4;

/// A gate without room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid gate: its capacity must not be zero")]
pub struct InvalidCapacity;

/// See the module. Clones share the gate.
#[derive(Clone, Debug)]
pub struct CapacityGate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    gate: Gate,
    units_max: u64,
    held: AtomicU64,
    mode: AtomicMode,
    tally: Tally,
}

impl CapacityGate {
    /// One request for each of `workers` threads, and one that waits.
    ///
    /// # Errors
    /// No workers.
    pub fn crypto(workers: usize, mode: Mode) -> Result<Self, InvalidCapacity> {
        Self::new(Gate::Crypto, (workers as u64).saturating_mul(2), mode)
    }

    /// So many reads at a time.
    ///
    /// # Errors
    /// None.
    pub fn reads(reads_max: u64, mode: Mode) -> Result<Self, InvalidCapacity> {
        Self::new(Gate::Reads, reads_max, mode)
    }

    /// So many bytes in flight.
    ///
    /// # Errors
    /// None.
    pub fn memory(bytes_max: u64, mode: Mode) -> Result<Self, InvalidCapacity> {
        Self::new(Gate::Memory, bytes_max, mode)
    }

    /// So many open connections.
    ///
    /// # Errors
    /// None.
    pub fn connections(connections_max: u64, mode: Mode) -> Result<Self, InvalidCapacity> {
        Self::new(Gate::Connections, connections_max, mode)
    }

    fn new(gate: Gate, units_max: u64, mode: Mode) -> Result<Self, InvalidCapacity> {
        if units_max == 0 {
            return Err(InvalidCapacity);
        }
        let (held, mode, tally) = (AtomicU64::new(0), AtomicMode::new(mode), Tally::default());
        Ok(Self(Arc::new(Shared { gate, units_max, held, mode, tally })))
    }

    /// Asks for `units`, which may be none as yet.
    ///
    /// # Errors
    /// There is no room.
    pub fn hold(&self, now: Timestamp, class: Class, units: u64) -> Result<Held, Rejection> {
        self.hold_within(now, class, units, None)
    }

    /// The same for one of those who have a `share`.
    ///
    /// # Errors
    /// There is no room, or none left in the share.
    pub fn hold_within(
        &self,
        now: Timestamp,
        class: Class,
        units: u64,
        share: Option<Share>,
    ) -> Result<Held, Rejection> {
        let mut held = Held { gate: Arc::clone(&self.0), class, units: 0, share };
        if self.0.mode.load() != Mode::Off {
            self.0.tally.offered(now);
            held.grow(now, units)?;
        }
        Ok(held)
    }

    /// Units held now.
    pub fn held(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }
}

impl Controller for CapacityGate {
    fn snapshot(&self, now: Timestamp) -> GateSnapshot {
        let Shared { gate, units_max, held, mode, tally } = &*self.0;
        let saturation = held.load(Ordering::Relaxed) as f64 / *units_max as f64;
        tally.snapshot(now, *gate, mode.load(), saturation)
    }

    fn set_mode(&self, mode: Mode) {
        self.0.mode.store(mode);
    }
}

impl Shared {
    /// Takes `units` if they fit, or if they must.
    fn take(&self, units: u64, regardless: bool) -> bool {
        let taken = self.held.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |held| {
            let after = held.saturating_add(units);
            (regardless || held == 0 || after <= self.units_max).then_some(after)
        });
        taken.is_ok()
    }
}

/// Units of a gate, given back when this is dropped, exactly once.
#[derive(Debug)]
pub struct Held {
    gate: Arc<Shared>,
    class: Class,
    units: u64,
    share: Option<Share>,
}

impl Held {
    /// Asks for `units` more. Those held already stay held in either case.
    ///
    /// # Errors
    /// There is no room.
    pub fn grow(&mut self, now: Timestamp, units: u64) -> Result<(), Rejection> {
        let mode = self.gate.mode.load();
        if mode == Mode::Off || units == 0 {
            return Ok(());
        }
        let critical = self.class == Class::Critical;
        let fits = critical || self.fits_its_share(units);
        if !(fits && self.gate.take(units, critical)) {
            self.gate.tally.refused(now, self.class, Reason::Full);
            if mode == Mode::Enforce {
                let gate = self.gate.gate;
                return Err(Rejection { gate, reason: Reason::Full, retry_after: RETRY_AFTER });
            }
            self.gate.take(units, true);
        }
        self.has_taken(units);
        Ok(())
    }

    /// Takes `units` more, whether there is room or not: what they are for has
    /// happened already, and others will find the gate the fuller for it.
    pub fn grow_regardless(&mut self, units: u64) {
        if self.gate.mode.load() != Mode::Off {
            self.gate.take(units, true);
            self.has_taken(units);
        }
    }

    /// Gives back all but `units`.
    pub fn shrink_to(&mut self, units: u64) {
        let back = self.units.saturating_sub(units);
        if back == 0 {
            return;
        }
        self.units -= back;
        self.gate.held.fetch_sub(back, Ordering::AcqRel);
        if let Some(share) = &self.share {
            share.give_back(back);
        }
    }

    fn has_taken(&mut self, units: u64) {
        self.units += units;
        if let Some(share) = &self.share {
            share.take(units);
        }
    }

    /// Alone in its share it may have what it needs.
    fn fits_its_share(&self, units: u64) -> bool {
        let Some(share) = &self.share else { return true };
        let held = share.held();
        held <= self.units || held.saturating_add(units) <= self.gate.units_max / SHARE_PART
    }

    /// Units held.
    pub const fn units(&self) -> u64 {
        self.units
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
