//! The place on its way through a request's extensions.

use std::sync::{Arc, Mutex, PoisonError};

use plimsoll::write::Place;

/// An admitted request's place. Extensions must be clonable, a place must not be:
/// the clones share one, and the first to take it has it.
#[derive(Clone, Debug)]
pub struct Ticket(Arc<Mutex<Option<Place>>>);

impl Ticket {
    pub(super) fn new(place: Place) -> Self {
        Self(Arc::new(Mutex::new(Some(place))))
    }

    /// The place, once.
    pub fn take(&self) -> Option<Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
