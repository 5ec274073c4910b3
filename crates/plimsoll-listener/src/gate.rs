//! A handle that stops a listener from accepting.

use std::sync::Arc;

use tokio::sync::watch;

/// Pauses and resumes accepting, from anywhere.
///
/// While paused, new connections are completed by the kernel and wait in its
/// backlog; open connections go on. Clones act on the same listener. The gate
/// is open at first.
#[derive(Clone, Debug)]
pub struct AcceptGate {
    open: Arc<watch::Sender<bool>>,
}

impl AcceptGate {
    pub(crate) fn new() -> Self {
        Self { open: Arc::new(watch::Sender::new(true)) }
    }

    /// Stops accepting; does nothing when already paused.
    pub fn pause(&self) {
        self.set(false);
    }

    /// Accepts again; does nothing when not paused.
    pub fn resume(&self) {
        self.set(true);
    }

    /// Whether accepting is paused.
    pub fn is_paused(&self) -> bool {
        !*self.open.borrow()
    }

    fn set(&self, open: bool) {
        self.open.send_if_modified(|now| std::mem::replace(now, open) != open);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }
}
