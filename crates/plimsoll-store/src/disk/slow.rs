//! A disk that is as slow as you like: `--dev-slow-disk sync=10ms,item=2ms`.
//!
//! One serial device: every sync, the checkpoint's included, and every group
//! written holds it for the delay. Sleeping alone is late by up to a scheduler
//! tick, so the last stretch is spun, which keeps a delay precise to 50 us.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use plimsoll::Timestamp;

use crate::clock::Clock;
use crate::disk::{DirLock, Disk, File};

/// What is spun rather than slept.
const SPIN: Duration = Duration::from_micros(120);

/// The delays, which may change while the disk is in use.
#[derive(Debug, Default)]
pub struct Delays {
    sync_nanos: AtomicU64,
    item_nanos: AtomicU64,
    /// Once, by the next sync.
    hang_nanos: AtomicU64,
    device: Mutex<()>,
}

impl Delays {
    /// Each sync takes `sync` longer, each transaction of a group `item`.
    pub fn new(sync: Duration, item: Duration) -> Arc<Self> {
        let delays = Arc::new(Self::default());
        delays.set(sync, item);
        delays
    }

    /// Changes both, from the next operation on.
    pub fn set(&self, sync: Duration, item: Duration) {
        self.sync_nanos.store(nanos(sync), Ordering::Relaxed);
        self.item_nanos.store(nanos(item), Ordering::Relaxed);
    }

    /// The next sync takes so much longer, once.
    pub fn hang(&self, hang: Duration) {
        self.hang_nanos.store(nanos(hang), Ordering::Relaxed);
    }

    /// The delay of a sync and that of a transaction.
    pub fn get(&self) -> (Duration, Duration) {
        let load = |cell: &AtomicU64| Duration::from_nanos(cell.load(Ordering::Relaxed));
        (load(&self.sync_nanos), load(&self.item_nanos))
    }

    /// Holds the device for a delay, and for the operation after it.
    fn occupy<T>(&self, delay: Duration, operation: impl FnOnce() -> T) -> T {
        if delay.is_zero() {
            return operation();
        }
        let _device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = Clock::start();
        // The only sleep of the crate outside tests: this disk is slow on purpose.
        thread::sleep(delay.saturating_sub(SPIN));
        while clock.now().since(Timestamp::ZERO) < delay {
            core::hint::spin_loop();
        }
        operation()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Another disk, slowed down.
#[derive(Debug)]
pub struct SlowDisk {
    inner: Arc<dyn Disk>,
    delays: Arc<Delays>,
}

impl SlowDisk {
    /// Slows `inner` by `delays`.
    pub fn new(inner: Arc<dyn Disk>, delays: Arc<Delays>) -> Self {
        Self { inner, delays }
    }

    fn wrap(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(SlowFile { inner, delays: Arc::clone(&self.delays) })
    }
}

impl Disk for SlowDisk {
    fn lock(&self) -> io::Result<DirLock> {
        self.inner.lock()
    }

    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn File>>> {
        Ok(self.inner.open(name)?.map(|file| self.wrap(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.inner.create(name).map(|file| self.wrap(file))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.inner.sync_dir()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }
}

#[derive(Debug)]
struct SlowFile {
    inner: Arc<dyn File>,
    delays: Arc<Delays>,
}

impl File for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.inner.set_len(bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (sync, _) = self.delays.get();
        let hang = Duration::from_nanos(self.delays.hang_nanos.swap(0, Ordering::Relaxed));
        self.delays.occupy(sync + hang, || self.inner.sync_data())
    }

    fn begin_group(&self, items: u32) {
        let (_, item) = self.delays.get();
        self.delays.occupy(item * items, || self.inner.begin_group(items));
    }

    fn write_back(&self, offset: u64, bytes: u64) {
        self.inner.write_back(offset, bytes);
    }
}
