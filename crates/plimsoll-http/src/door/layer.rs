//! The layer and the service it makes.

use core::fmt;
use std::sync::Arc;

use plimsoll::Timestamp;
use tokio::sync::Semaphore;
use tower_layer::Layer;

use crate::body::BodyLimits;
use crate::door::gates::Gates;
use crate::door::route::Classify;
use crate::refusal::Face;

/// Administrative requests of unknown callers that are under way at once.
const ADMINISTRATION_MAX: usize = 16;

/// What every request through one door shares.
pub(super) struct Shared {
    pub(super) gates: Gates,
    pub(super) classify: Arc<dyn Classify>,
    pub(super) face: Arc<dyn Face>,
    pub(super) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub(super) limits: BodyLimits,
    pub(super) administration: Arc<Semaphore>,
}

/// Puts a [`Door`] in front of a service.
#[derive(Clone)]
pub struct DoorLayer(Arc<Shared>);

impl DoorLayer {
    /// A door to `gates`. Time is `clock`'s, which must be the clock by which the
    /// write gate's commits are reported.
    pub fn new(
        gates: impl Into<Gates>,
        classify: Arc<dyn Classify>,
        face: Arc<dyn Face>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        limits: BodyLimits,
    ) -> Self {
        let administration = Arc::new(Semaphore::new(ADMINISTRATION_MAX));
        let gates = gates.into();
        Self(Arc::new(Shared { gates, classify, face, clock, limits, administration }))
    }
}

impl fmt::Debug for DoorLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorLayer").field("gates", &self.0.gates).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for DoorLayer {
    type Service = Door<S>;

    fn layer(&self, inner: S) -> Door<S> {
        Door { inner, shared: Arc::clone(&self.0) }
    }
}

/// A service behind a door.
#[derive(Clone)]
pub struct Door<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
}

impl<S: fmt::Debug> fmt::Debug for Door<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("inner", &self.inner).finish_non_exhaustive()
    }
}
