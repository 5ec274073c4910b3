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
            Bound::Included(key) | Bound::Excluded(key) => self.low_of(key)?,
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

    /// The low key of the block that a key belongs into.
    fn low_of(&self, key: &[u8]) -> Result<Vec<u8>, BaseError> {
        let block = self.0.range::<&[u8]>(..=key).map_err(failed)?.next_back();
        let block = block.transpose().map_err(failed)?;
        Ok(block.map_or_else(Vec::new, |(low, _)| low.value().to_vec()))
    }

    /// The blocks of some keys, which come in order.
    const fn blocks(&self) -> Blocks<'_> {
        Blocks { index: self, ahead: None, next: None }
    }
}

/// A block, with its low key in front.
type Block = (Vec<u8>, Vec<u8>);

/// See [`Index::blocks`]. The next key's block is the next one, as a rule: going there
/// is less work than finding it.
struct Blocks<'i> {
    index: &'i Index,
    ahead: Option<redb::Range<'static, &'static [u8], &'static [u8]>>,
    /// The block after the last one.
    next: Option<Block>,
}

impl Blocks<'_> {
    /// The block that a key belongs into, which is after all blocks so far, and the low
    /// key of the next.
    fn of(&mut self, key: &[u8]) -> Result<(Block, Option<&[u8]>), BaseError> {
        let mut block = self.step(key)?;
        let is_further = self.next.as_ref().is_some_and(|(low, _)| **low <= *key);
        if block.is_none() || is_further {
            let low = self.index.low_of(key)?;
            self.ahead = Some(self.index.0.range::<&[u8]>(&*low..).map_err(failed)?);
            self.next = self.read()?;
            block = self.step(key)?;
        }
        Ok((block.unwrap_or_default(), self.next.as_ref().map(|(low, _)| &**low)))
    }

    /// The next block, if it is not behind the key.
    fn step(&mut self, key: &[u8]) -> Result<Option<Block>, BaseError> {
        let block = self.next.take_if(|(low, _)| **low <= *key);
        if block.is_some() {
            self.next = self.read()?;
        }
        Ok(block)
    }

    fn read(&mut self) -> Result<Option<Block>, BaseError> {
        let block = self.ahead.as_mut().and_then(Iterator::next).transpose().map_err(failed)?;
        Ok(block.map(|(low, block)| (low.value().to_vec(), block.value().to_vec())))
    }
}
