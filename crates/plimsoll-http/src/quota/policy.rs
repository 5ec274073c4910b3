//! Who has which quota.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use plimsoll::quota::{InvalidLimit, Limit, Window, Windows};

use crate::identity::Client;
use crate::refusal::Face;

/// What a request has to fit.
#[derive(Default)]
pub struct Asked {
    /// Its windows.
    pub windows: Windows,
    /// Whose they are, in the same order.
    pub quotas: Vec<Named>,
    /// The path as the service names it; without one it is the URI's.
    pub path: Option<String>,
    /// Whether answers that are no refusals say what is left, too.
    pub tells: bool,
}

/// A quota, and how it speaks.
#[derive(Clone)]
pub struct Named {
    /// Its name.
    pub name: Arc<str>,
    /// The sentence of its refusals; without one it is Vault's.
    pub message: Option<Cow<'static, str>>,
    /// How its refusals look; without one as the layer's.
    pub face: Option<Arc<dyn Face>>,
}

impl Named {
    /// One that speaks as usual.
    pub const fn new(name: Arc<str>) -> Self {
        Self { name, message: None, face: None }
    }
}

impl core::fmt::Debug for Named {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Named").field(&self.name).finish()
    }
}

impl core::fmt::Debug for Asked {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Asked").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}

impl Asked {
    /// Adds a window. False if a request has too many already.
    pub fn push(&mut self, quota: Named, window: Window) -> bool {
        let pushed = self.windows.push(window);
        if pushed {
            self.quotas.push(quota);
        }
        pushed
    }
}

/// Knows the quotas of one service.
pub trait QuotaPolicy: Send + Sync + 'static {
    /// What a request has to fit, from its headers and what layers in front have
    /// found out; nothing if it has no quota.
    fn ask(&self, parts: &Parts) -> Asked;

    /// A request was refused by the quota with this name.
    fn refused(&self, _parts: &Parts, _quota: &str) {}
}

/// The same quota for each client address, and each /64 of IPv6.
#[derive(Debug)]
pub struct PerClient {
    name: Arc<str>,
    limit: Limit,
    hasher: RandomState,
}

impl PerClient {
    /// `requests_max` in every `interval`.
    ///
    /// # Errors
    /// The quota makes no sense.
    pub fn new(name: &str, requests_max: u32, interval: Duration) -> Result<Self, InvalidLimit> {
        let limit = Limit::new(requests_max, interval)?;
        Ok(Self { name: name.into(), limit, hasher: RandomState::new() })
    }
}

impl QuotaPolicy for PerClient {
    fn ask(&self, parts: &Parts) -> Asked {
        let key = self.hasher.hash_one(Client::of(&parts.extensions).network());
        let mut asked = Asked { tells: true, ..Asked::default() };
        asked.push(Named::new(Arc::clone(&self.name)), Window { key, cost: 1, limit: self.limit });
        asked
    }
}
