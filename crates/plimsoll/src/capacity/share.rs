//! What one of many may hold of a gate.

use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering};

/// Units held by one connection, or whoever else is to leave room for others.
/// Clones are the same share.
///
/// It is looked at and taken from in two steps: requests of one connection that arrive
/// in the same instant may exceed it by what one of them holds.
#[derive(Clone, Debug, Default)]
pub struct Share(Arc<AtomicU64>);

impl Share {
    /// Units held now.
    pub fn held(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, units: u64) {
        self.0.fetch_add(units, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, units: u64) {
        self.0.fetch_sub(units, Ordering::Relaxed);
    }
}
