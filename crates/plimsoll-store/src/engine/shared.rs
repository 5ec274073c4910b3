//! What requesters, the committer and the checkpoint share.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use plimsoll::Cost;
use plimsoll::debt::{Debt, DebtGate};
use plimsoll::write::{Batch, CommitSample, Place, WriteGate};

use crate::clock::Clock;
use crate::engine::pending::{Pending, Reply};
use crate::log::{Position, encoded_bytes};
use crate::ship::{FollowError, Followed, Inbox, Tail};
use crate::state::{Published, Table};
use crate::store::{Decide, StoreError, Txn, View};

/// How soon the checkpoint looks whether a table that it has merged is still
/// being read.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the checkpoint is to do.
pub(crate) enum Next {
    /// Merge this table; the position is that of the last group in it.
    Table(Arc<Table>, Position),
    /// Tidy up.
    Look,
    /// End.
    Closed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) gate: WriteGate<Pending>,
    pub(crate) debt_gate: DebtGate,
    pub(crate) clock: Clock,
    pub(crate) published: Published,
    pub(crate) txn_bytes_max: u64,
    /// What a follower is handed.
    pub(crate) inbox: Inbox,
    /// What a primary ships.
    pub(crate) tail: Arc<Tail>,
    background_items_max: usize,
    background: Mutex<VecDeque<Pending>>,
    /// The committer sleeps, or is about to.
    idle: AtomicBool,
    committer: OnceLock<Thread>,
    closed: AtomicBool,
    failure: OnceLock<Arc<str>>,
    checkpoint: Mutex<Checkpoint>,
    checkpoint_changed: Condvar,
    frozen_left: AtomicU64,
    drained: AtomicU64,
    /// There is little space for more segments of the log.
    short_of_space: AtomicBool,
}

#[derive(Debug, Default)]
struct Checkpoint {
    /// Frozen, with the last group in it.
    job: Option<(Arc<Table>, Position)>,
    closed: bool,
}

impl Shared {
    pub(crate) fn new(
        gate: WriteGate<Pending>,
        debt_gate: DebtGate,
        clock: Clock,
        published: Published,
        (txn_bytes_max, background_items_max): (u64, usize),
        following: bool,
    ) -> Self {
        Self {
            gate,
            debt_gate,
            clock,
            published,
            txn_bytes_max,
            inbox: Inbox::new(following),
            tail: Tail::new(),
            background_items_max,
            background: Mutex::default(),
            idle: AtomicBool::new(false),
            committer: OnceLock::new(),
            closed: AtomicBool::new(false),
            failure: OnceLock::new(),
            checkpoint: Mutex::default(),
            checkpoint_changed: Condvar::new(),
            frozen_left: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            short_of_space: AtomicBool::new(false),
        }
    }

    /// Takes a transaction in, or answers it at once.
    pub(crate) fn submit(&self, txn: Txn, decide: Decide, place: Option<Place>, reply: Reply) {
        if let Some(reason) = self.stopped() {
            return reply.send(Err(StoreError::Stopped(reason)));
        }
        if txn.is_empty() {
            return reply.send(Ok(self.published.latest().revision()));
        }
        if self.inbox.is_following() {
            return reply.send(Err(StoreError::Following));
        }
        let bytes = encoded_bytes(&txn);
        if bytes > self.txn_bytes_max {
            let bytes_max = self.txn_bytes_max;
            return reply.send(Err(StoreError::TooLarge { bytes, bytes_max }));
        }
        let cost = Cost::item(bytes);
        let units = self.gate.units(cost);
        let pending = Pending { txn, decide, reply, units };
        match place {
            Some(place) => {
                if let Err((pending, rejection)) =
                    self.gate.enqueue(self.clock.now(), place, cost, pending)
                {
                    return pending.reply.send(Err(StoreError::Rejected(rejection)));
                }
            }
            None => {
                let mut background = lock(&self.background);
                if background.len() >= self.background_items_max {
                    drop(background);
                    let items_max = self.background_items_max;
                    return pending.reply.send(Err(StoreError::BackgroundFull { items_max }));
                }
                background.push_back(pending);
            }
        }
        self.wake();
    }

    /// Hands a group of the primary's to the committer, or answers it at once.
    pub(crate) fn follow(&self, followed: Followed) {
        self.inbox.push(followed);
        if let Some(reason) = self.stopped() {
            self.inbox.refuse_all(&FollowError::Stopped(reason));
        }
        self.wake();
    }

    fn stopped(&self) -> Option<Arc<str>> {
        let closed = || self.closed.load(Ordering::Acquire).then(|| "the store is closed".into());
        self.failed().or_else(closed)
    }

    /// Why the store takes no more writes.
    pub(crate) fn failed(&self) -> Option<Arc<str>> {
        self.failure.get().map(Arc::clone)
    }

    /// No write is taken from here on. The first reason stands.
    pub(crate) fn fail(&self, reason: Arc<str>) {
        tracing::error!(%reason, "the store takes no more writes");
        let _ = self.failure.set(reason);
        // Under the lock, or a committer that is about to wait would miss it.
        let checkpoint = lock(&self.checkpoint);
        self.checkpoint_changed.notify_all();
        drop(checkpoint);
        self.wake();
    }

