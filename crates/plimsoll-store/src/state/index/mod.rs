//! From a key to the place of its value: a tree of blocks.
//!
//! A checkpoint of random keys touches nearly every leaf of a tree, several times
//! each. So the tree's rows are not keys but *blocks* of some sixty of them, in order:
//! a checkpoint takes each block out once, merges what it has for it, and puts it back.
//! A block is stored under its *low* key; it holds the keys from there to the next low.
//! The first is stored under the empty key.

mod block;
mod update;

use core::ops::Bound;

use redb::{ReadOnlyTable, TableDefinition};

use crate::state::base::{BaseError, failed};
use crate::state::values::Place;
use crate::store::Key;

pub(super) use crate::state::index::update::update;

/// Low key to block.
pub(super) const INDEX: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("index");

/// The index as of one checkpoint.
pub(super) struct Index(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Index {
    pub(super) const fn new(table: ReadOnlyTable<&'static [u8], &'static [u8]>) -> Self {
        Self(table)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Place>, BaseError> {
        let block = self.0.range::<&[u8]>(..=key).map_err(failed)?.next_back();
        match block.transpose().map_err(failed)? {
            Some((_, block)) => block::find(block.value(), key),
            None => Ok(None),
        }
    }

    /// The keys from `start` on, in order, with their places.
    pub(super) fn iter_from(
        &self,
        start: Bound<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<(Key, Place), BaseError>> + use<>, BaseError> {
        let low = match start {
            Bound::Included(key) | Bound::Excluded(key) => self.block_of(key)?.0,
            Bound::Unbounded => Vec::new(),
        };
        let start = start.map(Key::copy_from_slice);
        let blocks = self.0.range::<&[u8]>(&*low..).map_err(failed)?;
        Ok(blocks.flat_map(move |row| {
            let entries = row.map_err(failed).and_then(|(_, block)| {
                let entries = block::Entries(block.value())
                    .map(|entry| entry.map(|(key, place)| (Key::copy_from_slice(key), place)));
                entries.collect::<Result<Vec<_>, _>>()
            });
            let (entries, error) = match entries {
                Ok(entries) => (entries, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            let start = start.clone();
            let is_after = move |key: &Key| match &start {
                Bound::Included(start) => key >= start,
                Bound::Excluded(start) => key > start,
                Bound::Unbounded => true,
            };
            entries.into_iter().filter(move |(key, _)| is_after(key)).map(Ok).chain(error)
        }))
    }

    /// The block that a key belongs into, under its low key.
    fn block_of(&self, key: &[u8]) -> Result<(Vec<u8>, Vec<u8>), BaseError> {
        let block = self.0.range::<&[u8]>(..=key).map_err(failed)?.next_back();
        let block = block.transpose().map_err(failed)?;
        Ok(block.map_or_else(Default::default, |(low, block)| {
            (low.value().to_vec(), block.value().to_vec())
        }))
    }

    /// The low key of the next block.
    fn low_after(&self, low: &[u8]) -> Result<Option<Key>, BaseError> {
        let behind = (Bound::Excluded(low), Bound::Unbounded);
        let next = self.0.range::<&[u8]>(behind).map_err(failed)?.next();
        let next = next.transpose().map_err(failed)?;
        Ok(next.map(|(low, _)| Key::copy_from_slice(low.value())))
    }
}
