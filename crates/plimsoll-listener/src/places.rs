//! Places for connections, and who gives them out.

use std::{any::Any, fmt, sync::Arc};

use tokio::sync::Semaphore;

/// Who decides whether one more connection is served.
pub trait Places: fmt::Debug + Send + Sync {
    /// A place for one more, or none at present: the connection then waits, and it is
    /// asked again when another one closes, and once a second.
    fn take(&self) -> Option<Place>;
}

/// The place of a connection, in the extensions of each of its requests. It is given
/// back when the last clone is dropped.
#[derive(Clone)]
pub struct Place(Arc<dyn Any + Send + Sync>);

impl Place {
    /// A place that is whatever `held` holds.
    pub fn holding<T: Any + Send + Sync>(held: T) -> Self {
        Self(Arc::new(held))
    }

    /// What it holds, for whoever put it there.
    pub fn held<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

/// So many at a time: what a listener of its own has.
#[derive(Debug)]
pub(crate) struct Limit(Arc<Semaphore>);

impl Limit {
    pub(crate) fn new(connections_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections_max)))
    }
}

impl Places for Limit {
    fn take(&self) -> Option<Place> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Place::holding)
    }
}
