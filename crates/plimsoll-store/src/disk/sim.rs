//! A disk in memory that fails on demand and loses power.
//!
//! It keeps what a program reads back and what a power cut would leave apart, in
//! sectors of 512 bytes. A sync moves the one to the other; a power cut keeps any
//! subset of what was not synced, the lengths and the names of files included.
//! After a failed sync the sectors read as written, and no later sync makes them
//! durable unless they are written again: that is how Linux behaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{DirLock, Disk, File};

const SECTOR_BYTES: usize = 512;

/// What goes wrong at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write keeps nothing, a sync makes nothing durable.
    Eio,
    /// A write keeps nothing.
    Enospc,
    /// A write keeps its first half and says so; the rest of it fails.
    ShortWrite,
    /// The power goes, after a write has reached the cache and before a sync has
    /// done anything: every operation from here on fails.
    PowerCut,
}

/// The disk; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// By name: the file and whether the name is durable.
    names: BTreeMap<String, (usize, bool)>,
    /// Names that were durable and were taken away: a power cut may bring them back.
    removed: BTreeMap<String, usize>,
    files: Vec<Content>,
    /// Operations that change something, so far.
    operations: u64,
    fault: Option<(u64, Fault)>,
    /// The next write fails: it is the rest of a short one.
    fail_next_write: bool,
    off: bool,
    locked: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// What is read back.
    cached: Vec<u8>,
    /// What is there after a power cut, whatever else survives.
    durable: Vec<u8>,
    /// Sectors in which they may differ and which the next sync settles.
    dirty: BTreeSet<usize>,
    /// Sectors of which a sync has failed.
    lost: BTreeSet<usize>,
}

