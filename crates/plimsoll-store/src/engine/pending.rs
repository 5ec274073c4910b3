//! A transaction on its way, and the promise to answer it.

use plimsoll::Rejection;
use plimsoll::write::Work;
use tokio::sync::oneshot;

use crate::store::{Decide, Revision, StoreError, Txn};

type Answer = Result<Revision, StoreError>;

/// A transaction that waits for a commit.
pub struct Pending {
    pub(crate) txn: Txn,
    pub(crate) decide: Decide,
    pub(crate) reply: Reply,
    /// In the gate's units.
    pub(crate) units: u32,
}

impl core::fmt::Debug for Pending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pending").field("units", &self.units).finish_non_exhaustive()
    }
}

impl Work for Pending {
    fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }

    fn turned_away(self, rejection: Rejection) {
        self.reply.send(Err(StoreError::Rejected(rejection)));
    }
}

/// The promise to answer exactly once, whatever happens: dropped without an
/// answer, it gives the one that is true at that stage.
#[derive(Debug)]
pub(crate) struct Reply {
    sender: Option<oneshot::Sender<Answer>>,
    handed_to_disk: bool,
}

impl Reply {
    pub(crate) const fn new(sender: oneshot::Sender<Answer>) -> Self {
        Self { sender: Some(sender), handed_to_disk: false }
    }

    /// From here on, silence means that nobody knows.
    pub(crate) const fn hand_to_disk(&mut self) {
        self.handed_to_disk = true;
    }

    pub(crate) fn send(mut self, answer: Answer) {
        if let Some(sender) = self.sender.take() {
            // The requester may be gone: then nobody waits for it.
            let _ = sender.send(answer);
        }
    }

    fn is_abandoned(&self) -> bool {
        self.sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            let answer = if self.handed_to_disk {
                StoreError::OutcomeUnknown("the committer ended".into())
            } else {
                StoreError::Stopped("the store is closed".into())
            };
            let _ = sender.send(Err(answer));
        }
    }
}
