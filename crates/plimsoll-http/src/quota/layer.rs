//! The layer and the service it makes.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::Timestamp;
use plimsoll::quota::{InvalidLimit, QuotaTable};
use tower_layer::Layer;

use crate::quota::policy::{PerClient, QuotaPolicy};
use crate::refusal::{Face, ProblemFace};
use crate::rule::Ruled;

/// Clients that are kept apart: see [`QuotaTable`].
const CLIENTS_MAX: usize = 1_000_000;

/// What every request shares.
pub(super) struct Shared {
    pub(super) table: Arc<QuotaTable>,
    pub(super) policy: Arc<dyn QuotaPolicy>,
    pub(super) face: Arc<dyn Face>,
    pub(super) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Charges every request to the quotas that it has to fit.
#[derive(Clone)]
pub struct QuotaLayer(pub(super) Arc<Shared>);

impl QuotaLayer {
    /// Quotas as `policy` has them, counted in `table` by `clock`.
    pub fn new(
        table: Arc<QuotaTable>,
        policy: Arc<dyn QuotaPolicy>,
        face: Arc<dyn Face>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self(Arc::new(Shared { table, policy, face, clock }))
    }

    /// The same quota for each client, and problem details for who exceeds it.
    ///
    /// # Errors
    /// The quota makes no sense.
    pub fn per_client(
        name: &str,
        requests_max: u32,
        interval: Duration,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Self, InvalidLimit> {
        let policy = PerClient::new(name, requests_max, interval)?;
        let table = Arc::new(QuotaTable::new(CLIENTS_MAX));
        let face = Arc::new(ProblemFace::default());
        Ok(Self::new(table, Arc::new(policy), face, Arc::new(clock)))
    }
}

impl fmt::Debug for QuotaLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for QuotaLayer {
    type Service = Quota<S>;

    fn layer(&self, inner: S) -> Quota<S> {
        Ruled::new(inner, self)
    }
}

/// A service behind quotas.
pub type Quota<S> = Ruled<S, QuotaLayer>;
