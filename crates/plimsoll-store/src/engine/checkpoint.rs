//! The checkpoint: merges a frozen table into the database file, then lets go of
//! the log before it.

use core::time::Duration;
use std::sync::Arc;

use plimsoll::Timestamp;

use crate::engine::shared::{Next, Shared};
use crate::log::{Position, Segments};
use crate::state::{Base, BaseError, Database, Table};

/// A view may be read for this long after a checkpoint has overtaken it.
const VIEW_AGE_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Checkpoint {
    pub(crate) shared: Arc<Shared>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) database: Database,
}

impl Checkpoint {
    /// Merges every table it is given, until the committer has ended.
    pub(crate) fn run(self) {
        let mut graveyard = Graveyard::default();
        loop {
            graveyard.sweep(self.shared.clock.now());
            let (table, position) = match self.shared.next_checkpoint(!graveyard.is_empty()) {
                Next::Table(table, position) => (table, position),
                Next::Look => continue,
                Next::Closed => return,
            };
            match self.merge(&table, position) {
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
    fn merge(&self, table: &Table, position: Position) -> Result<Arc<Base>, BaseError> {
        let started = self.shared.clock.now();
        let bytes = table.bytes();
        let mut told = 0;
        self.database.merge(table, position, &mut |done| {
            self.shared.drained(bytes.saturating_sub(done), done - told);
            told = done;
        })?;
        self.shared.drained(0, bytes.saturating_sub(told));
        let mut base = Arc::new(self.database.base()?);
        self.shared.published.update(|next| {
            next.frozen = None;
            core::mem::swap(&mut next.base, &mut base);
        });
        self.segments.release(position.sequence);
        let took = self.shared.clock.now() - started;
        tracing::debug!(bytes, ?took, "checkpoint");
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
