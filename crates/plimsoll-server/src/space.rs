//! Looks at the free space of the disk, a few times a second.
//!
//! On a thread of its own: a disk that hangs may keep whoever asks it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use plimsoll::headroom::HeadroomGate;

use crate::stack::Stacks;

/// Between two looks. What a fast disk takes in that time is a small part of the
/// floor.
const PERIOD: Duration = Duration::from_millis(200);

/// What is looked at, and who is told.
pub(crate) struct Space {
    pub(crate) directory: PathBuf,
    pub(crate) gate: Arc<HeadroomGate>,
    pub(crate) stacks: Arc<Stacks>,
}

impl Space {
    /// Looks until `stop` is dropped.
    pub(crate) fn watch(&self, stop: &Receiver<()>) {
        let mut was_short = false;
        while stop.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            self.look();
            let short = self.gate.is_short();
            if short != was_short {
                // A short disk has its log made free again as soon as there is any.
                self.stacks.current().store.conserve_space(short);
                tracing::warn!(short, directory = %self.directory.display(), "free space");
            }
            was_short = short;
        }
    }

    /// One look. A disk that cannot be asked keeps the answer it gave before.
    pub(crate) fn look(&self) {
        match rustix::fs::statvfs(&self.directory) {
            // What is kept for the superuser is not for a server to count on.
            Ok(disk) => self.gate.report(
                disk.f_bavail.saturating_mul(disk.f_frsize),
                disk.f_blocks.saturating_mul(disk.f_frsize),
            ),
            Err(error) => {
                let directory = self.directory.display();
                tracing::warn!(%directory, %error, "cannot tell how much space is free");
            }
        }
    }
}
