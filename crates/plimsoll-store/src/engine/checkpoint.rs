//! The checkpoint: merges a frozen table into the database file, then lets go of
//! the log before it.

use std::sync::Arc;

use crate::engine::shared::{Next, Shared};
use crate::log::{Position, Segments};
use crate::state::{BaseError, Database, Table};

/// See the module.
pub(crate) struct Checkpoint {
    pub(crate) shared: Arc<Shared>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) database: Database,
}

impl Checkpoint {
    /// Merges every table it is given, until the committer has ended.
    pub(crate) fn run(self) {
        let mut graveyard = Vec::new();
        loop {
            // Freed here rather than on a thread that someone waits for.
            graveyard.retain(|table| Arc::strong_count(table) > 1);
            let (table, position) = match self.shared.next_checkpoint(!graveyard.is_empty()) {
                Next::Table(table, position) => (table, position),
                Next::Look => continue,
                Next::Closed => return,
            };
            if let Err(error) = self.merge(&table, position) {
                self.shared.fail(format!("checkpoint failed: {error}").into());
                return;
            }
            self.shared.checkpoint_done();
            graveyard.push(table);
        }
    }

    fn merge(&self, table: &Table, position: Position) -> Result<(), BaseError> {
        let bytes = table.bytes();
        let mut told = 0;
        self.database.merge(table, position, &mut |done| {
            self.shared.drained(bytes.saturating_sub(done), done - told);
            told = done;
        })?;
        self.shared.drained(0, bytes.saturating_sub(told));
        let base = Arc::new(self.database.base()?);
        self.shared.published.update(|next| {
            next.frozen = None;
            next.base = base;
        });
        self.segments.release(position.sequence);
        Ok(())
    }
}
