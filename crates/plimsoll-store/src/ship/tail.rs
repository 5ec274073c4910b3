//! The last groups that were committed, for whoever ships them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll::Timestamp;
use tokio::sync::watch;

use crate::log::Group;
use crate::ship::shipment::Shipment;
use crate::store::Revision;

/// Kept for readers that are a little behind, in bytes of payload; a reader that is
/// further behind reads the files.
const TAIL_BYTES_MAX: usize = 16 << 20;

/// See the module. Empty as long as nobody reads.
#[derive(Debug)]
pub(crate) struct Tail {
    recent: Mutex<Recent>,
    committed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Recent {
    groups: VecDeque<Shipment>,
    bytes: usize,
}

/// A reader's end of it: while there is one, groups are kept.
#[derive(Debug)]
pub(crate) struct TailReader {
    tail: Arc<Tail>,
    committed: watch::Receiver<()>,
}

impl Tail {
    pub(crate) fn new() -> Arc<Self> {
        let committed = watch::Sender::new(());
        Arc::new(Self { recent: Mutex::default(), committed })
    }

    /// Leaves a group here that is visible by now; [`announce`](Self::announce) says so.
    pub(crate) fn push(&self, group: &Group, now: Timestamp) {
        if self.committed.receiver_count() == 0 {
            return;
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push(Shipment::of(group, Some(now)));
    }

    /// Wakes whoever waits for a group. Apart from leaving it: a thread that is woken may
    /// take the committer's processor at once, and who asked is to be answered before.
    pub(crate) fn announce(&self) {
        if self.committed.receiver_count() > 0 {
            self.committed.send_replace(());
        }
    }

    pub(crate) fn subscribe(self: &Arc<Self>) -> TailReader {
        TailReader { tail: Arc::clone(self), committed: self.committed.subscribe() }
    }
}

impl Recent {
    fn push(&mut self, shipment: Shipment) {
        // What was left behind by readers of former times has a gap after it.
        let follows = self.groups.back().map(|last| last.last_revision() + 1);
        if follows.is_some_and(|next| next != shipment.first_revision) {
            self.groups.clear();
            self.bytes = 0;
        }
        self.bytes += shipment.payload.len();
        self.groups.push_back(shipment);
        while self.bytes > TAIL_BYTES_MAX && self.groups.len() > 1 {
            if let Some(oldest) = self.groups.pop_front() {
                self.bytes -= oldest.payload.len();
            }
        }
    }
}

impl TailReader {
    /// The group that begins with a revision, if it is still here.
    pub(crate) fn get(&self, first_revision: Revision) -> Option<Shipment> {
        let recent = self.tail.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.groups.binary_search_by_key(&first_revision, |group| group.first_revision);
        at.ok().and_then(|at| recent.groups.get(at).cloned())
    }

    /// Ready when something was committed since this was last called.
    pub(crate) async fn changed(&mut self) {
        // The sender lives as long as the tail that this holds.
        let _ = self.committed.changed().await;
    }
}

impl Drop for TailReader {
    fn drop(&mut self) {
        if self.tail.committed.receiver_count() <= 1 {
            let mut recent = self.tail.recent.lock().unwrap_or_else(PoisonError::into_inner);
            *recent = Recent::default();
        }
    }
}
