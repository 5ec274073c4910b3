//! What a follower is handed, on its way to its committer.

use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::log::History;
use crate::ship::shipment::Shipment;
use crate::store::Revision;

/// Why a follower did not take what it was handed. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The store follows nobody.
    #[error("the store does not follow another one")]
    NotFollowing,
    /// Something is missing in between, or was handed over before.
    #[error("revision {found} was handed over where {wanted} belongs")]
    OutOfOrder {
        /// What comes next.
        wanted: Revision,
        /// What was handed over.
        found: Revision,
    },
    /// The two stores were not told the same. There is no way on.
    #[error(
        "diverged at revision {revision}: the primary's digest is {theirs}, the one here {ours}"
    )]
    Diverged {
        /// The last transaction of the group.
        revision: Revision,
        /// The primary's digest after it.
        theirs: History,
        /// The one here.
        ours: History,
    },
    /// No log wrote this.
    #[error("a group that is malformed or longer than {bytes_max} bytes")]
    Malformed {
        /// The longest that this store's log takes.
        bytes_max: u64,
    },
    /// The disk failed.
    #[error("the store has stopped: {0}")]
    Stopped(Arc<str>),
}

/// A group and the promise to say what became of it.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) shipment: Shipment,
    pub(crate) reply: oneshot::Sender<Result<Revision, FollowError>>,
}

/// Between the one who receives and the committer.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    following: AtomicBool,
    waiting: Mutex<VecDeque<Followed>>,
}

impl Inbox {
    pub(crate) fn new(following: bool) -> Self {
        Self { following: AtomicBool::new(following), waiting: Mutex::default() }
    }

    pub(crate) fn is_following(&self) -> bool {
        self.following.load(Ordering::Acquire)
    }

    pub(crate) fn set_following(&self, following: bool) {
        self.following.store(following, Ordering::Release);
    }

    pub(crate) fn push(&self, followed: Followed) {
        self.lock().push_back(followed);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes the next, if it is wanted.
    pub(crate) fn pop_if(&self, wanted: impl FnOnce(&Shipment) -> bool) -> Option<Followed> {
        let mut waiting = self.lock();
        let next = waiting.front()?;
        if wanted(&next.shipment) { waiting.pop_front() } else { None }
    }

    /// Answers everything that waits.
    pub(crate) fn refuse_all(&self, error: &FollowError) {
        for followed in core::mem::take(&mut *self.lock()) {
            let _ = followed.reply.send(Err(error.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Followed>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