    /// Answers everything that waits: nothing of it was executed.
    pub(crate) fn turn_all_away(&self, reason: &Arc<str>) {
        self.inbox.refuse_all(&FollowError::Stopped(Arc::clone(reason)));
        let mut taken = Batch::default();
        loop {
            self.gate.take(self.clock.now(), false, &mut taken);
            self.pull_background(u32::MAX, &mut taken.payloads);
            let sample = CommitSample { units: 0, flush: Duration::ZERO, work: Duration::ZERO };
            self.gate.committed(self.clock.now(), sample);
            if taken.payloads.is_empty() {
                return;
            }
            for pending in taken.payloads.drain(..) {
                pending.reply.send(Err(StoreError::Stopped(Arc::clone(reason))));
            }
        }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    // The committer's sleep. The flag is raised before the queues are looked at
    // and lowered by whoever has put something there since, so that a busy
    // committer costs its requesters no system call.

    pub(crate) fn committer_is(&self, thread: Thread) {
        let _ = self.committer.set(thread);
    }

    pub(crate) fn wake(&self) {
        if self.idle.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.committer.get()
        {
            thread.unpark();
        }
    }

    /// Sleeps until something waits or the store is closed.
    pub(crate) fn wait_for_work(&self) {
        loop {
            self.idle.store(true, Ordering::SeqCst);
            let work = self.gate.has_waiting() || self.has_background() || !self.inbox.is_empty();
            if work || self.is_closed() {
                self.idle.store(false, Ordering::SeqCst);
                return;
            }
            std::thread::park();
        }
    }

    pub(crate) fn has_background(&self) -> bool {
        !lock(&self.background).is_empty()
    }

    /// Moves background work of up to `room` units into `batch`; at least one
    /// item if `batch` is empty. Returns the units taken.
    pub(crate) fn pull_background(&self, room: u32, batch: &mut Vec<Pending>) -> u32 {
        let mut background = lock(&self.background);
        let mut units = 0_u32;
        while let Some(next) = background.front() {
            let after = units.saturating_add(next.units);
            if after > room && !batch.is_empty() {
                break;
            }
            units = after;
            batch.extend(background.pop_front());
        }
        units
    }

    // The checkpoint's hand-over.

    /// Gives the checkpoint a table; there must be none with it.
    pub(crate) fn start_checkpoint(&self, table: Arc<Table>, position: Position) {
        self.frozen_left.store(table.bytes(), Ordering::Relaxed);
        lock(&self.checkpoint).job = Some((table, position));
        self.checkpoint_changed.notify_all();
    }

    pub(crate) fn checkpoint_runs(&self) -> bool {
        lock(&self.checkpoint).job.is_some()
    }

    /// Blocks until the checkpoint is done or the store has failed.
    pub(crate) fn wait_for_checkpoint(&self) {
        let mut checkpoint = lock(&self.checkpoint);
        while checkpoint.job.is_some() && self.failure.get().is_none() {
            checkpoint =
                self.checkpoint_changed.wait(checkpoint).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks until there is a table to merge; with `look`, for a moment at most.
    pub(crate) fn next_checkpoint(&self, look: bool) -> Next {
        let mut checkpoint = lock(&self.checkpoint);
        loop {
            if let Some((table, position)) = &checkpoint.job {
                return Next::Table(Arc::clone(table), *position);
            }
            if checkpoint.closed {
                return Next::Closed;
            }
            if look {
                let waited = self.checkpoint_changed.wait_timeout(checkpoint, LOOK_AGAIN);
                checkpoint = waited.unwrap_or_else(PoisonError::into_inner).0;
                if checkpoint.job.is_none() && !checkpoint.closed {
                    return Next::Look;
                }
            } else {
                let waited = self.checkpoint_changed.wait(checkpoint);
                checkpoint = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    pub(crate) fn checkpoint_done(&self) {
        lock(&self.checkpoint).job = None;
        self.checkpoint_changed.notify_all();
    }

    /// The committer has ended: no table will come any more.
    pub(crate) fn close_checkpoint(&self) {
        lock(&self.checkpoint).closed = true;
        self.checkpoint_changed.notify_all();
    }

    /// The checkpoint has so many bytes of its table left and has done `bytes`
    /// since it last said so.
    pub(crate) fn drained(&self, left: u64, bytes: u64) {
        self.frozen_left.store(left, Ordering::Relaxed);
        self.drained.fetch_add(bytes, Ordering::Relaxed);
        self.report_debt();
    }

    /// From now on the log is made free again as soon as a segment is full, or not.
    pub(crate) fn conserve_space(&self, conserve: bool) {
        self.short_of_space.store(conserve, Ordering::Relaxed);
    }

    pub(crate) fn is_short_of_space(&self) -> bool {
        self.short_of_space.load(Ordering::Relaxed)
    }

    /// Tells the debt gate how things stand.
    pub(crate) fn report_debt(&self) {
        let frozen = self.frozen_left.load(Ordering::Relaxed);
        let snapshot = self.published.latest();
        let debt = Debt {
            bytes: snapshot.active.bytes() + frozen,
            drained_bytes: self.drained.load(Ordering::Relaxed),
            draining: snapshot.frozen.is_some(),
        };
        self.debt_gate.report(self.clock.now(), debt);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
