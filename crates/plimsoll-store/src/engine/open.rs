//! Opening a directory: whose it is, what is in it, and what is to be replayed.

use core::hash::{BuildHasher, Hasher};
use core::panic::AssertUnwindSafe;
use std::hash::RandomState;
use std::io;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use plimsoll::debt::DebtGate;
use plimsoll::write::WriteGate;

use crate::disk::{Disk, File, read_exact_at, write_all_at};
use crate::engine::checkpoint::Checkpoint;
use crate::engine::committer::{Committer, Limits, apply};
use crate::engine::options::OpenOptions;
use crate::engine::shared::Shared;
use crate::engine::{LogStore, Threads};
use crate::log::{
    BLOCK_BYTES, Damage, Log, Position, RecoverError, Recovered, Segments, has_log, recover,
};
use crate::state::{BaseError, Database, Published, Snapshot, Table};

const FORMAT_FILE: &str = "format";
const STATE_FILE: &str = "state.redb";
/// What the format file starts with; the id of the store follows.
const FORMAT: &str = "plimsoll-store 4 ";

const FORMAT_BYTES_MAX: u64 = 64;

/// Why a directory cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Another version wrote it, or something else did.
    #[error("{}: not a store of this version: {found:?}", path.display())]
    Format {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// An acknowledged write is no longer readable.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The disk failed or a permission is missing.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The database file cannot be used.
    #[error("{}: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// A limit that no store can work with.
    #[error("invalid limit: {0}")]
    Limit(&'static str),
}

impl From<RecoverError> for OpenError {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Damage(damage) => Self::Damage(damage),
            RecoverError::Io { path, error } => Self::Io { path, error },
        }
    }
}

impl LogStore {
    /// Opens the directory, replays the log, and starts the threads.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: OpenOptions) -> Result<Self, OpenError> {
        let limits = limits(&options)?;
        let disk = Arc::clone(&options.disk);
        let lock = disk.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { path: disk.path("") },
            _ => OpenError::Io { path: disk.path("lock"), error },
        })?;
        let (database, store_id) = open_state(&disk, options.cache_bytes)?;
        let state = |error: BaseError| state_error(&*disk, &error);
        let applied = database.applied().map_err(state)?;
        let base = Arc::new(database.base().map_err(state)?);
        let active = Arc::new(Table::default());
        let recovered = recover(&*disk, store_id, applied, &mut |group| apply(group, &active))?;
        let Recovered { inventory, tail, position } = recovered;

        let bytes = options.log_segment_bytes;
        let segments = Arc::new(Segments::new(
            Arc::clone(&disk),
            store_id,
            bytes,
            options.log_retain_bytes,
            inventory,
        ));
        let Position { revision, history, .. } = position;
        let published = Published::new(Snapshot { active, frozen: None, base, revision, history });
        let gate = WriteGate::new(options.gate, options.mode, options.observer);
        let bounds = (options.txn_bytes_max, options.background_items_max);
        let debt_gate = debt_gate(options.table_bytes_max)?;
        let shared = Arc::new(Shared::new(
            gate,
            debt_gate,
            options.clock,
            published,
            bounds,
            options.following,
        ));
        let log = Log::new(Arc::clone(&segments), options.clock, store_id, tail, position);
        let mut committer = Committer::new(Arc::clone(&shared), Arc::clone(&segments), log, limits);
        let checkpoint =
            Checkpoint { shared: Arc::clone(&shared), segments: Arc::clone(&segments), database };

        let mut store = Self { shared, segments, threads: Threads::default(), _lock: lock };
        let ahead = Arc::clone(&store.segments);
        store.threads.segments =
            Some(spawn("plimsoll-log", move || ahead.prepare_ahead(), &*disk)?);
        if options.calibrate {
            committer.calibrate();
        }
        store.threads.checkpoint =
            Some(spawn("plimsoll-state", guard(&store.shared, || checkpoint.run()), &*disk)?);
        store.threads.committer =
            Some(spawn("plimsoll-commit", guard(&store.shared, || committer.run()), &*disk)?);
        Ok(store)
    }
}

fn limits(options: &OpenOptions) -> Result<Limits, OpenError> {
    let segment = options.log_segment_bytes;
    if segment < 16 << 10 || !segment.is_multiple_of(BLOCK_BYTES as u64) {
        return Err(OpenError::Limit("log_segment_bytes must be 16 KiB or more, in whole 4 KiB"));
    }
    // A group and the segment's header fit into a segment.
    let group_bytes_max = (8 << 20).min(segment - 8192);
    if options.txn_bytes_max > group_bytes_max {
        return Err(OpenError::Limit("txn_bytes_max must fit into a group of the log"));
    }
    if options.log_bytes_max < 4 * segment {
        return Err(OpenError::Limit("log_bytes_max must be four segments or more"));
    }
    Ok(Limits {
        table_bytes_max: options.table_bytes_max,
        log_bytes_max: options.log_bytes_max,
        group_bytes_max,
    })
}