impl SimDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the operation with this number, counted from 0, go wrong.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.lock_state().fault = Some((operation, fault));
    }

    /// How many writes, syncs, cuts and creations there were.
    pub fn operations(&self) -> u64 {
        self.lock_state().operations
    }

    /// Whether the fault has happened.
    pub fn has_failed(&self) -> bool {
        let state = self.lock_state();
        state.fault.is_some_and(|(at, _)| at < state.operations)
    }

    /// How many sectors, lengths and names a power cut now may keep or lose.
    pub fn unsynced(&self) -> usize {
        let state = self.lock_state();
        let names = state.names.values().filter(|(_, durable)| !durable).count();
        names + state.removed.len() + state.files.iter().map(Content::unsynced).sum::<usize>()
    }

    /// The disk after a power cut. `survives` is asked once for each of
    /// [`SimDisk::unsynced`], in a fixed order.
    pub fn after_power_cut(&self, mut survives: impl FnMut() -> bool) -> Self {
        let state = self.lock_state();
        let files: Vec<_> =
            state.files.iter().map(|file| file.after_power_cut(&mut survives)).collect();
        let names = state.names.iter().filter(|(_, (_, durable))| *durable || survives());
        let names = names.map(|(name, &(file, _))| (name.clone(), file));
        let mut names: BTreeMap<_, _> = names.collect();
        let back = state.removed.iter().filter(|_| survives());
        names.extend(back.map(|(name, &file)| (name.clone(), file)));
        let names = names.into_iter().map(|(name, file)| (name, (file, true))).collect();
        let state = State { names, files, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The disk as another process finds it after this one was killed.
    pub fn after_kill(&self) -> Self {
        let state = self.lock_state();
        let (names, files) = (state.names.clone(), state.files.clone());
        let removed = state.removed.clone();
        let state = State { names, files, removed, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The bytes of a file, to look at.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock_state();
        state.names.get(name).map(|&(file, _)| state.files[file].cached.clone())
    }

    /// Flips bits of one byte, durably: damage.
    pub fn flip(&self, name: &str, offset: usize, bits: u8) {
        let mut state = self.lock_state();
        let Some(&(file, _)) = state.names.get(name) else { return };
        let Content { cached, durable, .. } = &mut state.files[file];
        for bytes in [cached, durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= bits;
            }
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts an operation and says what is wrong with it.
    fn operation(&mut self) -> io::Result<Option<Fault>> {
        if self.off {
            return Err(eio());
        }
        let number = self.operations;
        self.operations += 1;
        Ok(self.fault.filter(|&(at, _)| at == number).map(|(_, fault)| fault))
    }

    /// The same, for one that does nothing if it goes wrong.
    fn plain_operation(&mut self) -> io::Result<()> {
        match self.operation()? {
            None => Ok(()),
            Some(fault) => Err(self.strike(fault)),
        }
    }

    fn strike(&mut self, fault: Fault) -> io::Error {
        self.off |= fault == Fault::PowerCut;
        if fault == Fault::Enospc { enospc() } else { eio() }
    }

    fn readable(&self) -> io::Result<()> {
        if self.off { Err(eio()) } else { Ok(()) }
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSPC)
}

impl Content {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.cached.len() {
            resize(&mut self.cached, end);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            self.lost.remove(&sector);
            self.dirty.insert(sector);
        }
    }

    fn set_len(&mut self, bytes: usize) {
        let old = self.cached.len();
        resize(&mut self.cached, bytes);
        // The new end of an old sector reads as zeros.
        self.dirty.extend(old.min(bytes) / SECTOR_BYTES..old.max(bytes).div_ceil(SECTOR_BYTES));
    }

    fn sync(&mut self) {
        resize(&mut self.durable, self.cached.len());
        for sector in core::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
    }

    fn keep(&mut self, sector: usize) {
        let (start, end) = bounds(sector, self.cached.len());
        if self.durable.len() < end {
            resize(&mut self.durable, end);
        }
        self.durable[start..end].copy_from_slice(&self.cached[start..end]);
    }

    /// Sectors in which the cache really differs from the disk.
    fn open(&self) -> impl Iterator<Item = usize> {
        self.dirty.iter().chain(&self.lost).copied().filter(|&sector| {
            let (start, end) = bounds(sector, self.cached.len());
            let cached = &self.cached[start..end];
            self.durable.get(start..end).map_or_else(
                // Not there yet: what is durable of it reads as zeros, once it is.
                || cached.iter().any(|&byte| byte != 0),
                |durable| durable != cached,
            )
        })
    }

    fn unsynced(&self) -> usize {
        usize::from(self.cached.len() != self.durable.len()) + self.open().count()
    }

    fn after_power_cut(&self, survives: &mut impl FnMut() -> bool) -> Self {
        let mut after =
            Self { cached: self.cached.clone(), durable: self.durable.clone(), ..Self::default() };
        let new_length = self.cached.len() != self.durable.len() && survives();
        for sector in self.open() {
            if survives() {
                after.keep(sector);
            }
        }
        let length = if new_length { self.cached.len() } else { self.durable.len() };
        resize(&mut after.durable, length);
        after.cached.clone_from(&after.durable);
        after
    }
}

/// As `Vec::resize`, but fast without optimisation too.
fn resize(bytes: &mut Vec<u8>, length: usize) {
    let more = length.saturating_sub(bytes.len());
    bytes.truncate(length);
    bytes.extend_from_slice(&vec![0; more]);
}

fn bounds(sector: usize, length: usize) -> (usize, usize) {
    let start = (sector * SECTOR_BYTES).min(length);
    (start, (start + SECTOR_BYTES).min(length))
}

impl Disk for SimDisk {
    fn lock(&self) -> io::Result<DirLock> {
        let mut state = self.lock_state();
        if core::mem::replace(&mut state.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Unlock(self.clone())))
    }

    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn File>>> {
        let state = self.lock_state();
        state.readable()?;
        let file = state.names.get(name).map(|&(index, _)| index);
        Ok(file.map(|index| Arc::new(SimFile { disk: self.clone(), index }) as Arc<dyn File>))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.open(name)? {
            return Ok(file);
        }
        let mut state = self.lock_state();
        state.plain_operation()?;
        let index = state.files.len();
        state.files.push(Content::default());
        state.names.insert(name.to_owned(), (index, false));
        // The old file of this name will not come back in place of the new one.
        state.removed.remove(name);
        Ok(Arc::new(SimFile { disk: self.clone(), index }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.lock_state();
        state.readable()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock_state();
        state.plain_operation()?;
        let (file, durable) = state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        if durable {
            state.removed.insert(name.to_owned(), file);
        }
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.lock_state();
        state.plain_operation()?;
        state.removed.clear();
        state.names.values_mut().for_each(|(_, durable)| *durable = true);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("/sim").join(name)
    }
}

struct Unlock(SimDisk);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.lock_state().locked = false;
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    index: usize,
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.lock_state();
        state.readable()?;
        Ok(state.files[self.index].cached.len() as u64)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        state.plain_operation()?;
        state.files[self.index].set_len(bytes as usize);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.lock_state();
        state.readable()?;
        let bytes = state.files[self.index].cached.get(offset as usize..).unwrap_or(&[]);
        let read = bytes.len().min(buffer.len());
        buffer[..read].copy_from_slice(&bytes[..read]);
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.lock_state();
        let fault = state.operation()?;
        if core::mem::take(&mut state.fail_next_write) {
            return Err(enospc());
        }
        let kept = match fault {
            Some(Fault::Eio | Fault::Enospc) => 0,
            Some(Fault::ShortWrite) => bytes.len() / 2,
            Some(Fault::PowerCut) | None => bytes.len(),
        };
        let file = &mut state.files[self.index];
        file.write(offset as usize, &bytes[..kept]);
        match fault {
            None => Ok(kept),
            Some(Fault::ShortWrite) => {
                state.fail_next_write = true;
                Ok(kept)
            }
            Some(fault) => Err(state.strike(fault)),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        match state.operation()? {
            None => {
                state.files[self.index].sync();
                Ok(())
            }
            Some(Fault::PowerCut) => Err(state.strike(Fault::PowerCut)),
            Some(fault) => {
                let file = &mut state.files[self.index];
                let dirty = core::mem::take(&mut file.dirty);
                file.lost.extend(dirty);
                Err(state.strike(fault))
            }
        }
    }
}
