//! The service as one connection sees it: with the peer's address, and counted.

use std::{
    cell::RefCell,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use http::{Method, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::vitals::Vitals;
use crate::Place;

/// The address of the client's end of the connection, in every request's extensions.
///
/// An IPv4 client of an IPv6 socket appears as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

#[derive(Debug)]
pub(super) struct ConnectionService<S> {
    /// One for all requests of the connection: to clone it for each would count
    /// references that all connections share.
    inner: RefCell<S>,
    peer: PeerAddr,
    place: Place,
    vitals: Arc<Vitals>,
}

impl<S> ConnectionService<S> {
    pub(super) fn new(inner: S, peer: SocketAddr, place: Place, vitals: Arc<Vitals>) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self { inner: RefCell::new(inner), peer: PeerAddr(peer), place, vitals }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for ConnectionService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
    B: Body,
{
    type Response = Response<Counted<B>>;
    type Error = S::Error;
    type Future = Answer<S>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.place.clone());
        let in_flight = Some(InFlight::begin(&self.vitals, &request));
        let mut service = self.inner.borrow_mut();
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Answer::Called { future: service.call(request), in_flight },
            // A clone waits until it is, or fails likewise.
            Poll::Pending | Poll::Ready(Err(_)) => {
                Answer::Waiting { service: service.clone(), request: Some(request), in_flight }
            }
        }
    }
}

/// A request on its way, until its response body has been sent or dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    vitals: Arc<Vitals>,
    is_http_10: bool,
}

impl InFlight {
    fn begin(vitals: &Arc<Vitals>, request: &Request<Incoming>) -> Self {
        vitals.request_begins(!request.body().is_end_stream());
        // The answer to HEAD ends with its head, whatever body it would have.
        let is_http_10 = request.version() == Version::HTTP_10 && request.method() != Method::HEAD;
        if is_http_10 {
            vitals.set_owes_http_10(true);
        }
        Self { vitals: Arc::clone(vitals), is_http_10 }
    }

    /// The last byte of the answer has been asked for.
    fn answer_ended(&self) {
        if self.is_http_10 {
            self.vitals.set_owes_http_10(false);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.vitals.request_ends();
    }
}

pin_project! {
    /// Waits until the service is ready, then for its answer.
    #[project = AnswerProj]
    #[project_replace = AnswerReplaced]
    #[derive(Debug)]
    pub(super) enum Answer<S: Service<Request<Incoming>>> {
        Waiting {
            service: S,
            request: Option<Request<Incoming>>,
            in_flight: Option<InFlight>,
        },
        Called {
            #[pin]
            future: S::Future,
            in_flight: Option<InFlight>,
        },
        Done,
    }
}

impl<S, B> Future for Answer<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    B: Body,
{
    type Output = Result<Response<Counted<B>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                AnswerProj::Waiting { service, request, in_flight } => {
                    ready!(service.poll_ready(cx))?;
                    // Present until the state changes, which is right here.
                    let Some(request) = request.take() else { return Poll::Pending };
                    let future = service.call(request);
                    let in_flight = in_flight.take();
                    self.as_mut().project_replace(Self::Called { future, in_flight });
                }
                AnswerProj::Called { future, in_flight } => {
                    let response = ready!(future.poll(cx))?;
                    let in_flight = in_flight.take();
                    self.as_mut().project_replace(Self::Done);
                    if let Some(in_flight) = &in_flight
                        && response.body().is_end_stream()
                    {
                        in_flight.answer_ended();
                    }
                    return Poll::Ready(Ok(response.map(|body| Counted { body, in_flight })));
                }
                // Polled after completion, against the contract of `Future`.
                AnswerProj::Done => return Poll::Pending,
            }
        }
    }
}

pin_project! {
    /// A response body that keeps its request in flight.
    #[derive(Debug)]
    pub(super) struct Counted<B> {
        #[pin]
        body: B,
        in_flight: Option<InFlight>,
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        if let Some(in_flight) = this.in_flight
            && !matches!(frame, Some(Err(_)))
            && (frame.is_none() || this.body.is_end_stream())
        {
            in_flight.answer_ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
