//! Where the values are: written once, in the order in which they come.
//!
//! A tree that holds the values is rewritten almost whole by every checkpoint, since
//! random keys touch nearly all of its pages. So the tree holds only where a value
//! is, and the values are packed into rows of a second table, which grows at its end.
//! Whatever is overwritten there is dead; when half of it is, the oldest packs are
//! read again and what is alive in them is written once more, at the end.

use core::ops::Range as Span;

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::state::base::{BaseError, failed};
use crate::store::Revision;

/// Key to its pack, the offset and length of its row there, and its revision.
pub(super) const INDEX: TableDefinition<'_, &[u8], Place> = TableDefinition::new("index");
/// Number to rows.
pub(super) const PACKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("packs");
/// One row: bytes in all packs, and how many of them are dead.
pub(super) const BYTES: TableDefinition<'_, (), (u64, u64)> = TableDefinition::new("bytes");

pub(super) type Place = (u64, u32, u32, Revision);

/// A pack is two pages of the database with what the database adds.
const PACK_BYTES: usize = 8192 - 64;
/// Lengths of key and value.
const HEADER_BYTES: usize = 8;
/// A checkpoint cleans this many times what it has written, and a little, at most:
/// enough to keep up, since more than half of what it reads is dead on average.
const CLEAN_FACTOR: u64 = 4;
const CLEAN_BYTES_MIN: u64 = 1 << 20;

/// The writing end of a checkpoint.
pub(super) struct Packs<'txn> {
    index: Table<'txn, &'static [u8], Place>,
    packs: Table<'txn, u64, &'static [u8]>,
    totals: Table<'txn, (), (u64, u64)>,
    /// The pack under construction and its number.
    open: Vec<u8>,
    number: u64,
    stored_bytes: u64,
    dead_bytes: u64,
    written_bytes: u64,
}

impl<'txn> Packs<'txn> {
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Self, BaseError> {
        let index = txn.open_table(INDEX).map_err(failed)?;
        let packs = txn.open_table(PACKS).map_err(failed)?;
        let totals = txn.open_table(BYTES).map_err(failed)?;
        let last = packs.last().map_err(failed)?.map_or(0, |(number, _)| number.value());
        let known = totals.get(()).map_err(failed)?.map(|row| row.value());
        let (stored_bytes, dead_bytes) = known.unwrap_or_default();
        let (open, number) = (Vec::with_capacity(PACK_BYTES), last + 1);
        let written_bytes = 0;
        Ok(Self { index, packs, totals, open, number, stored_bytes, dead_bytes, written_bytes })
    }

    pub(super) fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        revision: Revision,
    ) -> Result<(), BaseError> {
        let bytes = HEADER_BYTES + key.len() + value.len();
        if !self.open.is_empty() && self.open.len() + bytes > PACK_BYTES {
            self.close_pack()?;
        }
        let place = (self.number, self.open.len() as u32, bytes as u32, revision);
        self.open.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.open.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.open.extend_from_slice(key);
        self.open.extend_from_slice(value);
        self.written_bytes += bytes as u64;
        let before = self.index.insert(key, place).map_err(failed)?;
        self.dead_bytes += before.map_or(0, |row| u64::from(row.value().2));
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), BaseError> {
        let before = self.index.remove(key).map_err(failed)?;
        self.dead_bytes += before.map_or(0, |row| u64::from(row.value().2));
        Ok(())
    }

    /// Cleans up, and leaves everything in the transaction.
    pub(super) fn finish(mut self) -> Result<(), BaseError> {
        self.close_pack()?;
        let mut budget = CLEAN_FACTOR * self.written_bytes + CLEAN_BYTES_MIN;
        while self.dead_bytes > self.stored_bytes / 2 && budget > 0 {
            budget = budget.saturating_sub(self.clean_oldest()?);
        }
        self.close_pack()?;
        self.totals.insert((), (self.stored_bytes, self.dead_bytes)).map_err(failed)?;
        Ok(())
    }

    /// Writes again what is alive in the oldest pack, and drops it. Returns its
    /// length.
    fn clean_oldest(&mut self) -> Result<u64, BaseError> {
        let oldest = self.packs.pop_first().map_err(failed)?;
        let Some((number, rows)) = oldest.map(|(n, rows)| (n.value(), rows.value().to_vec()))
        else {
            return Ok(u64::MAX);
        };
        let mut at = 0;
        while let Some((key, value)) = row(&rows, at) {
            let place = self.index.get(&rows[key.clone()]).map_err(failed)?;
            let place = place.map(|place| place.value());
            if let Some((pack, offset, _, revision)) = place
                && (pack, offset as usize) == (number, at)
            {
                self.put(&rows[key], &rows[value.clone()], revision)?;
            }
            at = value.end;
        }
        // By now all of it is dead.
        let bytes = rows.len() as u64;
        self.stored_bytes = self.stored_bytes.saturating_sub(bytes);
        self.dead_bytes = self.dead_bytes.saturating_sub(bytes);
        Ok(bytes)
    }

    fn close_pack(&mut self) -> Result<(), BaseError> {
        if !self.open.is_empty() {
            self.packs.insert(self.number, &*self.open).map_err(failed)?;
            self.stored_bytes += self.open.len() as u64;
            self.number += 1;
            self.open.clear();
        }
        Ok(())
    }
}

