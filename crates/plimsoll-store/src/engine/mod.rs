//! The embedded engine: a log, the state behind it, and two threads.
//!
//! The *committer* takes what the write gate lets through, checks it against the
//! state, writes it as one group, syncs, applies, publishes and only then answers.
//! The *checkpoint* moves what has been applied into the database file, so that
//! the log can be used again; it is never on the way of a commit.

mod admission;
mod batch;
mod calibrate;
mod checkpoint;
mod committer;
mod follow;
mod open;
mod options;
mod pending;
mod shared;

use core::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use plimsoll::Timestamp;
use plimsoll::debt::DebtSnapshot;
use plimsoll::write::{Admission, WriteGate};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::engine::admission::StoreAdmission;
use crate::engine::pending::Reply;
use crate::log::{History, Segments};
use crate::ship::{FollowError, Followed, LogReader, ReadLogError, Shipment};
use crate::snapshot::SnapshotSource;
use crate::store::{Revision, Store, StoreError, Transact, View};

pub use crate::engine::open::OpenError;
pub(crate) use crate::engine::open::make_directory;
pub use crate::engine::options::OpenOptions;
pub use crate::engine::pending::Pending;
pub(crate) use crate::engine::shared::Shared;

/// The embedded store. Dropping it finishes what was accepted.
pub struct LogStore {
    shared: Arc<Shared>,
    segments: Arc<Segments>,
    threads: Threads,
    /// Given back last.
    _lock: crate::disk::DirLock,
}

#[derive(Debug, Default)]
struct Threads {
    committer: Option<JoinHandle<()>>,
    checkpoint: Option<JoinHandle<()>>,
    segments: Option<JoinHandle<()>>,
}

impl fmt::Debug for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStore").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl LogStore {
    /// The gate in front of the log.
    pub fn gate(&self) -> WriteGate<Pending> {
        self.shared.gate.clone()
    }

    /// The clock of all timestamps that the gate is given.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// The time on that clock.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Whether the store takes writes, or why it does not any more.
    ///
    /// # Errors
    /// The failure that stopped it.
    pub fn health(&self) -> Result<(), Arc<str>> {
        self.shared.failed().map_or(Ok(()), Err)
    }

    /// How far the state behind the log lags.
    pub fn debt(&self) -> DebtSnapshot {
        self.shared.debt_gate.snapshot()
    }

    /// Says whether space on the disk is short: then every full segment of the log is
    /// merged and used again at once, so that deletes can go on for ever.
    pub fn conserve_space(&self, conserve: bool) {
        self.shared.conserve_space(conserve);
    }

    /// What a door asks: the debt gate and the write gate as one. A place from
    /// here is one of [`LogStore::gate`].
    pub fn admission(&self) -> Arc<dyn Admission> {
        Arc::new(StoreAdmission(Arc::clone(&self.shared)))
    }

    /// The last transaction that is visible, and the rolling digest after it.
    pub fn position(&self) -> (Revision, History) {
        let latest = self.shared.published.latest();
        (latest.revision, latest.history)
    }

    /// Reads what was committed after `revision`, for a store with this digest there.
    ///
    /// # Errors
    /// It was told something else than this store.
    pub fn read_log(
        &self,
        revision: Revision,
        history: History,
    ) -> Result<LogReader, ReadLogError> {
        LogReader::new(Arc::clone(&self.shared), Arc::clone(&self.segments), revision, history)
    }

    /// Keeps so many bytes of the log for followers, beside what the store itself
    /// needs.
    pub fn retain_log(&self, bytes: u64) {
        self.segments.set_retain(bytes);
    }

    /// What [`LogStore::retain_log`] was told last.
    pub fn log_retain_bytes(&self) -> u64 {
        self.segments.retain_bytes()
    }

    /// Hands over a group of the store that this one follows. The answer comes when it
    /// is on disk and visible. Groups are to come in order; many may be under way.
    pub fn follow(&self, shipment: Shipment) -> oneshot::Receiver<Result<Revision, FollowError>> {
        let (reply, receiver) = oneshot::channel();
        self.shared.follow(Followed { shipment, reply });
        receiver
    }

    /// Whether it takes writes from [`LogStore::follow`] alone, or from everybody else.
    pub fn set_following(&self, following: bool) {
        self.shared.inbox.set_following(following);
    }

    /// All of the state as of now, to be written or digested while the store works.
    ///
    /// # Errors
    /// The state behind the log could not be read.
    pub fn snapshot(&self) -> Result<SnapshotSource, StoreError> {
        SnapshotSource::new(&self.shared.published.latest())
    }

    /// Finishes what was accepted and stops; what is submitted later is answered
    /// with [`StoreError::Stopped`]. Blocks for as long as the disk needs.
    pub fn shutdown(&mut self) {
        self.shared.close();
        for thread in [self.threads.committer.take(), self.threads.checkpoint.take()] {
            join(thread);
        }
        self.segments.stop();
        join(self.threads.segments.take());
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(Err(_)) = thread.map(JoinHandle::join) {
        tracing::error!("a thread of the store panicked");
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Store for LogStore {
    fn view(&self) -> Arc<dyn View> {
        self.shared.published.latest()
    }

    fn submit(&self, transact: Transact) -> oneshot::Receiver<Result<Revision, StoreError>> {
        let (sender, receiver) = oneshot::channel();
        let Transact { txn, decide, place } = transact;
        let reply = Reply::new(sender);
        self.shared.submit(txn, decide, place, reply);
        receiver
    }
}
