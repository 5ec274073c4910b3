//! The keys of a table in order, at a price that is small for each and paid in
//! bulk: new keys wait until there are enough of them for a sorted run; eight runs of one
//! size become one.

use core::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crate::state::table::sort::sorted;
use crate::store::{Key, Range};

/// Keys of the smallest run: a reader of a range sorts what of them is in it.
const TAIL_KEYS: usize = 1024;
/// Runs that are merged at a time.
const RUNS: usize = 8;
/// Keys of a run that is not merged further, which bounds how long a merge holds
/// up a commit: a few milliseconds.
const RUN_KEYS_MAX: usize = RUNS * RUNS * TAIL_KEYS;

/// See the module. No key is in it twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// The largest first.
    runs: Vec<Arc<Vec<Key>>>,
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
        let mut keys = core::mem::take(&mut self.tail);
        let mut run_keys = TAIL_KEYS;
        // As many of this size as are there, but one: that is the new one.
        while let Some(first) = self.runs.len().checked_sub(RUNS - 1)
            && run_keys < RUN_KEYS_MAX
            && self.runs[first].len() == run_keys
        {
            self.runs.drain(first..).for_each(|run| keys.extend_from_slice(&run));
            run_keys *= RUNS;
        }
        self.runs.push(Arc::new(sorted(keys, |key| key)));
    }

    /// The keys of a range, as of now.
    pub(super) fn keys(&self, range: &Range<'_>) -> Keys {
        let within = |key: &Key| key.starts_with(range.prefix);
        let within_page =
            |key: &&Key| within(key) && RangeBounds::<[u8]>::contains(&range.bounds(), &key[..]);
        let tail = self.tail.iter().filter(within_page);
        let tail = Arc::new(sorted(tail.cloned().collect(), |key| key));
        let runs = self.runs.iter().filter_map(|run| {
            let first = match range.start() {
                Bound::Included(key) => run.partition_point(|other| other < key),
                Bound::Excluded(key) => run.partition_point(|other| other <= key),
                Bound::Unbounded => 0,
            };
            run.get(first).is_some_and(within).then(|| (Arc::clone(run), first))
        });
        Keys { runs: runs.chain([(tail, 0)]).collect(), prefix: Key::copy_from_slice(range.prefix) }
    }
}

/// See [`Order::keys`].
#[derive(Debug)]
pub(super) struct Keys {
    /// With the next key of each.
    runs: Vec<(Arc<Vec<Key>>, usize)>,
    prefix: Key,
}

impl Iterator for Keys {
    type Item = Key;

    fn next(&mut self) -> Option<Key> {
        let heads = self.runs.iter_mut().filter_map(|(run, at)| run.get(*at).map(|key| (key, at)));
        let (key, at) = heads.min_by_key(|&(key, _)| key)?;
        *at += 1;
        key.starts_with(&self.prefix).then(|| key.clone())
    }
}
