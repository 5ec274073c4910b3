//! A table in memory: every version of every key, readable at any revision
//! while the one writer inserts.

use core::borrow::Borrow;
use core::cmp::{Ordering, Reverse};
use core::ops::Bound;
use core::sync::atomic::{AtomicU64, Ordering as Memory};

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;

use crate::store::{Entry, Key, Revision};

/// What an entry takes beside its key and value, in bytes: the node of the skip
/// list with its tower, and the allocator's share.
pub(crate) const ENTRY_OVERHEAD_BYTES: u64 = 176;

/// What a key maps to; `None` was deleted.
pub(crate) type Version = Option<Entry>;

/// A versioned map.
#[derive(Debug, Default)]
pub(crate) struct Table {
    map: SkipMap<Versioned, Option<Bytes>>,
    bytes: AtomicU64,
}

impl Table {
    /// Adds a version. Later than all others of the key.
    pub(crate) fn insert(&self, key: Key, revision: Revision, value: Option<Bytes>) {
        let payload = key.len() + value.as_ref().map_or(0, Bytes::len);
        self.map.insert(Versioned { key, revision: Reverse(revision) }, value);
        self.bytes.fetch_add(payload as u64 + ENTRY_OVERHEAD_BYTES, Memory::Relaxed);
    }

    /// Memory in use, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Memory::Relaxed)
    }

    /// The version of a key at a revision, if the table has one.
    pub(crate) fn get(&self, key: &[u8], at: Revision) -> Option<Version> {
        let probe: &dyn Probe = &(key, Reverse(at));
        let found = self.map.lower_bound(Bound::Included(probe))?;
        (found.key().key == key).then(|| version(found.key(), found.value()))
    }

    /// The versions of all keys from `start` on at a revision, in the order of the
    /// keys.
    pub(crate) fn iter_from<'a>(
        &'a self,
        start: Bound<&[u8]>,
        at: Revision,
    ) -> impl Iterator<Item = (Key, Version)> + use<'a> {
        // The newest version sorts first, revision 0 after all.
        let first = match start {
            Bound::Included(key) => (key, Reverse(Revision::MAX)),
            Bound::Excluded(key) => (key, Reverse(0)),
            Bound::Unbounded => (&[][..], Reverse(Revision::MAX)),
        };
        let probe: &dyn Probe = &first;
        let mut next = self.map.lower_bound(Bound::Included(probe));
        let mut last: Option<Key> = None;
        core::iter::from_fn(move || {
            loop {
                let entry = next.take()?;
                next = entry.next();
                let found = entry.key();
                let shadowed = last.as_ref() == Some(&found.key);
                if found.revision.0 > at || shadowed {
                    continue;
                }
                last = Some(found.key.clone());
                return Some((found.key.clone(), version(found, entry.value())));
            }
        })
    }

    /// The newest version of every key, in order. For a table that nobody
    /// inserts into any more.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (Key, Version)> + '_ {
        self.iter_from(Bound::Unbounded, Revision::MAX)
    }
}

fn version(key: &Versioned, value: &Option<Bytes>) -> Version {
    value.as_ref().map(|value| Entry { value: value.clone(), mod_revision: key.revision.0 })
}

/// Sorted by key, the newest version first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Versioned {
    key: Key,
    revision: Reverse<Revision>,
}

/// Lets a borrowed key be compared with an owned one.
trait Probe {
    fn parts(&self) -> (&[u8], Reverse<Revision>);
}

impl Probe for Versioned {
    fn parts(&self) -> (&[u8], Reverse<Revision>) {
        (&self.key, self.revision)
    }
}

impl Probe for (&[u8], Reverse<Revision>) {
    fn parts(&self) -> (&[u8], Reverse<Revision>) {
        *self
    }
}

impl<'a> Borrow<dyn Probe + 'a> for Versioned {
    fn borrow(&self) -> &(dyn Probe + 'a) {
        self
    }
}

impl PartialEq for dyn Probe + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Probe + '_ {}

impl PartialOrd for dyn Probe + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Probe + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}
