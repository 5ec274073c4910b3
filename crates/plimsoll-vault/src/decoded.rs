//! Decoded values, so that a hot read neither decrypts nor parses what every
//! request needs: the caller's token, its policies, the mount table.
//!
//! A value is kept beside the revision that wrote it and is used only for the
//! entry with exactly that revision, so it cannot be stale: there is nothing to
//! invalidate. Secrets of users do not pass through here.

use core::any::Any;
use core::fmt;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_store::{Key, Revision};

/// Entries kept at most, over all shards; the least recently used half of a
/// shard goes when it is full.
pub(crate) const DECODED_ENTRIES_MAX: usize = 65_536;

const SHARDS: usize = 16;
const GENERATION_ENTRIES_MAX: usize = DECODED_ENTRIES_MAX / SHARDS / 2;

type Shared = Arc<dyn Any + Send + Sync>;
type Generation = HashMap<Key, (Revision, Shared)>;

/// See the module.
pub struct DecodedCache {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// Two generations: what is used moves to the young one, and when that is full
/// it becomes the old one, whose unused rest is dropped.
#[derive(Default)]
struct Shard {
    young: Generation,
    old: Generation,
}

impl fmt::Debug for DecodedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodedCache").finish_non_exhaustive()
    }
}

impl Default for DecodedCache {
    fn default() -> Self {
        Self { shards: Default::default(), hasher: RandomState::new() }
    }
}

impl DecodedCache {
    /// The value that `revision` wrote under `key`, if it is known as a `T`.
    pub(crate) fn get<T: Any + Send + Sync>(
        &self,
        key: &[u8],
        revision: Revision,
    ) -> Option<Arc<T>> {
        let mut shard = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        let shared = shard.get(key, revision)?;
        shared.downcast().ok()
    }

    /// Keeps a value.
    pub(crate) fn insert<T: Any + Send + Sync>(&self, key: Key, revision: Revision, value: Arc<T>) {
        let mut shard = self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner);
        shard.insert(key, revision, value);
    }

    /// Forgets everything: the server was sealed.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            *shard.lock().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        // The remainder is below SHARDS, so the cast loses nothing.
        &self.shards[(self.hasher.hash_one(key) % SHARDS as u64) as usize]
    }
}

impl Shard {
    fn get(&mut self, key: &[u8], revision: Revision) -> Option<Shared> {
        if let Some((known, value)) = self.young.get(key) {
            return (*known == revision).then(|| Arc::clone(value));
        }
        let (key, (known, value)) = self.old.remove_entry(key)?;
        if known != revision {
            return None;
        }
        self.insert(key, known, Arc::clone(&value));
        Some(value)
    }

    fn insert(&mut self, key: Key, revision: Revision, value: Shared) {
        if self.young.len() >= GENERATION_ENTRIES_MAX {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(key, (revision, value));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_value_answers_only_for_the_revision_that_wrote_it() {
        let cache = DecodedCache::default();
        cache.insert(Bytes::from_static(b"a"), 7, Arc::new(41_u32));
        assert_eq!(cache.get::<u32>(b"a", 7).as_deref(), Some(&41));
        assert!(cache.get::<u32>(b"a", 8).is_none());
        assert!(cache.get::<u64>(b"a", 7).is_none(), "another type is no answer");
    }

    #[test]
    fn what_is_used_survives_a_flood_and_the_flood_is_bounded() {
        let cache = DecodedCache::default();
        cache.insert(Bytes::from_static(b"hot"), 1, Arc::new(0_u32));
        for number in 0..DECODED_ENTRIES_MAX * 5 / 4 {
            cache.insert(Bytes::from(number.to_string()), 1, Arc::new(0_u32));
            assert!(cache.get::<u32>(b"hot", 1).is_some());
        }
        let kept: usize = cache
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .map(|shard| shard.young.len() + shard.old.len())
            .sum();
        assert!(kept <= DECODED_ENTRIES_MAX);
    }
}
