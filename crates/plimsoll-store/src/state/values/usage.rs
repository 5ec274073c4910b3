//! How much of each file of values is dead.

use std::collections::BTreeMap;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::state::base::{BaseError, failed};
use crate::state::values::Place;

/// Number of a file to its length and how many bytes of it are dead.
pub(in crate::state) const FILES: TableDefinition<'_, u32, (u64, u64)> =
    TableDefinition::new("files");

/// A checkpoint reads this many times what it has to write, at most, to move what is
/// alive in it: enough to keep up, since more than half of it is dead.
const CLEAN_FACTOR: u64 = 4;

/// What is in use, by number of the file.
#[derive(Clone, Debug, Default)]
pub(in crate::state) struct Usage(BTreeMap<u32, File>);

#[derive(Clone, Copy, Debug)]
struct File {
    bytes: u64,
    dead: u64,
}

impl Usage {
    pub(in crate::state) fn load(
        table: &impl ReadableTable<u32, (u64, u64)>,
    ) -> Result<Self, BaseError> {
        let mut files = BTreeMap::new();
        for row in table.iter().map_err(failed)? {
            let (number, row) = row.map_err(failed)?;
            let (bytes, dead) = row.value();
            files.insert(number.value(), File { bytes, dead });
        }
        Ok(Self(files))
    }

    /// Replaces what the database says.
    pub(in crate::state) fn save(&self, txn: &WriteTransaction) -> Result<(), BaseError> {
        let mut table = txn.open_table(FILES).map_err(failed)?;
        table.retain(|number, _| self.0.contains_key(&number)).map_err(failed)?;
        for (&number, &File { bytes, dead }) in &self.0 {
            table.insert(number, (bytes, dead)).map_err(failed)?;
        }
        Ok(())
    }

    pub(in crate::state) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// Of the next file.
    pub(in crate::state) fn next_number(&self) -> u32 {
        self.0.last_key_value().map_or(1, |(&number, _)| number + 1)
    }

    pub(in crate::state) fn add(&mut self, number: u32, bytes: u64) {
        self.0.insert(number, File { bytes, dead: 0 });
    }

    pub(in crate::state) fn remove(&mut self, number: u32) {
        self.0.remove(&number);
    }

    /// Nothing points to a row any more.
    pub(in crate::state) fn died(&mut self, place: Place) {
        if let Some(file) = self.0.get_mut(&place.file) {
            file.dead += u64::from(place.bytes);
        }
    }

    /// Bytes in all files, and how many of them are dead.
    pub(in crate::state) fn totals(&self) -> (u64, u64) {
        self.0.values().fold((0, 0), |(bytes, dead), file| (bytes + file.bytes, dead + file.dead))
    }

    /// The files that a checkpoint of so many bytes should do away with, and how many
    /// bytes of each are to be read for that. The newest is never among them, so that no
    /// number is used twice.
    pub(in crate::state) fn victims(&self, written_bytes: u64) -> Vec<(u32, u64)> {
        let mut deadest: Vec<_> = self.0.iter().rev().skip(1).collect();
        let dead_part = |file: &File| file.dead as f64 / file.bytes.max(1) as f64;
        deadest.sort_by(|(_, a), (_, b)| dead_part(b).total_cmp(&dead_part(a)));
        let (mut bytes, mut dead) = self.totals();
        let mut budget = CLEAN_FACTOR * written_bytes;
        let mut victims = Vec::new();
        for (&number, file) in deadest {
            let is_empty = file.dead >= file.bytes;
            if !is_empty && (dead <= bytes / 2 || budget == 0) {
                break;
            }
            let read_bytes = if is_empty { 0 } else { file.bytes };
            budget = budget.saturating_sub(read_bytes);
            bytes -= file.bytes;
            dead -= file.dead;
            victims.push((number, read_bytes));
        }
        victims
    }
}
