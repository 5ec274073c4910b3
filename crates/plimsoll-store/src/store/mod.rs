//! What a store is: get, range, and one atomic compare-and-write.
//!
//! Small enough for an embedded log and for etcd's `Txn`.

mod settle;

use core::fmt::{self, Debug};
use core::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use plimsoll::Rejection;
use plimsoll::write::Place;
use tokio::sync::oneshot;

pub(crate) use crate::store::settle::{compares_hold, settle};

/// A key: a path in UTF-8 by convention, any bytes in fact.
pub type Key = Bytes;

/// The number of the transaction that wrote something last. It grows with every
/// transaction of the store; 0 stands for "never written".
pub type Revision = u64;

/// A value and the transaction that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// The transaction that wrote it.
    pub mod_revision: Revision,
}

/// Which keys: those that start with `prefix` and sort strictly after `after`.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// What every key starts with.
    pub prefix: &'a [u8],
    /// Where to go on after an earlier page; empty for the first.
    pub after: &'a [u8],
    /// At most this many.
    pub keys_max: usize,
}

impl<'a> Range<'a> {
    /// Where it starts: strictly after the page before, and not before the
    /// prefix.
    pub(crate) fn start(&self) -> Bound<&'a [u8]> {
        if !self.after.is_empty() && self.after >= self.prefix {
            Bound::Excluded(self.after)
        } else {
            Bound::Included(self.prefix)
        }
    }

    /// From there to the last key of all.
    pub(crate) fn bounds(&self) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
        (self.start(), Bound::Unbounded)
    }
}

/// The state at one revision. Later commits do not change it.
pub trait View: Send + Sync {
    /// The revision of the latest transaction that it contains.
    fn revision(&self) -> Revision;

    /// The entry of a key.
    ///
    /// # Errors
    /// The state behind the log could not be read.
    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError>;

    /// The entries of a range, in the order of their keys.
    ///
    /// # Errors
    /// The state behind the log could not be read.
    fn range(&self, range: Range<'_>) -> Result<Vec<(Key, Entry)>, StoreError>;
}

/// One atomic write: if every key in `compares` was last modified by the
/// revision beside it (0: does not exist), all of `puts` and `deletes` happen,
/// else nothing does.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// Keys read, with the revision they had.
    pub compares: Vec<(Key, Revision)>,
    /// Keys written.
    pub puts: Vec<(Key, Bytes)>,
    /// Keys removed.
    pub deletes: Vec<Key>,
}

impl Txn {
    /// Nothing to write: needs no commit.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    /// What it adds to the log, roughly: keys and values.
    pub fn bytes(&self) -> u64 {
        let puts: usize = self.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        let deletes: usize = self.deletes.iter().map(Bytes::len).sum();
        (puts + deletes) as u64
    }
}

/// Decides what to write, against a view. Pure: called once by the requester
/// and, when another transaction of the same batch or an earlier one changed what
/// it had read, again by the committer in place. An empty transaction ends the
/// matter without a commit: the decider has found that there is nothing to write,
/// and remembers why.
pub type Decide = Box<dyn FnMut(&dyn View) -> Result<Txn, StoreError> + Send>;

/// A transaction on its way to the log.
pub struct Transact {
    /// The first decision.
    pub txn: Txn,
    /// Makes it again when a compare is lost.
    pub decide: Decide,
    /// The right to enter the write queue. `None` for background work, which
    /// waits until a batch has room for it.
    pub place: Option<Place>,
}

impl Debug for Transact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transact").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Refused by the gate before anything was handed to the disk.
    #[error("overloaded")]
    Rejected(Rejection),
    /// The compares were lost more often than they are retried.
    #[error("conflict: the same keys kept changing")]
    Conflict,
    /// Larger than a group may be.
    #[error("transaction of {bytes} bytes exceeds {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// As much background work waits as may: try again later; nothing was executed.
    #[error("{items_max} transactions of background work wait already")]
    BackgroundFull {
        /// The limit.
        items_max: usize,
    },
    /// The disk failed while the transaction was under way: it may or may not
    /// be found after a restart. The store takes no more writes.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(Arc<str>),
    /// The store has stopped, for the reason given; nothing was executed.
    #[error("storage stopped: {0}")]
    Stopped(Arc<str>),
    /// The store follows another one and takes writes from there alone; nothing was
    /// executed.
    #[error("the store follows another one")]
    Following,
    /// The request itself failed inside the store; nothing was executed.
    #[error("internal: {0}")]
    Internal(Arc<str>),
    /// The state could not be read or decoded.
    #[error("storage: {0}")]
    Read(Arc<str>),
}

/// A place to keep things.
pub trait Store: Debug + Send + Sync {
    /// The latest state of which every write is durable.
    fn view(&self) -> Arc<dyn View>;

    /// Hands a transaction to the next group commit. The answer comes when it
    /// is on disk and visible in [`Store::view`], with its revision (that of the
    /// view it was decided on, if there was nothing to write), or the error.
    fn submit(&self, transact: Transact) -> oneshot::Receiver<Result<Revision, StoreError>>;
}
