//! The layer and the service it makes.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::idempotency::key::{IdempotencyKey, Replayed};
use crate::refusal::{Face, IdempotencyError, respond};

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Headers in which credentials come.
const CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("x-vault-token")];

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Requests with a key that are under way: no more than there are connections.
#[derive(Debug, Default)]
struct Passing {
    hasher: [RandomState; 2],
    keys: Mutex<HashSet<(u64, u64)>>,
}

/// One of them; it ends when this is dropped.
#[derive(Debug)]
struct Pass {
    passing: Arc<Passing>,
    key: (u64, u64),
}

impl Passing {
    fn enter(self: &Arc<Self>, headers: &HeaderMap, key: &IdempotencyKey) -> Option<Pass> {
        let credentials = CREDENTIALS.map(|name| headers.get(name).map(HeaderValue::as_bytes));
        let [first, second] = &self.hasher;
        let key = (first.hash_one((credentials, key)), second.hash_one((credentials, key)));
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key).then(|| Pass { passing: Arc::clone(self), key })
    }
}

impl Drop for Pass {
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

    /// The key, and the right to be the only one with it.
    fn enter<B>(
        &self,
        request: &Request<B>,
    ) -> Result<Option<(IdempotencyKey, Pass)>, IdempotencyError> {
        let (method, headers) = (request.method(), request.headers());
        if ![Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method) {
            return Ok(None);
        }
        let Some(key) = IdempotencyKey::find(headers)? else { return Ok(None) };
        let pass = self.passing.enter(headers, &key).ok_or(IdempotencyError::InProgress)?;
        Ok(Some((key, pass)))
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
        Idempotency { inner, layer: self.clone() }
    }
}

/// A service that is told about keys.
#[derive(Clone, Debug)]
pub struct Idempotency<S> {
    inner: S,
    layer: IdempotencyLayer,
}

impl<S, B, R> Service<Request<B>> for Idempotency<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body,
    R: From<Bytes> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.layer.enter(&request) {
            Ok(None) => Box::pin(self.inner.call(request)),
            Ok(Some((key, pass))) => {
                request.extensions_mut().insert(key);
                let called = self.inner.call(request);
                Box::pin(async move {
                    let mut response = called.await?;
                    drop(pass);
                    if response.extensions().get::<Replayed>().is_some() {
                        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                    }
                    Ok(response)
                })
            }
            Err(error) => {
                let unread = !request.body().is_end_stream();
                let response = respond(&*self.layer.face, request.headers(), error, unread);
                Box::pin(core::future::ready(Ok(response)))
            }
        }
    }
}
