//! The disk gate: headroom on the disk that everything is written to.
//!
//! A disk that runs full takes the server with it: the log can no longer grow, and
//! what would make room - deletes, revocations - is writes, too. So a part of the disk
//! is kept free for them. Below that *floor* a write that grows what is stored is
//! refused, as 507 rather than 503, because coming back later does not help by
//! itself; what frees space, and reads, go on. There is no state to reset: when space
//! has been freed the next look at the disk opens the gate.
//!
//! The floor is what the log may still need until a checkpoint makes its segments
//! free again, and a part of a large disk, because whoever fills one is fast.

#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::Timestamp;
use crate::controller::{Controller, GateSnapshot};
use crate::demand::Class;
use crate::mode::{AtomicMode, Mode};
use crate::sync::{AtomicU64, Ordering};
use crate::tally::Tally;
use crate::verdict::{Gate, Reason, Rejection};

/// The floor of a small disk, in bytes.
pub const FLOOR_BYTES_MIN: u64 = 100_000_000;
/// The floor of a large one, as a part of it.
const FLOOR_PART: u64 = 20;

/// See the module. Until the first report there is room.
#[derive(Debug)]
pub struct HeadroomGate {
    floor_bytes_min: u64,
    /// The floor over the free space, in [`ONE`]ths: above [`ONE`] the gate is closed.
    saturation: AtomicU64,
    free_bytes: AtomicU64,
    mode: AtomicMode,
    tally: Tally,
}

/// A saturation of one.
const ONE: f64 = 1_000_000.0;

impl HeadroomGate {
    /// A gate with the usual floor: [`FLOOR_BYTES_MIN`] or a twentieth of the disk.
    pub fn new(mode: Mode) -> Self {
        Self::with_floor(FLOOR_BYTES_MIN, mode)
    }

    /// A gate that keeps at least `floor_bytes_min` free, and a twentieth of the disk.
    pub fn with_floor(floor_bytes_min: u64, mode: Mode) -> Self {
        Self {
            floor_bytes_min,
            saturation: AtomicU64::new(0),
            free_bytes: AtomicU64::new(u64::MAX),
            mode: AtomicMode::new(mode),
            tally: Tally::default(),
        }
    }

    /// Tells how much of a disk of `total_bytes` is free. Call it a few times a
    /// second.
    pub fn report(&self, free_bytes: u64, total_bytes: u64) {
        let floor = self.floor_bytes_min.max(total_bytes / FLOOR_PART);
        let saturation = floor as f64 / (free_bytes as f64).max(1.0) * ONE;
        self.saturation.store(saturation as u64, Ordering::Relaxed);
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
    }

    /// What was free at the last report; all there can be before the first.
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// Whether what grows is refused at present, or would be.
    pub fn is_short(&self) -> bool {
        self.saturation.load(Ordering::Relaxed) as f64 > ONE
    }

    /// Asks on behalf of a write. One that `frees` space passes; that is asked only
    /// if it matters.
    ///
    /// # Errors
    /// There is too little space left to store more.
    pub fn admit(
        &self,
        now: Timestamp,
        class: Class,
        frees: impl FnOnce() -> bool,
    ) -> Result<(), Rejection> {
        let mode = self.mode.load();
        if mode == Mode::Off {
            return Ok(());
        }
        self.tally.offered(now);
        if !self.is_short() || class == Class::Critical || frees() {
            return Ok(());
        }
        self.tally.refused(now, class, Reason::NoSpace);
        match mode {
            Mode::Off | Mode::Monitor => Ok(()),
            Mode::Enforce => Err(Rejection {
                gate: Gate::Disk,
                reason: Reason::NoSpace,
                retry_after: Duration::ZERO,
            }),
        }
    }
}

impl Controller for HeadroomGate {
    fn snapshot(&self, now: Timestamp) -> GateSnapshot {
        let saturation = self.saturation.load(Ordering::Relaxed) as f64 / ONE;
        self.tally.snapshot(now, Gate::Disk, self.mode.load(), saturation)
    }

    fn set_mode(&self, mode: Mode) {
        self.mode.store(mode);
    }
}
