//! A group on its way from store to store.

use bytes::{Bytes, BytesMut};
use plimsoll::{Cost, Timestamp};

use crate::log::{Group, History, TxnDigest, txns};
use crate::store::Revision;

/// Committed transactions in order, as they are encoded in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// Of the first transaction; the others follow by one each.
    pub first_revision: Revision,
    /// How many there are, at least one.
    pub txns: u32,
    /// The transactions.
    pub payload: Bytes,
    /// After the last of them.
    pub history: History,
    /// When it was committed, if that was a moment ago, by the primary's clock.
    pub committed: Option<Timestamp>,
}

impl Shipment {
    pub(crate) fn of(group: &Group, committed: Option<Timestamp>) -> Self {
        Self {
            first_revision: group.header.first_revision,
            txns: group.header.txns,
            payload: group.payload.clone(),
            history: group.header.history,
            committed,
        }
    }

    /// The revision of its last transaction.
    pub fn last_revision(&self) -> Revision {
        (self.first_revision + u64::from(self.txns)).saturating_sub(1)
    }

    /// With the transactions of `next`, which begins where this ends, as if they had been
    /// committed together.
    #[must_use]
    pub fn joined(self, next: &Self) -> Self {
        debug_assert_eq!(self.last_revision() + 1, next.first_revision, "a gap");
        let mut payload = BytesMut::from(self.payload);
        payload.extend_from_slice(&next.payload);
        let (txns, history) = (self.txns + next.txns, next.history);
        Self { txns, payload: payload.freeze(), history, ..self }
    }

    /// What it takes of a batch.
    pub(crate) const fn cost(&self) -> Cost {
        Cost { items: self.txns, bytes: self.payload.len() as u64 }
    }

    /// Whether a key was written in it, or something that looks like it.
    pub fn mentions(&self, key: &[u8]) -> bool {
        memchr::memmem::find(&self.payload, key).is_some()
    }

    /// The digest after its transactions if it was `history` before them; `None` if it
    /// is malformed.
    pub(crate) fn history_after(&self, history: History) -> Option<History> {
        let mut left = self.txns;
        let mut history = history;
        for txn in txns(&self.payload) {
            history = history.and(TxnDigest::of(txn?));
            left = left.checked_sub(1)?;
        }
        (left == 0).then_some(history)
    }

    /// Without the transactions up to `revision`; `None` if none are left.
    pub(crate) fn after(mut self, revision: Revision) -> Option<Self> {
        if self.last_revision() <= revision {
            return None;
        }
        while self.first_revision <= revision {
            let bytes = txns(&self.payload).next()??.len();
            self.payload = self.payload.slice(bytes..);
            self.first_revision += 1;
            self.txns -= 1;
        }
        Some(self)
    }
}
