//! Deciding what of a batch goes into the group: compares are checked in order,
//! against the state and what the batch has written so far.

use std::collections::BTreeMap;

use crate::engine::pending::{Pending, Reply};
use crate::log::GroupBuilder;
use crate::state::{Merge, Snapshot, Version};
use crate::store::{Entry, Key, Range, Revision, StoreError, Txn, View, settle};

/// What the batch has written so far, on top of a snapshot.
pub(crate) struct BatchView<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) written: &'a BTreeMap<Key, Version>,
    pub(crate) revision: Revision,
}

impl View for BatchView<'_> {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        self.written.get(key).map_or_else(|| self.snapshot.get(key), |version| Ok(version.clone()))
    }

    fn range(&self, range: Range<'_>) -> Result<Vec<(Key, Entry)>, StoreError> {
        let mut merge = Merge::new();
        let written = self.written.range::<[u8], _>(range.bounds());
        merge.push(written.map(|(key, version)| Ok((key.clone(), version.clone()))));
        self.snapshot.push_sources(&range, &mut merge)?;
        merge.collect(range)
    }
}

/// A group under construction.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) builder: GroupBuilder,
    /// Who is answered with which revision when the group is durable.
    pub(crate) accepted: Vec<(Reply, Revision)>,
    written: BTreeMap<Key, Version>,
    /// Of the last transaction so far.
    revision: Revision,
    txn_bytes_max: u64,
}

impl Batch {
    pub(crate) fn new(txn_bytes_max: u64) -> Self {
        Self {
            builder: GroupBuilder::new(),
            accepted: Vec::new(),
            written: BTreeMap::new(),
            revision: 0,
            txn_bytes_max,
        }
    }

    /// Starts over, after the transaction `revision`.
    pub(crate) fn clear(&mut self, revision: Revision) {
        self.builder.clear();
        self.accepted.clear();
        self.written.clear();
        self.revision = revision;
    }

    /// Takes a transaction into the group, or answers it. `remember`: a later
    /// one of the batch may want to know what this one wrote.
    pub(crate) fn take(&mut self, snapshot: &Snapshot, pending: Pending, remember: bool) {
        let Pending { txn, mut decide, mut reply, .. } = pending;
        let view = BatchView { snapshot, written: &self.written, revision: self.revision };
        match settle(&view, txn, &mut decide, self.txn_bytes_max) {
            Ok(txn) if txn.is_empty() => reply.send(Ok(self.revision)),
            Err(error) => reply.send(Err(error)),
            Ok(txn) => {
                self.builder.push(&txn);
                self.revision += 1;
                if remember {
                    self.remember(txn);
                }
                reply.hand_to_disk();
                self.accepted.push((reply, self.revision));
            }
        }
    }

    fn remember(&mut self, txn: Txn) {
        let mod_revision = self.revision;
        for (key, value) in txn.puts {
            self.written.insert(key, Some(Entry { value, mod_revision }));
        }
        for key in txn.deletes {
            self.written.insert(key, None);
        }
    }
}
