//! What a store is opened with.

use std::path::Path;
use std::sync::Arc;

use plimsoll::write::WriteGateConfig;
use plimsoll::{Mode, Observer};

use crate::clock::Clock;
use crate::disk::{Disk, RealDisk};
use crate::engine::open::OpenError;

/// The limits and the surroundings of a store. Every size is in bytes.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The directory.
    pub disk: Arc<dyn Disk>,
    /// The law of the gate, the limits of a batch included.
    pub gate: WriteGateConfig,
    /// What the gate does with its verdicts.
    pub mode: Mode,
    /// Told about every admission, refusal and commit.
    pub observer: Arc<dyn Observer>,
    /// The clock of the gate.
    pub clock: Clock,
    /// A table in memory; there are at most two. 256 MiB.
    pub table_bytes_max: u64,
    /// One file of the log. 64 MiB.
    pub log_segment_bytes: u64,
    /// The log in all, before commits wait for the checkpoint. 1 GiB.
    pub log_bytes_max: u64,
    /// Of the log that the state contains already, kept for followers. 0.
    pub log_retain_bytes: u64,
    /// Takes writes from [`LogStore::follow`](crate::LogStore::follow) alone. No.
    pub following: bool,
    /// One transaction, keys and values. 4 MiB.
    pub txn_bytes_max: u64,
    /// Transactions of background work that wait. 65,536.
    pub background_items_max: usize,
    /// What the database file keeps in memory. 192 MiB.
    pub cache_bytes: usize,
    /// Measure at the start what commits cost, by a few groups in the log, so that
    /// the gate knows it before the first client comes. Yes.
    pub calibrate: bool,
}

impl OpenOptions {
    /// The usual limits, for a directory that is created if it is missing.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn new(dir: &Path) -> Result<Self, OpenError> {
        let disk =
            RealDisk::new(dir).map_err(|error| OpenError::Io { path: dir.to_owned(), error })?;
        Ok(Self::on(Arc::new(disk)))
    }

    /// The usual limits, on any disk.
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            gate: WriteGateConfig::default(),
            mode: Mode::Enforce,
            observer: Arc::new(()),
            clock: Clock::start(),
            table_bytes_max: 256 << 20,
            log_segment_bytes: 64 << 20,
            log_bytes_max: 1 << 30,
            log_retain_bytes: 0,
            following: false,
            txn_bytes_max: 4 << 20,
            background_items_max: 65_536,
            cache_bytes: 192 << 20,
            calibrate: true,
        }
    }
}
