//! What a base was asked lately.
//!
//! All requests of a server read the same few entries - who asks, what they may do, what
//! is mounted where - and every commit compares them again. In the database, each look
//! is a walk down a tree and a read of a file, on the thread that everybody waits for. A
//! base never changes, so what was found in it is true for as long as it lives, which is
//! until the next checkpoint: nothing is ever invalidated, and what finds no room would
//! have found it in the base after this one.

use core::hash::BuildHasher;
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{PoisonError, RwLock};

use crate::state::table::Version;
use crate::store::Key;

const SHARDS: usize = 16;
const SHARD_ENTRIES_MAX: usize = 512;
/// Of a key and its value together: 32 MiB for all entries there may be.
const ENTRY_BYTES_MAX: usize = 4 << 10;

/// See the module. Deletions, and keys that were never there, are known too.
#[derive(Debug, Default)]
pub(super) struct Recent {
    shards: [RwLock<HashMap<Key, Version>>; SHARDS],
    hasher: RandomState,
}

impl Recent {
    /// What was found under a key, if it is still known.
    pub(super) fn get(&self, key: &[u8]) -> Option<Version> {
        self.shard(key).read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Keeps what was found, if there is room.
    pub(super) fn keep(&self, key: &[u8], version: &Version) {
        let bytes = key.len() + version.as_ref().map_or(0, |entry| entry.value.len());
        let shard = self.shard(key);
        let full = |entries: usize| entries >= SHARD_ENTRIES_MAX;
        if bytes > ENTRY_BYTES_MAX
            || full(shard.read().unwrap_or_else(PoisonError::into_inner).len())
        {
            return;
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if !full(shard.len()) {
            shard.insert(Key::copy_from_slice(key), version.clone());
        }
    }

    fn shard(&self, key: &[u8]) -> &RwLock<HashMap<Key, Version>> {
        // The remainder is below SHARDS, so the cast loses nothing.
        &self.shards[(self.hasher.hash_one(key) % SHARDS as u64) as usize]
    }
}
