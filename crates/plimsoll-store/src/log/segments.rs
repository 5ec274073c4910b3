//! The files of the log: which are in use, which are ready, which are free.
//!
//! Writing 64 MiB of zeros takes longer than a commit may, so a thread of its
//! own keeps one segment ready ahead of time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::disk::Disk;
use crate::log::segment::{FreeFile, Segment};

/// Segments kept ready beside the one in use.
const READY_MIN: usize = 1;

/// Shared by the writer, the checkpoint and the thread that prepares.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    store_id: u64,
    segment_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Segment>,
    /// Full, with the sequence of their last group; oldest first.
    full: VecDeque<(Segment, u64)>,
    /// Not needed here any more, but by followers; before those in `full`.
    retained: VecDeque<Segment>,
    retain_bytes: u64,
    /// The one in use.
    current: Option<Segment>,
    free: Vec<FreeFile>,
    next_id: u64,
    next_number: u64,
    failed: Option<Arc<str>>,
    stopped: bool,
}

/// What recovery found, to start from.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// Before those in `full`, and contained in the state.
    pub(crate) retained: VecDeque<Segment>,
    pub(crate) full: VecDeque<(Segment, u64)>,
    pub(crate) free: Vec<FreeFile>,
    pub(crate) next_id: u64,
    pub(crate) next_number: u64,
}

impl Segments {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        store_id: u64,
        segment_bytes: u64,
        retain_bytes: u64,
        found: Inventory,
    ) -> Self {
        let Inventory { retained, full, mut free, next_id, next_number } = found;
        // Files of another size than is configured now go out of use.
        free.retain(|file| file.bytes == segment_bytes);
        let mut state =
            State { retained, retain_bytes, full, free, next_id, next_number, ..State::default() };
        state.recycle(segment_bytes);
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Self { disk, store_id, segment_bytes, state, changed }
    }

    /// The next segment to write into, ready as a rule.
    ///
    /// # Errors
    /// Why no segment could be prepared, not even now that one is needed.
    pub(crate) fn next(&self) -> Result<Segment, Arc<str>> {
        let mut state = self.lock();
        // A disk that was full when a segment was prepared ahead may have space
        // again.
        if state.failed.take().is_some() {
            self.changed.notify_all();
        }
        loop {
            if let Some(segment) = state.ready.pop_front() {
                self.changed.notify_all();
                return Ok(segment);
            }
            if let Some(reason) = &state.failed {
                return Err(Arc::clone(reason));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) const fn store_id(&self) -> u64 {
        self.store_id
    }

    /// Every segment that holds groups of the chain, oldest first. It may be used again
    /// while it is being read: its groups then name another use.
    pub(crate) fn readable(&self) -> Vec<Segment> {
        let state = self.lock();
        let full = state.full.iter().map(|(segment, _)| segment);
        state.retained.iter().chain(full).chain(&state.current).cloned().collect()
    }

    /// How much to keep of what the state contains, from now on.
    pub(crate) fn set_retain(&self, bytes: u64) {
        let mut state = self.lock();
        state.retain_bytes = bytes;
        state.recycle(self.segment_bytes);
    }

    /// How much of that is kept.
    pub(crate) fn retain_bytes(&self) -> u64 {
        self.lock().retain_bytes
    }

    /// Groups are appended to this one from here on.
    pub(crate) fn set_current(&self, segment: Segment) {
        self.lock().current = Some(segment);
    }

    /// A segment is full; its last group has this sequence.
    pub(crate) fn retire(&self, segment: Segment, last_sequence: u64) {
        self.lock().full.push_back((segment, last_sequence));
    }

    /// The state behind the log durably holds everything up to this sequence.
    pub(crate) fn release(&self, sequence: u64) {
        let mut state = self.lock();
        while state.full.front().is_some_and(|&(_, last)| last <= sequence) {
            let released = state.full.pop_front();
            state.retained.extend(released.map(|(segment, _)| segment));
        }
        state.recycle(self.segment_bytes);
        drop(state);
        self.changed.notify_all();
    }

    /// Bytes of the segments that only a checkpoint can free.
    pub(crate) fn full_bytes(&self) -> u64 {
        self.lock().full.iter().map(|(segment, _)| segment.bytes).sum()
    }

    /// Ends [`Segments::prepare_ahead`].
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Keeps a segment ready until [`Segments::stop`]; runs on its own thread.
    pub(crate) fn prepare_ahead(&self) {
        loop {
            let mut state = self.lock();
            while !state.stopped && (state.ready.len() >= READY_MIN || state.failed.is_some()) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.stopped {
                return;
            }
            let free = state.free.pop();
            let id = state.next_id;
            let number = state.next_number;
            state.next_id += 1;
            state.next_number += u64::from(free.is_none());
            drop(state);
            let prepared = self.prepare(free, id, number);
            let mut state = self.lock();
            match prepared {
                Ok(segment) => state.ready.push_back(segment),
                Err(error) => {
                    let reason = format!("log segment {number:08} cannot be prepared: {error}");
                    state.failed = Some(reason.into());
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    fn prepare(&self, free: Option<FreeFile>, id: u64, number: u64) -> io::Result<Segment> {
        let free = match free {
            Some(free) => free,
            None => FreeFile::create(&*self.disk, number, self.segment_bytes)?,
        };
        Segment::prepare(free, id, self.store_id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Frees the oldest of what is retained beyond the limit.
    fn recycle(&mut self, segment_bytes: u64) {
        let mut retained: u64 = self.retained.iter().map(|segment| segment.bytes).sum();
        while retained > self.retain_bytes
            && let Some(Segment { name, file, bytes, .. }) = self.retained.pop_front()
        {
            retained -= bytes;
            // A file of another size than is configured now goes out of use.
            if bytes == segment_bytes {
                self.free.push(FreeFile { name, file, bytes });
            }
        }
    }
}
