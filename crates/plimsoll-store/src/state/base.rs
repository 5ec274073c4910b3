//! The database: the state as of the last checkpoint. An index in a file of redb's,
//! and the files of values that it points into.

use core::fmt;
use core::ops::Bound;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use redb::{Durability, ReadableDatabase, StorageBackend, TableDefinition};

use crate::disk::{Disk, File, read_exact_at, write_all_at};
use crate::log::{History, Position};
use crate::state::index::{INDEX, Index, update};
use crate::state::recent::Recent;
use crate::state::table::{ENTRY_OVERHEAD_BYTES, Table, Version};
use crate::state::values::{Change, Changes, FILES, Place, Usage, ValueFiles, ValueWriter};
use crate::store::{Entry, Key, StoreError};

/// One row: the last group of the log that is contained.
const APPLIED: TableDefinition<'_, &str, (u64, u64, u32, u64)> = TableDefinition::new("applied");
const LAST_GROUP: &str = "last_group";

/// A sync of the log waits behind this many bytes of the checkpoint at most.
const WRITE_BACK_BYTES: u64 = 256 << 10;

/// How often a merge says how far it is, in bytes.
const PROGRESS_BYTES: u64 = 256 << 10;

/// Why the database cannot be used, as the engine puts it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("state file: {0}")]
pub(crate) struct BaseError(Arc<str>);

impl BaseError {
    pub(super) fn new(reason: String) -> Self {
        Self(reason.into())
    }
}

pub(super) fn failed(error: impl Into<redb::Error>) -> BaseError {
    BaseError::new(error.into().to_string())
}

impl From<BaseError> for StoreError {
    fn from(error: BaseError) -> Self {
        Self::Read(error.0)
    }
}

/// The writing end, used by the checkpoint alone.
pub(crate) struct Database {
    redb: redb::Database,
    disk: Arc<dyn Disk>,
    values: Arc<ValueFiles>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// Opens or creates it in `file` and its neighbours on `disk`, with so many bytes of
    /// cache.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        file: Arc<dyn File>,
        cache_bytes: usize,
    ) -> Result<Self, BaseError> {
        let redb = redb::Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(Backend { file: Arc::clone(&file) })
            .map_err(failed)?;
        if redb.begin_read().map_err(failed)?.open_table(APPLIED).is_err() {
            let txn = redb.begin_write().map_err(failed)?;
            txn.open_table(INDEX).map_err(failed)?;
            txn.open_table(FILES).map_err(failed)?;
            txn.open_table(APPLIED).map_err(failed)?;
            txn.commit().map_err(failed)?;
        }
        // What was found may sit in the page cache only; segments are used again and
        // files of values removed because it is durable.
        file.sync_data().map_err(|error| BaseError::new(error.to_string()))?;
        let mut database = Self { redb, disk, values: Arc::default() };
        let values = ValueFiles::open(&*database.disk, &database.usage()?)?;
        database.values = Arc::new(values);
        Ok(database)
    }

    fn usage(&self) -> Result<Usage, BaseError> {
        let txn = self.redb.begin_read().map_err(failed)?;
        Usage::load(&txn.open_table(FILES).map_err(failed)?)
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

    /// What all values take, and what of it is dead.
    #[cfg(test)]
    pub(super) fn value_bytes(&self) -> Result<(u64, u64), BaseError> {
        Ok(self.usage()?.totals())
    }

    /// What readers see of it now.
    pub(crate) fn base(&self) -> Result<Base, BaseError> {
        let index = self.index()?;
        let values = Arc::clone(&self.values);
        let recent = Recent::default();
        Ok(Base { tables: ArcSwapOption::from_pointee(Tables { index, values, recent }) })
    }

    fn index(&self) -> Result<Index, BaseError> {
        let txn = self.redb.begin_read().map_err(failed)?;
        Ok(Index::new(txn.open_table(INDEX).map_err(failed)?))
    }

    /// Merges a table into it, durably. `position` is the last group in it;
    /// `progress` is told how many bytes of the table are done.
    pub(crate) fn merge(
        &mut self,
        table: &Table,
        position: Position,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), BaseError> {
        let mut usage = self.usage()?;
        let victims = usage.victims(table.bytes());
        let mut txn = self.redb.begin_write().map_err(failed)?;
        txn.set_durability(Durability::Immediate).map_err(failed)?;
        // The allocator's state is written along, so that a restart after a
        // crash need not read the whole file.
        txn.set_quick_repair(true);

        let to_read = victims.iter().filter(|(_, read_bytes)| *read_bytes > 0);
        let moves = to_read.map(|&(number, bytes)| self.values.rows(number, bytes));
        let changes = Changes::new(changes(table, progress), moves.collect::<Result<_, _>>()?);
        let mut writer = ValueWriter::new(&*self.disk, usage.next_number());
        let decide = |key: &Key, change, place: Option<Place>| match change {
            Change::Put(value, revision) => {
                place.into_iter().for_each(|place| usage.died(place));
                writer.put(key, &value, revision).map(Some)
            }
            Change::Delete => {
                place.into_iter().for_each(|place| usage.died(place));
                Ok(None)
            }
            Change::Move(row) => match place {
                Some(place) if (place.file, place.offset) == (row.file, row.offset) => {
                    writer.copy(&row, place.revision).map(Some)
                }
                _ => Ok(place),
            },
        };
        {
            let mut index = txn.open_table(INDEX).map_err(failed)?;
            update(&self.index()?, &mut index, changes, decide)?;
        }
        // The values before what points to them.
        let mut values = ValueFiles::clone(&self.values);
        for written in writer.finish()? {
            usage.add(written.number, written.bytes);
            values.add(written.number, written.file);
        }
        victims.iter().for_each(|&(number, _)| usage.remove(number));
        usage.save(&txn)?;
        {
            let mut applied = txn.open_table(APPLIED).map_err(failed)?;
            let Position { sequence, revision, crc, history } = position;
            let row = (sequence, revision, crc, history.to_bits());
            applied.insert(LAST_GROUP, row).map_err(failed)?;
        }
        txn.commit().map_err(failed)?;
        victims.iter().for_each(|&(number, _)| values.remove(&*self.disk, number));
        self.values = Arc::new(values);
        Ok(())
    }
}

