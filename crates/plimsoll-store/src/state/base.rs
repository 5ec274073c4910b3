//! The database file: the state as of the last checkpoint.

use core::fmt;
use core::ops::Bound;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, Builder};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use redb::{
    Durability, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition, WriteTransaction,
};

use crate::disk::{File, read_exact_at, write_all_at};
use crate::log::{History, Position};
use crate::state::packs::{INDEX, PACKS, Packs, Place, row};
use crate::state::table::{ENTRY_OVERHEAD_BYTES, Table, Version};
use crate::store::{Entry, Key, StoreError};

/// One row: the last group of the log that is contained.
const APPLIED: TableDefinition<'_, &str, (u64, u64, u32, u64)> = TableDefinition::new("applied");
const LAST_GROUP: &str = "last_group";

/// A sync of the log waits behind this many bytes of the checkpoint at most.
const WRITE_BACK_BYTES: u64 = 1 << 20;

/// Keys that are handed from thread to thread at a time.
const CHUNK_KEYS: usize = 256;
/// So many times.
const CHUNKS_AHEAD: usize = 16;

/// Why the database cannot be used, as the engine puts it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("state file: {0}")]
pub(crate) struct BaseError(Arc<str>);

pub(super) fn failed(error: impl Into<redb::Error>) -> BaseError {
    BaseError(error.into().to_string().into())
}

impl From<BaseError> for StoreError {
    fn from(error: BaseError) -> Self {
        Self::Read(error.0)
    }
}

/// The writing end, used by the checkpoint alone.
pub(crate) struct Database {
    redb: redb::Database,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// Opens or creates it, with so many bytes of cache.
    pub(crate) fn open(file: Arc<dyn File>, cache_bytes: usize) -> Result<Self, BaseError> {
        let redb = redb::Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(Backend { file: Arc::clone(&file) })
            .map_err(failed)?;
        if redb.begin_read().map_err(failed)?.open_table(APPLIED).is_err() {
            let txn = redb.begin_write().map_err(failed)?;
            Packs::open(&txn)?.finish()?;
            txn.open_table(APPLIED).map_err(failed)?;
            txn.commit().map_err(failed)?;
        }
        // What was found may sit in the page cache only; segments are used again
        // because it is durable.
        file.sync_data().map_err(|error| BaseError(error.to_string().into()))?;
        Ok(Self { redb })
    }

    /// The last group of the log that is contained.
    pub(crate) fn applied(&self) -> Result<Position, BaseError> {
        let txn = self.redb.begin_read().map_err(failed)?;
        let table = txn.open_table(APPLIED).map_err(failed)?;
        let row = table.get(LAST_GROUP).map_err(failed)?;
        Ok(row.map_or_else(Position::default, |row| {
            let (sequence, revision, crc, history) = row.value();
            Position { sequence, revision, crc, history: History::from_bits(history) }
        }))
    }

    /// What all packs take, and what of it is dead.
    #[cfg(test)]
    pub(super) fn packed_bytes(&self) -> Result<(u64, u64), BaseError> {
        let txn = self.redb.begin_read().map_err(failed)?;
        let table = txn.open_table(crate::state::packs::BYTES).map_err(failed)?;
        Ok(table.get(()).map_err(failed)?.map_or((0, 0), |row| row.value()))
    }

    /// What readers see of it now.
    pub(crate) fn base(&self) -> Result<Base, BaseError> {
        let txn = self.redb.begin_read().map_err(failed)?;
        let index = txn.open_table(INDEX).map_err(failed)?;
        let packs = txn.open_table(PACKS).map_err(failed)?;
        Ok(Base { tables: ArcSwapOption::from_pointee(Tables { index, packs }) })
    }

