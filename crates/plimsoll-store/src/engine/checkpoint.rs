//! The checkpoint: merges a frozen table into the database file, then lets go of
//! the log before it.

use std::sync::Arc;

use crate::engine::shared::Shared;
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
        while let Some((table, position)) = self.shared.next_checkpoint() {
            if let Err(error) = self.merge(&table, position) {
                self.shared.fail(format!("checkpoint failed: {error}").into());
                return;
            }
            self.shared.checkpoint_done();
            self.bury(table);
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

    /// Frees a table here rather than on a thread that someone waits for.
    fn bury(&self, table: Arc<Table>) {
        drop(table);
    }
}