/// What a table changes. `progress` is told how far the reader of it is.
fn changes(table: &Table, progress: &mut dyn FnMut(u64)) -> impl Iterator<Item = (Key, Change)> {
    let (mut done, mut told) = (0, 0);
    table.newest().into_iter().map(move |(key, version)| {
        let value_bytes = version.as_ref().map_or(0, |entry| entry.value.len());
        done += (key.len() + value_bytes) as u64 + ENTRY_OVERHEAD_BYTES;
        if done - told >= PROGRESS_BYTES {
            progress(done);
            told = done;
        }
        let change = version.map_or(Change::Delete, |entry| {
            let Entry { value, mod_revision } = entry;
            Change::Put(value, mod_revision)
        });
        (key, change)
    })
}

struct Tables {
    index: Index,
    values: Arc<ValueFiles>,
    recent: Recent,
}

impl Tables {
    fn entry(&self, key: &[u8], place: Place) -> Result<Entry, BaseError> {
        let value = self.values.read(key, place)?;
        Ok(Entry { value, mod_revision: place.revision })
    }
}

/// All entries of a base, in order, whatever becomes of the base meanwhile.
pub(crate) type BaseEntries = Box<dyn Iterator<Item = Result<(Key, Entry), StoreError>> + Send>;

/// A view of the database at one checkpoint. While it is open, none of its pages
/// and files can be used again; so it can be closed under those who still hold it.
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
        if let Some(known) = tables.recent.get(key) {
            return Ok(known);
        }
        let place = tables.index.get(key)?;
        let version = place.map(|place| tables.entry(key, place)).transpose()?;
        tables.recent.keep(key, &version);
        Ok(version)
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
        let places = tables.index.iter_from(start)?;
        Ok(places.map(move |item| {
            let (key, place) = item?;
            let entry = tables.entry(&key, place)?;
            Ok((key, Some(entry)))
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
