//! The layer and the service it makes.

use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::Answer;
use crate::body::{BodyLimits, check_size};
use crate::limits::body::{Exceeded, LimitedBody};
use crate::limits::headers::HeaderLimits;
use crate::refusal::{Face, ProblemFace, Refusal, respond};

/// Limits the headers and the body of every request.
#[derive(Clone)]
pub struct LimitsLayer {
    body: BodyLimits,
    headers: HeaderLimits,
    face: Arc<dyn Face>,
}

impl LimitsLayer {
    /// These limits for the body, the default ones for the headers.
    pub fn new(body: BodyLimits) -> Self {
        let face = Arc::new(ProblemFace::default());
        Self { body, headers: HeaderLimits::default(), face }
    }

    /// Other limits for the headers.
    #[must_use]
    pub fn with_header_limits(self, headers: HeaderLimits) -> Self {
        Self { headers, ..self }
    }

    /// Refuses with this face.
    #[must_use]
    pub fn with_face(self, face: Arc<dyn Face>) -> Self {
        Self { face, ..self }
    }

    /// What the headers decide.
    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.headers.check(headers)?;
        let length =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(check_size(length.unwrap_or(0), self.body)?)
    }
}

impl fmt::Debug for LimitsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LimitsLayer");
        debug.field("body", &self.body).field("headers", &self.headers).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limits<S>;

    fn layer(&self, inner: S) -> Limits<S> {
        Limits { inner, layer: self.clone() }
    }
}

/// A service whose requests are within limits.
#[derive(Clone, Debug)]
pub struct Limits<S> {
    inner: S,
    layer: LimitsLayer,
}

impl<S, B, R> Service<Request<B>> for Limits<S>
where
    S: Service<Request<LimitedBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<LimitsFuture<S::Future>, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, layer } = self;
        if let Err(refusal) = layer.check(request.headers()) {
            let unread = !request.body().is_end_stream();
            return Answer::refused(respond(&*layer.face, request.headers(), refusal, unread));
        }
        let exceeded = Exceeded::default();
        let headers = request.headers().clone();
        let request = request.map(|body| LimitedBody::new(body, layer.body, Arc::clone(&exceeded)));
        let (future, face) = (inner.call(request), Arc::clone(&layer.face));
        Answer::called(LimitsFuture { future, exceeded, headers, face })
    }
}

pin_project! {
    /// Replaces what the service says of a body that was cut off.
    pub struct LimitsFuture<F> {
        #[pin]
        future: F,
        exceeded: Exceeded,
        headers: HeaderMap,
        face: Arc<dyn Face>,
    }
}

impl<F> fmt::Debug for LimitsFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitsFuture").field("exceeded", &self.exceeded).finish_non_exhaustive()
    }
}

impl<F, R, E> Future for LimitsFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.future.poll(context));
        Poll::Ready(match this.exceeded.get() {
            Some(error) => Ok(respond(&**this.face, this.headers, *error, true)),
            None => output,
        })
    }
}
