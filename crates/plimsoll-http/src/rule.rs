//! What the layers that decide on a request's headers have in common.
//!
//! Each is a [`Rule`]: it lets a request pass or answers in the service's place, and
//! what it let pass it may have to [`Settle`] when the answer is there.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::Unread;

/// Decides on a request's headers.
pub trait Rule {
    /// What is left to do for a request that passed.
    type Passed: Settle;

    /// Lets a request pass, or answers it; `unread` is what is left of its body then.
    ///
    /// # Errors
    /// The answer to a request that does not pass.
    fn admit<R: From<Bytes>>(
        &self,
        parts: &mut Parts,
        unread: Unread,
    ) -> Result<Self::Passed, Response<R>>;
}

/// What is done when the service has answered, if it ever does.
pub trait Settle: Sized {
    /// The answer as the client gets it.
    fn settle<R: From<Bytes>, E>(self, answer: Result<Response<R>, E>) -> Result<Response<R>, E>;
}

impl Settle for () {
    fn settle<R, E>(self, answer: Result<Response<R>, E>) -> Result<Response<R>, E> {
        answer
    }
}

impl<P: Settle> Settle for Option<P> {
    fn settle<R: From<Bytes>, E>(self, answer: Result<Response<R>, E>) -> Result<Response<R>, E> {
        match self {
            Some(passed) => passed.settle(answer),
            None => answer,
        }
    }
}

/// A service behind a rule.
#[derive(Debug)]
pub struct Ruled<S, L> {
    inner: S,
    rule: Arc<L>,
}

impl<S, L: Clone> Ruled<S, L> {
    pub(crate) fn new(inner: S, rule: &L) -> Self {
        Self { inner, rule: Arc::new(rule.clone()) }
    }
}

impl<S: Clone, L> Clone for Ruled<S, L> {
    /// For every request: the rule is shared.
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), rule: Arc::clone(&self.rule) }
    }
}

impl<S, L, B, R> Service<Request<B>> for Ruled<S, L>
where
    S: Service<Request<B>, Response = Response<R>>,
    L: Rule,
    B: Body,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<S::Future, L::Passed, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, rule } = self;
        judged(&**rule, request, |request| inner.call(request))
    }
}

/// Through a reference, if the service behind the rule can be called through one: whoever
/// serves many requests at once needs no clone for each.
impl<'s, S, L, B, R> Service<Request<B>> for &'s Ruled<S, L>
where
    &'s S: Service<Request<B>, Response = Response<R>>,
    L: Rule,
    B: Body,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = <&'s S as Service<Request<B>>>::Error;
    type Future = Answer<<&'s S as Service<Request<B>>>::Future, L::Passed, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let mut inner: &'s S = &self.inner;
        inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut inner: &'s S = &self.inner;
        judged(&*self.rule, request, |request| inner.call(request))
    }
}

fn judged<L: Rule, B: Body, R: From<Bytes>, F>(
    rule: &L,
    request: Request<B>,
    call: impl FnOnce(Request<B>) -> F,
) -> Answer<F, L::Passed, R> {
    let (mut parts, body) = request.into_parts();
    match rule.admit(&mut parts, Unread::of(&body)) {
        Ok(passed) => Answer::awaited(call(Request::from_parts(parts, body)), passed),
        Err(response) => Answer::refused(response),
    }
}

pin_project! {
    /// The service's own answer, or a refusal in its place.
    #[derive(Debug)]
    pub struct Answer<F, P, R> {
        #[pin]
        state: State<F, P, R>,
    }
}

pin_project! {
    #[project = StateProjected]
    #[derive(Debug)]
    enum State<F, P, R> {
        Awaited {
            #[pin]
            future: F,
            passed: Option<P>,
        },
        Refused {
            refusal: Option<Response<R>>,
        },
    }
}

impl<F, P, R> Answer<F, P, R> {
    /// The service was called.
    pub(crate) const fn awaited(future: F, passed: P) -> Self {
        Self { state: State::Awaited { future, passed: Some(passed) } }
    }

    /// It was not.
    pub(crate) const fn refused(response: Response<R>) -> Self {
        Self { state: State::Refused { refusal: Some(response) } }
    }
}

impl<F, P, R, E> Future for Answer<F, P, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    P: Settle,
    R: From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProjected::Awaited { future, passed } => {
                let output = ready!(future.poll(context));
                Poll::Ready(passed.take().settle(output))
            }
            StateProjected::Refused { refusal } => match refusal.take() {
                Some(refusal) => Poll::Ready(Ok(refusal)),
                // Polled again after completion, against the contract of `Future`.
                None => Poll::Pending,
            },
        }
    }
}
