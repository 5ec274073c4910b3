//! The checkpoint: merges a frozen table into the database file, then lets go of
//! the log before it.

use core::time::Duration;
use std::sync::Arc;

use plimsoll::Timestamp;

use crate::engine::shared::{Next, Shared};
use crate::log::{Position, Segments};
use crate::state::{Base, BaseError, Database, Table};

/// The checkpoint gives way to those who answer clients: a commit that waits for a
/// processor holds up everybody, a checkpoint that waits nobody until the debt gate says
/// so.
const NICENESS: i32 = 5;

/// A view may be read for this long after a checkpoint has overtaken it.
const VIEW_AGE_MAX: Duration = Duration::from_secs(10);

/// What the commit at the end of a merge takes of its time, until it is measured.
const COMMIT_SHARE: f64 = 0.3;

/// See the module.
pub(crate) struct Checkpoint {
    pub(crate) shared: Arc<Shared>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) database: Database,
}

impl Checkpoint {
    /// Merges every table it is given, until the committer has ended.
    pub(crate) fn run(mut self) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::warn!(%error, "the checkpoint runs at everybody's priority");
        }
        let mut share = COMMIT_SHARE;
        let mut graveyard = Graveyard::default();
        loop {
            graveyard.sweep(self.shared.clock.now());
            let (table, position) = match self.shared.next_checkpoint(!graveyard.is_empty()) {
                Next::Table(table, position) => (table, position),
                Next::Look => continue,
                Next::Closed => return,
            };
            match self.merge(&table, position, &mut share) {
                Ok(base) => graveyard.bases.push((base, self.shared.clock.now())),
                Err(error) => {
                    return self.shared.fail(format!("checkpoint failed: {error}").into());
                }
            }
            self.shared.checkpoint_done();
            graveyard.tables.push(table);
        }
    }

    /// Returns the base that is now of the past.
    ///
    /// `share` is the part of the time that the commit at the end took so far. As
    /// much of the table counts as not drained until it is over, or the debt would
    /// look small when nothing moves.
    fn merge(
        &mut self,
        table: &Table,
        position: Position,
        share: &mut f64,
    ) -> Result<Arc<Base>, BaseError> {
        let clock = self.shared.clock;
        let started = clock.now();
        let mut inserted = started;
        let bytes = table.bytes();
        let mut told = 0;
        self.database.merge(table, position, &mut |done| {
            let done = (done as f64 * (1.0 - *share)) as u64;
            self.shared.drained(bytes.saturating_sub(done), done - told);
            told = done;
            inserted = clock.now();
        })?;
        self.shared.drained(0, bytes.saturating_sub(told));
        let mut base = Arc::new(self.database.base()?);
        self.shared.published.update(|next| {
            next.frozen = None;
            core::mem::swap(&mut next.base, &mut base);
        });
        self.segments.release(position.sequence);
        let (took, committing) = (clock.now() - started, clock.now() - inserted);
        let part = committing.as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
        *share = (*share + part) / 2.0;
        tracing::debug!(bytes, ?took, ?committing, "checkpoint");
        Ok(base)
    }
}

/// What readers may still hold.
#[derive(Default)]
struct Graveyard {
    tables: Vec<Arc<Table>>,
    /// With the time at which each was replaced.
    bases: Vec<(Arc<Base>, Timestamp)>,
}

impl Graveyard {
    /// Frees tables that nobody reads any more, here rather than on a thread that
    /// someone waits for, and closes bases that are too old.
    fn sweep(&mut self, now: Timestamp) {
        self.tables.retain(|table| Arc::strong_count(table) > 1);
        self.bases.retain(|(base, replaced)| {
            let keep = now - *replaced < VIEW_AGE_MAX && Arc::strong_count(base) > 1;
            if !keep {
                base.close();
            }
            keep
        });
    }

    const fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.bases.is_empty()
    }
}
