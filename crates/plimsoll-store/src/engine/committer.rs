//! The committer: one thread, one group at a time.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll::write::{Batch as Taken, CommitSample};

use crate::engine::batch::Batch;
use crate::engine::pending::{Pending, Reply};
use crate::engine::shared::Shared;
use crate::log::{AppendError, Group, Log, Segments, encoded_bytes};
use crate::state::{Snapshot, Table};
use crate::store::{Revision, StoreError};

/// When a table is frozen and how much the log may hold, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) table_bytes_max: u64,
    pub(crate) log_bytes_max: u64,
    pub(crate) group_bytes_max: u64,
}

/// See the module.
pub(crate) struct Committer {
    pub(super) shared: Arc<Shared>,
    segments: Arc<Segments>,
    pub(super) log: Log,
    pub(super) limits: Limits,
    taken: Taken<Pending>,
    pub(super) batch: Batch,
    /// Taken from the gate, but too much for one group.
    carried: VecDeque<Pending>,
    /// What an answer took in the last commit, each.
    answering: Duration,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        segments: Arc<Segments>,
        log: Log,
        limits: Limits,
    ) -> Self {
        let batch = Batch::new(shared.txn_bytes_max);
        let (taken, carried, answering) = Default::default();
        Self { shared, segments, log, limits, taken, batch, carried, answering }
    }

    /// Commits until the store is closed and nothing waits any more.
    pub(crate) fn run(mut self) {
        self.shared.committer_is(std::thread::current());
        loop {
            if self.carried.is_empty() {
                self.shared.wait_for_work();
            }
            let idle = !self.shared.gate.has_waiting()
                && !self.shared.has_background()
                && self.shared.inbox.is_empty();
            if self.shared.is_closed() && idle && self.carried.is_empty() {
                break;
            }
            match self.shared.failed() {
                None if !self.shared.inbox.is_empty() => self.commit_followed(),
                None => self.commit(),
                Some(reason) => self.turn_all_away(&reason),
            }
        }
        self.shared.close_checkpoint();
    }

    /// One group, from the queue to the answers.
    fn commit(&mut self) {
        let clock = self.shared.clock;
        let started = clock.now();
        let units = self.take();
        let snapshot = self.shared.published.latest();
        self.fill(&snapshot);
        if self.batch.builder.txns() == 0 {
            return self.committed(0, Duration::ZERO, Duration::ZERO);
        }
        let work = clock.now() - started;
        if let Err(reason) = self.make_room() {
            let unwritten = self.batch.accepted.drain(..);
            return answer(unwritten, |_| Err(StoreError::Stopped(Arc::clone(&reason))));
        }
        let writing = clock.now();
        match self.log.append(&mut self.batch.builder, snapshot.revision + 1) {
            Ok(appended) => {
                self.apply(&appended.group);
                let flush = appended.flush;
                let work = work + (clock.now() - writing).saturating_sub(flush);
                // Answering holds up the next commit, so it is part of the work; but
                // nobody waits for it to be measured: the last commit's stands for it.
                let answers = self.batch.accepted.len() as u32;
                self.committed(units, flush, work + self.answering * answers);
                let answering = clock.now();
                answer(self.batch.accepted.drain(..), Ok);
                self.answering = (clock.now() - answering) / answers.max(1);
                self.shared.tail.announce();
            }
            Err(error) => self.refuse_group(error),
        }
    }

    /// Takes a batch from the gate and fills it up with background work.
    fn take(&mut self) -> u32 {
        let background = self.shared.has_background();
        self.shared.gate.take(self.shared.clock.now(), background, &mut self.taken);
        let mut units = self.taken.units;
        if background {
            units += self.shared.pull_background(self.taken.room, &mut self.taken.payloads);
        }
        self.carried.extend(self.taken.payloads.drain(..));
        units
    }

    /// Decides, in order, until the group is full.
    fn fill(&mut self, snapshot: &Snapshot) {
        self.batch.clear(snapshot.revision);
        let compared = self.carried.iter().any(|pending| !pending.txn.compares.is_empty());
        while let Some(pending) = self.carried.pop_front() {
            let bytes = self.batch.builder.payload_bytes() + encoded_bytes(&pending.txn);
            if bytes > self.limits.group_bytes_max && self.batch.builder.txns() > 0 {
                self.carried.push_front(pending);
                break;
            }
            self.batch.take(snapshot, pending, compared);
        }
    }

    /// Freezes a full table, and waits if both are full.
    pub(super) fn make_room(&self) -> Result<(), Arc<str>> {
        let Limits { table_bytes_max, log_bytes_max, .. } = self.limits;
        loop {
            let snapshot = self.shared.published.latest();
            let active = snapshot.active.bytes();
            let tables = active + snapshot.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
            let log = self.segments.full_bytes();
            let full = tables >= 2 * table_bytes_max || log >= log_bytes_max;
            let short = self.shared.is_short_of_space() && log > 0;
            let freeze = active >= table_bytes_max / 16 * 15 || log >= log_bytes_max / 2 || short;
            let runs = self.shared.checkpoint_runs();
            if !runs && active > 0 && freeze {
                self.freeze();
                return Ok(());
            }
            if !full || !runs {
                return Ok(());
            }
            self.shared.wait_for_checkpoint();
            if let Some(reason) = self.shared.failed() {
                return Err(reason);
            }
        }
    }

    fn freeze(&self) {
        let mut frozen = None;
        self.shared.published.update(|next| {
            let full = core::mem::take(&mut next.active);
            next.frozen = Some(Arc::clone(&full));
            frozen = Some(full);
        });
        if let Some(table) = frozen {
            self.shared.start_checkpoint(table, self.log.position());
        }
    }

    pub(super) fn apply(&self, group: &Group) {
        let active = Arc::clone(&self.shared.published.latest().active);
        apply(group, &active);
        self.shared.published.update(|next| {
            next.revision = group.header.last_revision();
            next.history = group.header.history;
        });
        self.shared.tail.push(group, self.shared.clock.now());
        self.shared.report_debt();
    }

    pub(super) fn committed(&self, units: u32, flush: Duration, work: Duration) {
        let sample = CommitSample { units, flush, work };
        self.shared.gate.committed(self.shared.clock.now(), sample);
    }

    /// The disk failed: nothing of the group is visible, nobody is told that it
    /// is durable, and no further group is written.
    fn refuse_group(&mut self, error: AppendError) {
        let (reason, known) = match error {
            AppendError::NotWritten(reason) => (reason, true),
            AppendError::Unknown(reason) => (reason, false),
        };
        self.shared.fail(Arc::clone(&reason));
        answer(self.batch.accepted.drain(..), |_| {
            let reason = Arc::clone(&reason);
            Err(if known {
                StoreError::Stopped(reason)
            } else {
                StoreError::OutcomeUnknown(reason)
            })
        });
        self.turn_all_away(&reason);
    }

    /// Answers everything that waits, here and at the gate.
    fn turn_all_away(&mut self, reason: &Arc<str>) {
        for pending in self.carried.drain(..) {
            pending.reply.send(Err(StoreError::Stopped(Arc::clone(reason))));
        }
        self.shared.turn_all_away(reason);
    }
}

/// Makes a group part of a table.
pub(crate) fn apply(group: &Group, table: &Table) {
    for op in group.ops() {
        table.insert(op.key, op.revision, op.value);
    }
}

pub(super) fn answer(
    accepted: impl Iterator<Item = (Reply, Revision)>,
    answer: impl Fn(Revision) -> Result<Revision, StoreError>,
) {
    for (reply, revision) in accepted {
        reply.send(answer(revision));
    }
}
