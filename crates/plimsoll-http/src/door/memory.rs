//! What a request holds of the memory gate, on its way through its extensions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll::capacity::Held;

/// Bytes that a request holds: its body, and what the service adds to it. Clones share
/// them; they are given back with the last one.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Held>>);

impl Memory {
    pub(super) fn new(held: Held) -> Self {
        Self(Arc::new(Mutex::new(held)))
    }

    /// The bytes, to add some or to give some back.
    pub fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
