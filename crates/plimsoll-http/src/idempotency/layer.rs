//! The layer and the service it makes.

use core::fmt;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use tower_layer::Layer;

use crate::body::Unread;
use crate::idempotency::key::{IdempotencyKey, Replayed};
use crate::identity::CREDENTIALS;
use crate::refusal::{Face, IdempotencyError, respond};
use crate::rule::{Rule, Ruled, Settle};

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Requests with a key that are under way: no more than there are connections.
#[derive(Debug, Default)]
struct Passing {
    hasher: [RandomState; 2],
    keys: Mutex<HashSet<(u64, u64)>>,
}

/// One of them; it ends when this is dropped.
#[derive(Debug)]
pub struct UnderWay {
    passing: Arc<Passing>,
    key: (u64, u64),
}

impl Passing {
    fn enter(self: &Arc<Self>, headers: &HeaderMap, key: &IdempotencyKey) -> Option<UnderWay> {
        let credentials = CREDENTIALS.map(|name| headers.get(name).map(HeaderValue::as_bytes));
        let [first, second] = &self.hasher;
        let key = (first.hash_one((credentials, key)), second.hash_one((credentials, key)));
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key).then(|| UnderWay { passing: Arc::clone(self), key })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut keys = self.passing.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&self.key);
    }
}

/// Reads `Idempotency-Key`.
#[derive(Clone)]
pub struct IdempotencyLayer {
    passing: Arc<Passing>,
    face: Arc<dyn Face>,
}

impl IdempotencyLayer {
    /// Refuses with this face.
    pub fn new(face: Arc<dyn Face>) -> Self {
        Self { passing: Arc::default(), face }
    }

    /// Tells the service the key, of which this is then the only request.
    fn enter(&self, parts: &mut Parts) -> Result<Option<UnderWay>, IdempotencyError> {
        if ![Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&parts.method) {
            return Ok(None);
        }
        let Some(key) = IdempotencyKey::find(&parts.headers)? else { return Ok(None) };
        let entered = self.passing.enter(&parts.headers, &key);
        let entered = entered.ok_or(IdempotencyError::InProgress)?;
        parts.extensions.insert(key);
        Ok(Some(entered))
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Idempotency<S> {
        Ruled::new(inner, self)
    }
}

/// A service that is told about keys.
pub type Idempotency<S> = Ruled<S, IdempotencyLayer>;

impl Rule for IdempotencyLayer {
    type Passed = Option<UnderWay>;

    fn admit<R: From<Bytes>>(
        &self,
        parts: &mut Parts,
        unread: Unread,
    ) -> Result<Option<UnderWay>, Response<R>> {
        self.enter(parts).map_err(|error| {
            respond(&*self.face, &parts.headers, error, unread.must_close(&parts.headers))
        })
    }
}

impl Settle for UnderWay {
    fn settle<R, E>(self, mut answer: Result<Response<R>, E>) -> Result<Response<R>, E> {
        if let Ok(response) = &mut answer
            && response.extensions().get::<Replayed>().is_some()
        {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        answer
    }
}
