//! From a snapshot to a directory that a store can be opened in.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, RealDisk};
use crate::engine::make_directory;
use crate::log::Position;
use crate::snapshot::format::{SnapshotError, Summary};
use crate::snapshot::read::SnapshotReader;
use crate::state::{BaseError, Database, Table};
use crate::store::StoreError;

/// Entries are handed to the database in tables of this size; each becomes a file of values.
const TABLE_BYTES: u64 = 128 << 20;
/// What the database keeps in memory meanwhile.
const CACHE_BYTES: usize = 64 << 20;

/// Restores into an empty disk. Until it returns without an error, what is there is
/// not a store.
///
/// # Errors
/// The snapshot is cut short or altered, or the disk failed.
pub fn restore<R: Read>(
    reader: &mut SnapshotReader<R>,
    disk: &Arc<dyn Disk>,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, SnapshotError> {
    if disk.list()?.iter().any(|name| name != "lock") {
        return Err(SnapshotError::NotFresh(disk.path("")));
    }
    let (revision, history) = (reader.meta().revision, reader.meta().history()?);
    let position = Position { revision, history, ..Position::default() };
    make_directory(&**disk, |file| {
        let mut database =
            Database::open(Arc::clone(disk), file, CACHE_BYTES).map_err(store_error)?;
        let mut table = Table::default();
        let mut done = 0;
        loop {
            let entries = reader.next_entries()?;
            let is_last = entries.is_none();
            for (key, entry) in entries.into_iter().flatten() {
                done += (key.len() + entry.value.len()) as u64;
                table.insert(key, entry.mod_revision, Some(entry.value));
            }
            if is_last || table.bytes() >= TABLE_BYTES {
                let full = core::mem::take(&mut table);
                database.merge(&full, position, &mut |_| {}).map_err(store_error)?;
                progress(done);
            }
            if is_last {
                return reader.summary().cloned().ok_or(SnapshotError::Truncated);
            }
        }
    })
}

/// Restores into a directory that does not exist or is empty: built beside it and
/// renamed when it is whole.
///
/// # Errors
/// As [`restore`], and if there is anything in the directory. Then nothing was changed.
pub fn restore_dir<R: Read>(
    reader: &mut SnapshotReader<R>,
    dir: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, SnapshotError> {
    let is_fresh = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error.into()),
    };
    if !is_fresh {
        return Err(SnapshotError::NotFresh(dir.to_owned()));
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&parent)?;
    let aside = tempfile::Builder::new().prefix(".plimsoll-restore-").tempdir_in(&parent)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(aside.path())?);
    let summary = restore(reader, &disk, progress)?;
    // An empty directory gives way to a rename.
    fs::rename(aside.keep(), dir)?;
    fs::File::open(&parent)?.sync_all()?;
    Ok(summary)
}

fn store_error(error: BaseError) -> SnapshotError {
    StoreError::from(error).into()
}