/// Writes that pass whatever the debt, in bytes per second.
const DRAIN_FLOOR: u64 = 1 << 20;

/// The debt at which the state is drained as fast as it is filled is three
/// quarters of this limit, 15/16 of a table: one is being merged while the other
/// fills, and neither has to wait for the other.
fn debt_gate(table_bytes_max: u64) -> Result<DebtGate, OpenError> {
    DebtGate::new(table_bytes_max / 4 * 5, DRAIN_FLOOR)
        .map_err(|_| OpenError::Limit("table_bytes_max must be 4 bytes or more"))
}

/// A thread that panics must not leave anybody waiting: the store stops, and says
/// so.
fn guard<F: FnOnce()>(shared: &Arc<Shared>, run: F) -> impl FnOnce() + use<F> {
    let shared = Arc::clone(shared);
    move || {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            let reason: Arc<str> = "a thread of the store panicked".into();
            shared.fail(Arc::clone(&reason));
            // First what cannot panic itself: an observer is called below.
            shared.close_checkpoint();
            shared.turn_all_away(&reason);
        }
    }
}

fn spawn(
    name: &str,
    run: impl FnOnce() + Send + 'static,
    disk: &dyn Disk,
) -> Result<JoinHandle<()>, OpenError> {
    Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(|error| OpenError::Io { path: disk.path(""), error })
}

/// Makes an empty directory a store whose state is what `fill` writes; it is none
/// before this has returned.
pub(crate) fn make_directory<T, E: From<io::Error>>(
    disk: &dyn Disk,
    fill: impl FnOnce(Arc<dyn File>) -> Result<T, E>,
) -> Result<T, E> {
    let filled = fill(disk.create(STATE_FILE)?)?;
    disk.sync_dir()?;
    write_format(disk, random_id())?;
    Ok(filled)
}

/// Seeded by the system's randomness.
fn random_id() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The state and the id of the store. A directory is a store as soon as its
/// format file says so, which is written last: what an interrupted creation left
/// is started over.
fn open_state(disk: &Arc<dyn Disk>, cache_bytes: usize) -> Result<(Database, u64), OpenError> {
    let io = |error| OpenError::Io { path: disk.path(STATE_FILE), error };
    let known = identify(&**disk)?;
    let file = disk.create(STATE_FILE).map_err(io)?;
    if known.is_none() && !file.is_empty().map_err(io)? {
        file.set_len(0).map_err(io)?;
    }
    let database = Database::open(Arc::clone(disk), file, cache_bytes)
        .map_err(|error| state_error(&**disk, &error))?;
    disk.sync_dir().map_err(io)?;
    let store_id = known.unwrap_or_else(random_id);
    // Again if it is known: it may have been seen in the page cache only.
    write_format(&**disk, store_id)
        .map_err(|error| OpenError::Io { path: disk.path(FORMAT_FILE), error })?;
    Ok((database, store_id))
}

fn state_error(disk: &dyn Disk, error: &BaseError) -> OpenError {
    OpenError::State { path: disk.path(STATE_FILE), reason: error.to_string() }
}

/// The id of the store in this directory, if there is one.
fn identify(disk: &dyn Disk) -> Result<Option<u64>, OpenError> {
    let path = || disk.path(FORMAT_FILE);
    let io = |error| OpenError::Io { path: path(), error };
    let file = disk.open(FORMAT_FILE).map_err(io)?;
    let mut text = Vec::new();
    if let Some(file) = file {
        text.resize(file.len().map_err(io)?.min(FORMAT_BYTES_MAX) as usize, 0);
        read_exact_at(&*file, 0, &mut text).map_err(io)?;
    }
    let text = String::from_utf8_lossy(&text);
    let text = text.trim_end_matches('\0');
    let line = text.strip_suffix('\n');
    let id = line.and_then(|line| u64::from_str_radix(line.strip_prefix(FORMAT)?, 16).ok());
    // Nothing of the line, or its beginning.
    let cut_short = line.is_none() && (FORMAT.starts_with(text) || text.starts_with(FORMAT));
    match id {
        Some(id) => Ok(Some(id)),
        // The log is made after the format file: without it nothing was stored.
        None if cut_short && !has_log(disk).map_err(io)? => Ok(None),
        None if cut_short => {
            Err(OpenError::Format { path: path(), found: "a log, but no format file".to_owned() })
        }
        None => Err(OpenError::Format { path: path(), found: text.trim_end().to_owned() }),
    }
}

/// Names the format and the id of the store. The id is a secret of the directory, so that
/// no value that a client stores can pass for a group of the log.
fn write_format(disk: &dyn Disk, id: u64) -> io::Result<()> {
    let file = disk.create(FORMAT_FILE)?;
    write_all_at(&*file, 0, format!("{FORMAT}{id:016x}\n").as_bytes())?;
    file.sync_data()?;
    disk.sync_dir()
}
