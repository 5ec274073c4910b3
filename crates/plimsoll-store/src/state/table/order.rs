//! The keys of a table in order, for those who read ranges: a commit only puts its new
//! keys down. A *run* of them is sorted by the first who reads it; eight runs of one size
//! become one.

use core::fmt;
use core::ops::{Bound, RangeBounds};
use std::sync::{Arc, LazyLock};

use crate::state::table::sort::sorted;
use crate::store::{Key, Range};

/// Keys of the smallest run: a reader of a range sorts what of them is in it.
const TAIL_KEYS: usize = 1024;
/// Runs that become one.
const RUNS: usize = 8;
/// Keys of a run that does not become part of another.
const RUN_KEYS_MAX: usize = RUNS * RUNS * TAIL_KEYS;

/// See the module. No key is in it twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// The largest first.
    runs: Vec<Run>,
    /// In no order.
    tail: Vec<Key>,
}

impl Order {
    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, key: Key) {
        self.tail.push(key);
        if self.tail.len() < TAIL_KEYS {
            return;
        }
        let keys = core::mem::take(&mut self.tail);
        let mut run = Run::new(TAIL_KEYS, move || sorted(keys, |key| key));
        // As many of this size as are there, but one: that is the new one.
        while let Some(first) = self.runs.len().checked_sub(RUNS - 1)
            && run.keys < RUN_KEYS_MAX
            && self.runs[first].keys == run.keys
        {
            let parts: Vec<_> = self.runs.drain(first..).chain([run]).collect();
            run = Run::new(parts.iter().map(|run| run.keys).sum(), move || {
                sorted(parts.iter().flat_map(|run| run.sorted().to_vec()).collect(), |key| key)
            });
        }
        self.runs.push(run);
    }

    /// What there is now of a range, but for the sorting: that may take a while, and
    /// whoever holds a lock should not wait for it.
    pub(super) fn within(&self, range: &Range<'_>) -> Self {
        let bounds = range.bounds();
        let within = |key: &&Key| {
            key.starts_with(range.prefix) && RangeBounds::<[u8]>::contains(&bounds, &key[..])
        };
        Self { runs: self.runs.clone(), tail: self.tail.iter().filter(within).cloned().collect() }
    }

    /// The keys of the range that [`Order::within`] was told.
    pub(super) fn into_keys(self, range: &Range<'_>) -> Keys {
        let Self { runs, tail } = self;
        let tail = Run::new(tail.len(), move || sorted(tail, |key| key));
        let runs = runs.into_iter().chain([tail]).filter_map(|run| {
            let keys = run.sorted();
            let first = match range.start() {
                Bound::Included(key) => keys.partition_point(|other| other < key),
                Bound::Excluded(key) => keys.partition_point(|other| other <= key),
                Bound::Unbounded => 0,
            };
            let has_any = keys.get(first).is_some_and(|key| key.starts_with(range.prefix));
            has_any.then_some((run, first))
        });
        Keys { runs: runs.collect(), prefix: Key::copy_from_slice(range.prefix) }
    }
}

/// Keys that will be sorted when somebody wants to read them; clones share them.
#[derive(Clone)]
struct Run {
    keys: usize,
    sorted: Arc<LazyLock<Vec<Key>, Sort>>,
}

type Sort = Box<dyn FnOnce() -> Vec<Key> + Send>;

impl Run {
    fn new(keys: usize, sort: impl FnOnce() -> Vec<Key> + Send + 'static) -> Self {
        Self { keys, sorted: Arc::new(LazyLock::new(Box::new(sort))) }
    }

    fn sorted(&self) -> &[Key] {
        &self.sorted
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// See [`Order::into_keys`].
#[derive(Debug)]
pub(super) struct Keys {
    /// With the next key of each.
    runs: Vec<(Run, usize)>,
    prefix: Key,
}

impl Iterator for Keys {
    type Item = Key;

    fn next(&mut self) -> Option<Key> {
        let heads = self.runs.iter_mut().filter_map(|(run, at)| Some((run.sorted().get(*at)?, at)));
        let (key, at) = heads.min_by_key(|&(key, _)| key)?;
        *at += 1;
        key.starts_with(&self.prefix).then(|| key.clone())
    }
}
