//! What a reader holds: all of the state at one revision.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::log::History;
use crate::state::base::Base;
use crate::state::merge::Merge;
use crate::state::table::Table;
use crate::store::{Entry, Key, Range, Revision, StoreError, View};

/// The state at one revision: the tables shadow the base.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Takes the writes; versions after `revision` are not seen.
    pub(crate) active: Arc<Table>,
    /// On its way into the base.
    pub(crate) frozen: Option<Arc<Table>>,
    pub(crate) base: Arc<Base>,
    pub(crate) revision: Revision,
    /// At that revision.
    pub(crate) history: History,
}

impl Snapshot {
    /// The sources of a range, the newest first.
    pub(crate) fn push_sources<'a>(
        &'a self,
        range: &Range<'a>,
        merge: &mut Merge<'a>,
    ) -> Result<(), StoreError> {
        let tables = core::iter::once(&self.active).chain(&self.frozen);
        for table in tables {
            merge.push(table.iter(range, self.revision).map(Ok));
        }
        merge.push(self.base.iter_from(range.start())?);
        Ok(())
    }
}

impl View for Snapshot {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let in_tables = self
            .active
            .get(key, self.revision)
            .or_else(|| self.frozen.as_ref().and_then(|table| table.get(key, self.revision)));
        in_tables.map_or_else(|| self.base.get(key), Ok)
    }

    fn range(&self, range: Range<'_>) -> Result<Vec<(Key, Entry)>, StoreError> {
        let mut merge = Merge::new();
        self.push_sources(&range, &mut merge)?;
        merge.collect(range)
    }
}

/// The latest snapshot, swapped in whole.
#[derive(Debug)]
pub(crate) struct Published {
    latest: ArcSwap<Snapshot>,
    /// The committer and the checkpoint both derive a new one from the latest.
    publishing: Mutex<()>,
}

impl Published {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { latest: ArcSwap::from_pointee(snapshot), publishing: Mutex::new(()) }
    }

    pub(crate) fn latest(&self) -> Arc<Snapshot> {
        self.latest.load_full()
    }

    /// Replaces the latest by a changed copy.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let _publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.latest.load());
        change(&mut next);
        self.latest.store(Arc::new(next));
    }
}