/// Where key and value are of the row at an offset of a pack.
pub(super) fn row(pack: &[u8], at: usize) -> Option<(Span<usize>, Span<usize>)> {
    let length = |at: usize| {
        let field = pack.get(at..at.checked_add(4)?)?;
        field.try_into().ok().map(|field| u32::from_le_bytes(field) as usize)
    };
    let key = at + HEADER_BYTES..(at + HEADER_BYTES).checked_add(length(at)?)?;
    let value = key.end..key.end.checked_add(length(at + 4)?)?;
    (value.end <= pack.len()).then_some((key, value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::sync::Arc;

    use bytes::Bytes;
    use core::ops::Bound;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use crate::disk::{Disk, File, SimDisk};
    use crate::log::Position;
    use crate::state::{Base, Database, Table};
    use crate::store::Revision;

    use super::*;

    const SEED: u64 = 0xBA5E;

    type Model = BTreeMap<Bytes, (Bytes, Revision)>;

    fn contents(base: &Base) -> Model {
        let rows = base.iter_from(Bound::Unbounded).unwrap();
        let rows = rows.map(|row| {
            let (key, entry) = row.unwrap();
            let entry = entry.unwrap();
            assert_eq!(base.get(&key).unwrap(), Some(entry.clone()));
            (key, (entry.value, entry.mod_revision))
        });
        rows.collect()
    }

    /// Checkpoints of 200 changes each; calls `then` after each.
    fn checkpoints(
        rounds: u64,
        keys: u32,
        deletes: f64,
        mut then: impl FnMut(&Database, &Model),
    ) -> Database {
        let file: Arc<dyn File> = SimDisk::new().create("state").unwrap();
        let database = Database::open(file, 1 << 20).unwrap();
        let (mut rng, mut model) = (SmallRng::seed_from_u64(SEED), Model::new());
        for round in 1..=rounds {
            let table = Table::default();
            for n in 0..200 {
                let revision = round * 200 + n;
                let key = Bytes::from(format!("key/{}", rng.random_range(0..keys)));
                let value = (!rng.random_bool(deletes)).then(|| {
                    let bytes = if rng.random_ratio(1, 50) { 9_000 } else { 300 };
                    Bytes::from((0..bytes).map(|_| rng.random()).collect::<Vec<u8>>())
                });
                match &value {
                    Some(value) => model.insert(key.clone(), (value.clone(), revision)),
                    None => model.remove(&key),
                };
                table.insert(key, revision, value);
            }
            let position =
                Position { sequence: round, revision: round * 200, ..Position::default() };
            database.merge(&table, position, &mut |_| {}).unwrap();
            then(&database, &model);
        }
        database
    }

    #[test]
    fn every_checkpoint_holds_what_was_written_and_no_more() {
        checkpoints(40, 500, 0.2, |database, model| {
            assert!(contents(&database.base().unwrap()) == *model, "seed {SEED:#x}");
        });
    }

    #[test]
    fn a_view_of_an_earlier_checkpoint_outlives_the_cleaning() {
        let mut views = Vec::new();
        let _open = checkpoints(12, 300, 0.2, |database, model| {
            views.push((database.base().unwrap(), model.clone()));
        });
        for (base, model) in views {
            assert!(contents(&base) == model, "seed {SEED:#x}");
        }
    }

    #[test]
    fn at_most_half_of_what_is_stored_is_dead() {
        for deletes in [0.0, 0.5, 0.95] {
            checkpoints(30, 400, deletes, |database, model| {
                let rows = model.iter().map(|(key, (value, _))| key.len() + value.len());
                let live = rows.map(|bytes| (bytes + HEADER_BYTES) as u64).sum::<u64>();
                let (stored, dead) = database.packed_bytes().unwrap();
                assert_eq!(stored - dead, live, "seed {SEED:#x}");
                assert!(dead <= stored / 2, "seed {SEED:#x}, {deletes}: {dead} of {stored}");
            });
        }
    }
}
