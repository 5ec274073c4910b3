//! A table in memory: every version of every key, readable at any revision
//! while the one writer inserts.
//!
//! A commit looks up single keys and writes single keys, and it has no time:
//! that is a hash map, in shards, so that readers and the writer rarely meet. Ranges
//! and the checkpoint want the keys in order: that is [`Order`], which learns only of
//! keys that the table did not have. (A skip list for both took half of the time
//! of a commit: two cache misses for each of some forty comparisons.)

mod order;
mod sort;

use core::hash::BuildHasher;
use core::sync::atomic::{AtomicU64, Ordering as Memory};
use std::collections::hash_map::RandomState;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use crate::state::table::order::Order;
use crate::state::table::sort::sorted;
use crate::store::{Entry, Key, Range, Revision};

/// What an entry takes beside its key and value, in bytes: 89 in a hash table that is
/// 0.44 to 0.88 full, 32 in the order, 16 in the group that holds it.
pub(crate) const ENTRY_OVERHEAD_BYTES: u64 = 192;

const SHARDS: usize = 64;

/// What a key maps to; `None` was deleted.
pub(crate) type Version = Option<Entry>;

/// A versioned map.
#[derive(Debug)]
pub(crate) struct Table {
    shards: [RwLock<Shard>; SHARDS],
    /// Which shard a key is in, and where there.
    hasher: RandomState,
    order: RwLock<Order>,
    bytes: AtomicU64,
}

type Shard = HashTable<Slot>;

#[derive(Debug)]
struct Slot {
    /// Kept: to hash a key is to fetch it, for every key when a shard grows.
    hash: u64,
    key: Key,
    versions: Versions,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: core::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::new(),
            order: RwLock::default(),
            bytes: AtomicU64::new(0),
        }
    }
}

impl Table {
    /// Adds a version. Later than all others of the key.
    pub(crate) fn insert(&self, key: Key, revision: Revision, value: Option<Bytes>) {
        let payload = key.len() + value.as_ref().map_or(0, Bytes::len);
        let stored = Stored { revision, value };
        let hash = self.hasher.hash_one(&*key);
        let mut shard = write(self.shard(hash));
        match shard.entry(hash, |slot| slot.key == key, |slot| slot.hash) {
            Place::Occupied(mut slot) => slot.get_mut().versions.push(stored),
            Place::Vacant(place) => {
                let versions = Versions { newest: stored, older: None };
                place.insert(Slot { hash, key: key.clone(), versions });
                drop(shard);
                write(&self.order).insert(key);
            }
        }
        self.bytes.fetch_add(payload as u64 + ENTRY_OVERHEAD_BYTES, Memory::Relaxed);
    }

    /// Memory in use, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Memory::Relaxed)
    }

    /// The version of a key at a revision, if the table has one.
    pub(crate) fn get(&self, key: &[u8], at: Revision) -> Option<Version> {
        let hash = self.hasher.hash_one(key);
        read(self.shard(hash)).find(hash, |slot| slot.key == key)?.versions.at(at)
    }

    /// The versions at a revision of the keys of a range, in order; its limit is not
    /// heeded. Keys that are inserted meanwhile are not seen, nor are they of that
    /// revision.
    pub(crate) fn iter<'a>(
        &'a self,
        range: &Range<'_>,
        at: Revision,
    ) -> impl Iterator<Item = (Key, Version)> + use<'a> {
        let keys = read(&self.order).within(range);
        let mut keys = keys.into_keys(range);
        core::iter::from_fn(move || {
            loop {
                let key = keys.next()?;
                if let Some(version) = self.get(&key, at) {
                    return Some((key, version));
                }
            }
        })
    }

    /// The newest version of every key, in order. For a table that nobody
    /// inserts into any more.
    pub(crate) fn newest(&self) -> Vec<(Key, Version)> {
        let shards: Vec<_> = self.shards.iter().map(read).collect();
        let slots = shards.iter().flat_map(|shard| shard.iter()).collect();
        let slots: Vec<&Slot> = sorted(slots, |slot| &slot.key);
        slots.into_iter().map(|slot| (slot.key.clone(), slot.versions.newest.version())).collect()
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // A table uses the low bits and the highest seven.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }
}

#[derive(Debug)]
struct Stored {
    revision: Revision,
    value: Option<Bytes>,
}

/// All versions of a key.
#[derive(Debug)]
struct Versions {
    newest: Stored,
    /// By revision. Most keys are written once in the life of a table.
    #[expect(clippy::box_collection, reason = "eight bytes of every entry instead of 24")]
    older: Option<Box<Vec<Stored>>>,
}

impl Versions {
    fn push(&mut self, stored: Stored) {
        let older = core::mem::replace(&mut self.newest, stored);
        self.older.get_or_insert_default().push(older);
    }

    fn at(&self, at: Revision) -> Option<Version> {
        if self.newest.revision <= at {
            return Some(self.newest.version());
        }
        let older = self.older.as_deref()?;
        let visible = older.partition_point(|stored| stored.revision <= at);
        older.get(visible.checked_sub(1)?).map(Stored::version)
    }
}

impl Stored {
    fn version(&self) -> Version {
        self.value.clone().map(|value| Entry { value, mod_revision: self.revision })
    }
}

// Nothing under these locks panics half-way.

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
