//! The keys of a table in order, at a price that is small for each and paid in
//! bulk: a small sorted set takes new keys, and becomes a sorted run when it is full;
//! two runs of one size become one of twice the size.

use core::ops::Bound;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::store::{Key, Range};

/// Keys of the smallest run: the set of them stays in the processor's cache.
const TAIL_KEYS: usize = 1024;
/// Keys of a run that is not merged further, which bounds how long a merge holds
/// up a commit: a few milliseconds.
const RUN_KEYS_MAX: usize = 64 * TAIL_KEYS;

/// See the module. No key is in it twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// The largest first.
    runs: Vec<Arc<Vec<Key>>>,
    tail: BTreeSet<Key>,
}

impl Order {
    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, key: Key) {
        self.tail.insert(key);
        if self.tail.len() < TAIL_KEYS {
            return;
        }
        let mut run: Vec<Key> = core::mem::take(&mut self.tail).into_iter().collect();
        while let Some(last) = self
            .runs
            .pop_if(|last| last.len() <= run.len() && last.len() + run.len() <= RUN_KEYS_MAX)
        {
            run = merged([last, Arc::new(run)]);
        }
        self.runs.push(Arc::new(run));
    }

    /// The same keys in one run.
    pub(super) fn settled(self) -> Self {
        let tail = Arc::new(self.tail.into_iter().collect());
        let run = merged(self.runs.into_iter().chain([tail]));
        Self { runs: vec![Arc::new(run)], tail: BTreeSet::new() }
    }

    /// The keys of a range, as of now.
    pub(super) fn keys(&self, range: &Range<'_>) -> Keys {
        let within = |key: &Key| key.starts_with(range.prefix);
        let tail = self.tail.range::<[u8], _>(range.bounds()).take_while(|key| within(key));
        let tail = Arc::new(tail.cloned().collect::<Vec<_>>());
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

/// One sorted run of several. The sort finds the runs and merges them.
fn merged(runs: impl IntoIterator<Item = Arc<Vec<Key>>>) -> Vec<Key> {
    let mut all = Vec::new();
    for run in runs {
        // A reader may hold on to it.
        match Arc::try_unwrap(run) {
            Ok(mut run) => all.append(&mut run),
            Err(run) => all.extend_from_slice(&run),
        }
    }
    all.sort();
    all
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
