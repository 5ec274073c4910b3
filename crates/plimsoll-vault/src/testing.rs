//! What tests put in the place of the store and of the barrier.

use std::collections::BTreeMap;

use bytes::Bytes;
use plimsoll_store::{Entry, Key, Range, Revision, StoreError, Txn, View};
use zeroize::Zeroizing;

use crate::context::Cipher;
use crate::error::VaultError;

/// The state, as a view of itself.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) entries: BTreeMap<Key, Entry>,
    revision: Revision,
}

impl View for State {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries.get(key).cloned())
    }

    fn range(&self, range: Range<'_>) -> Result<Vec<(Key, Entry)>, StoreError> {
        let from = range.prefix.max(range.after);
        let entries = self
            .entries
            .range::<[u8], _>((core::ops::Bound::Included(from), core::ops::Bound::Unbounded));
        let within = entries
            .take_while(|(key, _)| key.starts_with(range.prefix))
            .filter(|(key, _)| range.after.is_empty() || key.as_ref() > range.after);
        Ok(within.take(range.keys_max).map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }
}

impl State {
    pub(crate) fn apply(&mut self, txn: Txn) {
        if txn.is_empty() {
            return;
        }
        self.revision += 1;
        let mod_revision = self.revision;
        for (key, value) in txn.puts {
            self.entries.insert(key, Entry { value, mod_revision });
        }
        for key in txn.deletes {
            self.entries.remove(&key);
        }
    }

    /// Whether nothing that a decision read has changed since.
    pub(crate) fn agrees(&self, txn: &Txn) -> bool {
        let revision = |key: &Key| self.entries.get(key).map_or(0, |entry| entry.mod_revision);
        txn.compares.iter().all(|(key, expected)| revision(key) == *expected)
    }
}

/// No encryption.
pub(crate) struct Plain;

impl Cipher for Plain {
    fn seal(&self, _key: &[u8], plain: &[u8]) -> Result<Bytes, VaultError> {
        Ok(Bytes::copy_from_slice(plain))
    }

    fn open(&self, _key: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        Ok(Zeroizing::new(sealed.to_vec()))
    }
}
