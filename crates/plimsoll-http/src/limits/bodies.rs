//! The layer and the service it makes.

use core::error::Error;
use core::fmt;
use core::task::{Context, Poll};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::{BodyLimits, announced_size, check_size};
use crate::limits::body::{Exceeded, LimitedBody};
use crate::refusal::{Face, ProblemFace, respond};
use crate::rule::{Answer, Settle};

/// Limits the body of every request.
#[derive(Clone)]
pub struct BodyLimitsLayer {
    limits: BodyLimits,
    face: Arc<dyn Face>,
}

impl BodyLimitsLayer {
    /// These limits.
    pub fn new(limits: BodyLimits) -> Self {
        Self { limits, face: Arc::new(ProblemFace::default()) }
    }

    /// Refuses with this face.
    #[must_use]
    pub fn with_face(self, face: Arc<dyn Face>) -> Self {
        Self { face, ..self }
    }
}

impl fmt::Debug for BodyLimitsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyLimitsLayer").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for BodyLimitsLayer {
    type Service = LimitedBodies<S>;

    fn layer(&self, inner: S) -> LimitedBodies<S> {
        LimitedBodies { inner, layer: self.clone() }
    }
}

/// A service whose bodies are within limits.
#[derive(Clone, Debug)]
pub struct LimitedBodies<S> {
    inner: S,
    layer: BodyLimitsLayer,
}

impl<S, B, R> Service<Request<B>> for LimitedBodies<S>
where
    S: Service<Request<LimitedBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<S::Future, Watched, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, layer } = self;
        let announced_bytes = announced_size(request.headers()).unwrap_or(0);
        if let Err(error) = check_size(announced_bytes, layer.limits) {
            return Answer::refused(respond(&*layer.face, request.headers(), error, true));
        }
        let exceeded = Exceeded::default();
        let watched = Watched {
            exceeded: Arc::clone(&exceeded),
            headers: request.headers().clone(),
            face: Arc::clone(&layer.face),
        };
        let request = request.map(|body| LimitedBody::new(body, layer.limits, exceeded));
        Answer::awaited(inner.call(request), watched)
    }
}

/// Replaces what the service says of a body that was cut off.
pub struct Watched {
    exceeded: Exceeded,
    headers: HeaderMap,
    face: Arc<dyn Face>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("exceeded", &self.exceeded).finish_non_exhaustive()
    }
}

impl Settle for Watched {
    fn settle<R: From<Bytes>, E>(self, answer: Result<Response<R>, E>) -> Result<Response<R>, E> {
        match self.exceeded.get() {
            Some(error) => Ok(respond(&*self.face, &self.headers, *error, true)),
            None => answer,
        }
    }
}