    /// Merges a table into it, durably. `position` is the last group in it;
    /// `progress` is told how many bytes of the table are done.
    pub(crate) fn merge(
        &self,
        table: &Table,
        position: Position,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BaseError> {
        let mut txn = self.redb.begin_write().map_err(failed)?;
        txn.set_durability(Durability::Immediate).map_err(failed)?;
        // The allocator's state is written along, so that a restart after a
        // crash need not read the whole file.
        txn.set_quick_repair(true);
        self.insert_all(&txn, table, progress)?;
        {
            let mut applied = txn.open_table(APPLIED).map_err(failed)?;
            let Position { sequence, revision, crc, history } = position;
            let row = (sequence, revision, crc, history.to_bits());
            applied.insert(LAST_GROUP, row).map_err(failed)?;
        }
        txn.commit().map_err(failed)
    }

    fn insert_all(
        &self,
        txn: &WriteTransaction,
        table: &Table,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BaseError> {
        let mut packs = Packs::open(txn)?;
        let mut done = 0;
        // The checkpoint is what bounds the throughput: sorting the keys and
        // finding their values, a quarter of it, is another thread's.
        thread::scope(|scope| {
            let (sender, sorted) = mpsc::sync_channel(CHUNKS_AHEAD);
            let reading = || send_newest(table, sender);
            Builder::new()
                .name("plimsoll-sort".into())
                .spawn_scoped(scope, reading)
                .map_err(|error| BaseError(error.to_string().into()))?;
            for chunk in sorted {
                for (key, version) in chunk {
                    let value_bytes = version.as_ref().map_or(0, |entry| entry.value.len());
                    match version {
                        Some(Entry { value, mod_revision }) => {
                            packs.put(&key, &value, mod_revision)?;
                        }
                        None => packs.remove(&key)?,
                    }
                    done += (key.len() + value_bytes) as u64 + ENTRY_OVERHEAD_BYTES;
                }
                progress(done);
            }
            packs.finish()
        })
    }
}

/// Ends early when nobody wants more.
fn send_newest(table: &Table, sender: SyncSender<Vec<(Key, Version)>>) {
    let mut newest = table.newest();
    loop {
        let chunk: Vec<_> = newest.by_ref().take(CHUNK_KEYS).collect();
        if chunk.is_empty() || sender.send(chunk).is_err() {
            return;
        }
    }
}

struct Tables {
    index: ReadOnlyTable<&'static [u8], Place>,
    packs: ReadOnlyTable<u64, &'static [u8]>,
}

impl Tables {
    fn entry(&self, (pack, offset, _, mod_revision): Place) -> Result<Entry, StoreError> {
        let missing = || StoreError::Read("state file: a value is not where it should be".into());
        let rows = self.packs.get(pack).map_err(failed)?.ok_or_else(missing)?;
        let rows = rows.value();
        let (_, value) = row(rows, offset as usize).ok_or_else(missing)?;
        Ok(Entry { value: Bytes::copy_from_slice(&rows[value]), mod_revision })
    }
}

/// All entries of a base, in order, whatever becomes of the base meanwhile.
pub(crate) type BaseEntries = Box<dyn Iterator<Item = Result<(Key, Entry), StoreError>> + Send>;

/// A view of the database at one checkpoint. While it is open, none of its pages
/// can be used again; so it can be closed under those who still hold it.
pub(crate) struct Base {
    tables: ArcSwapOption<Tables>,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Base")
    }
}

impl Base {
    /// Lets go of its pages: whoever reads from it later gets an error.
    pub(crate) fn close(&self) {
        self.tables.store(None);
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Version, StoreError> {
        let tables = self.tables.load();
        let tables = tables.as_deref().ok_or_else(expired)?;
        let place = tables.index.get(key).map_err(failed)?;
        place.map(|place| tables.entry(place.value())).transpose()
    }

    /// All entries; its pages stay where they are until they are read or dropped.
    pub(crate) fn entries(&self) -> Result<BaseEntries, StoreError> {
        let entries = self.iter_from(Bound::Unbounded)?;
        Ok(Box::new(entries.filter_map(|item| {
            item.map(|(key, version)| version.map(|entry| (key, entry))).transpose()
        })))
    }

    /// The entries from `start` on, in order.
    pub(crate) fn iter_from(
        &self,
        start: Bound<&[u8]>,
    ) -> Result<impl Iterator<Item = Result<(Key, Version), StoreError>> + use<>, StoreError> {
        let tables = self.tables.load_full().ok_or_else(expired)?;
        let places = tables.index.range::<&[u8]>((start, Bound::Unbounded)).map_err(failed)?;
        Ok(places.map(move |row| {
            let (key, place) = row.map_err(failed)?;
            Ok((Key::copy_from_slice(key.value()), Some(tables.entry(place.value())?)))
        }))
    }
}

fn expired() -> StoreError {
    StoreError::Read("the view is too old".into())
}

/// The engine's file, on our disk.
#[derive(Debug)]
struct Backend {
    file: Arc<dyn File>,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact_at(&*self.file, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        // In the order of the file, so that the device gets long runs, and piece
        // by piece, so that the log gets its turn in between.
        for offset in (0..self.file.len()?).step_by(WRITE_BACK_BYTES as usize) {
            self.file.write_back(offset, WRITE_BACK_BYTES);
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        write_all_at(&*self.file, offset, data)
    }
}
