//! Taking a snapshot.

use core::hash::BuildHasher;
use std::hash::RandomState;
use std::io::{self, Write};
use std::sync::Arc;

use crate::snapshot::archive::{ArchiveWriter, Sums};
use crate::snapshot::format::{
    META_FILE, Meta, SEALED_SUMS_FILE, STATE_DIR, STATE_FILE_BYTES, SUMMARY_FILE, SUMS_FILE,
    SnapshotError, Summary, Tally, push_row,
};
use crate::state::{BaseEntries, Merge, Snapshot, Table};
use crate::store::{Entry, Key, Range, Revision, StoreError};

/// The state at one revision, pinned until it is written or dropped.
pub struct SnapshotSource {
    meta: Meta,
    revision: Revision,
    /// The newest first.
    tables: Vec<Arc<Table>>,
    base: BaseEntries,
}

impl core::fmt::Debug for SnapshotSource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SnapshotSource").field("meta", &self.meta).finish_non_exhaustive()
    }
}

/// Makes `SHA256SUMS.sealed` of `SHA256SUMS`.
type Seal<'s> = &'s dyn Fn(&[u8]) -> io::Result<Vec<u8>>;

impl SnapshotSource {
    pub(crate) fn new(snapshot: &Snapshot) -> Result<Self, StoreError> {
        let Snapshot { active, frozen, base, revision, history } = snapshot;
        Ok(Self {
            meta: Meta::new(*revision, *history),
            revision: *revision,
            tables: core::iter::once(active).chain(frozen).map(Arc::clone).collect(),
            base: base.entries()?,
        })
    }

    /// What it is of.
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Writes it; `progress` is told the bytes of keys and values so far.
    ///
    /// # Errors
    /// The state could not be read or `out` not be written. What is there then ends
    /// too early and will not be taken for whole.
    pub fn write_to<W: Write>(
        self,
        out: W,
        seal: Seal<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Summary, W), SnapshotError> {
        let Self { meta, revision, tables, base } = self;
        let mut files = Files::new(out);
        files.add(META_FILE, &json(&meta)?)?;
        let written = Written::of_tables(&tables, revision, &mut files, progress)?;
        // From here on nothing of it is in memory.
        drop(tables);
        for item in base {
            let (key, entry) = item?;
            if !written.contains(&key) {
                files.push(&key, &entry, progress)?;
            }
        }
        files.finish(seal)
    }

    /// Counts and digests it without writing it anywhere.
    ///
    /// # Errors
    /// The state could not be read.
    pub fn summary(self) -> Result<Summary, SnapshotError> {
        let seal = |_: &[u8]| Ok(Vec::new());
        self.write_to(io::sink(), &seal, &mut |_| {}).map(|(summary, _)| summary)
    }
}

/// Which keys the tables have decided about: what the base says of them is of the
/// past. A hash of 128 bits with secret keys stands for each.
struct Written {
    keys: [RandomState; 2],
    sorted: Vec<u128>,
}

impl Written {
    fn of_tables<W: Write>(
        tables: &[Arc<Table>],
        revision: Revision,
        files: &mut Files<W>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, SnapshotError> {
        let mut written = Self { keys: Default::default(), sorted: Vec::new() };
        let all = Range { prefix: &[], after: &[], keys_max: usize::MAX };
        let mut merge = Merge::new();
        for table in tables {
            merge.push(table.iter(&all, revision).map(Ok));
        }
        while let Some((key, version)) = merge.next()? {
            written.sorted.push(written.hash(&key));
            if let Some(entry) = version {
                files.push(&key, &entry, progress)?;
            }
        }
        written.sorted.sort_unstable();
        Ok(written)
    }

    fn contains(&self, key: &Key) -> bool {
        !self.sorted.is_empty() && self.sorted.binary_search(&self.hash(key)).is_ok()
    }

    fn hash(&self, key: &Key) -> u128 {
        let [high, low] = &self.keys;
        (u128::from(high.hash_one(key)) << 64) | u128::from(low.hash_one(key))
    }
}

/// The archive under construction.
struct Files<W: Write> {
    archive: ArchiveWriter<W>,
    sums: Sums,
    tally: Tally,
    rows: Vec<u8>,
    number: u64,
}

impl<W: Write> Files<W> {
    fn new(out: W) -> Self {
        let (archive, rows) = (ArchiveWriter::new(out), Vec::with_capacity(STATE_FILE_BYTES));
        Self { archive, sums: Sums::default(), tally: Tally::default(), rows, number: 0 }
    }

    fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.sums.add(name, content);
        self.archive.file(name, content)
    }

    fn push(
        &mut self,
        key: &[u8],
        entry: &Entry,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), SnapshotError> {
        self.tally.add(key, entry);
        push_row(&mut self.rows, key, entry);
        if self.rows.len() >= STATE_FILE_BYTES {
            self.close_rows()?;
            progress(self.tally.bytes());
        }
        Ok(())
    }

    fn close_rows(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.number += 1;
        let rows = core::mem::take(&mut self.rows);
        self.add(&format!("{STATE_DIR}{:08}", self.number), &rows)?;
        self.rows = rows;
        self.rows.clear();
        Ok(())
    }

    fn finish(mut self, seal: Seal<'_>) -> Result<(Summary, W), SnapshotError> {
        self.close_rows()?;
        let summary = self.tally.summary();
        self.add(SUMMARY_FILE, &json(&summary)?)?;
        self.archive.file(SUMS_FILE, self.sums.text())?;
        self.archive.file(SEALED_SUMS_FILE, &seal(self.sums.text())?)?;
        Ok((summary, self.archive.finish()?))
    }
}

fn json<T: serde::Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::from)
}
