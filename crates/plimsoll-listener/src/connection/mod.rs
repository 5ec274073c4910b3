//! One connection, from the accepted socket to its close.
//!
//! Three things run in one task: hyper's connection, one timer that compares
//! counters ([`patience`]), and the wish to shut down. The counters ([`Vitals`])
//! are written by the socket wrapper ([`io`]) and by the service wrapper
//! ([`service`]); that costs a request a few uncontended atomics and no timer,
//! where a timer per request would cost an allocation and a lock.

mod io;
mod patience;
mod service;
mod stream;
mod vitals;

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use self::{
    io::Lingering,
    patience::{Patience, Verdict},
    service::ConnectionService,
    stream::Stream,
    vitals::Vitals,
};
use crate::{Limits, Place, TlsReloader, stats::Counters};

pub use self::service::PeerAddr;

/// Header fields of a request that hyper takes by itself.
const HYPER_HEADERS_MAX: usize = 100;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) http: Builder<TokioExecutor>,
    pub(crate) tls: Option<TlsReloader>,
    pub(crate) counters: Arc<Counters>,
    /// Finish what is running and close.
    pub(crate) drain: CancellationToken,
    /// The drain limit is over: close now.
    pub(crate) abort: CancellationToken,
}

/// The HTTP engine with every limit that it can keep by itself.
pub(crate) fn http_builder(limits: &Limits) -> Builder<TokioExecutor> {
    let ping = Duration::from_millis(limits.h2_ping_ms);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Its own timeout cannot tell a slow head from an idle connection and
        // allocates a timer per request; `patience` takes its place.
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes_max);
    if limits.headers_max != HYPER_HEADERS_MAX {
        // Any number given costs every request two allocations.
        builder.http1().max_headers(limits.headers_max);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(ping)
        .keep_alive_timeout(ping);
    builder
}

/// Serves a connection until it closes, is cut off, or is drained.
pub(crate) async fn serve<S, B>(
    shared: &Shared,
    socket: TcpStream,
    peer: SocketAddr,
    place: Place,
    service: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    // Answers are written whole; waiting to coalesce them only adds latency. It
    // fails only on a socket that is dead, and that shows at the first read.
    let _ = socket.set_nodelay(true);
    if let Some(stream) = handshake(shared, socket, peer).await {
        drive(shared, stream, peer, place, service).await;
    }
}

/// The stream to speak HTTP on; `None` if the client never got that far.
async fn handshake(shared: &Shared, socket: TcpStream, peer: SocketAddr) -> Option<Stream> {
    let Some(tls) = &shared.tls else { return Some(Stream::Plain(socket)) };
    let accept = timeout(shared.limits.handshake(), tls.acceptor().accept(socket));
    let reason = tokio::select! {
        biased;
        outcome = accept => match outcome {
            Ok(Ok(stream)) => return Some(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timed out".to_owned(),
        },
        // Nothing was asked yet, so nothing is lost.
        () = shared.drain.cancelled() => return None,
    };
    Counters::add(&shared.counters.handshakes_failed);
    tracing::debug!(%peer, reason, "TLS handshake failed");
    None
}

async fn drive<S, B>(shared: &Shared, stream: Stream, peer: SocketAddr, place: Place, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let limits = &shared.limits;
    let vitals = Arc::new(Vitals::default());
    let io = Lingering::new(stream, Arc::clone(&vitals), limits.linger_bytes_max, limits.linger());
    let service = ConnectionService::new(service, peer, place, Arc::clone(&vitals));
    let mut connection = pin!(shared.http.serve_connection(TokioIo::new(io), service));
    // A child's lock is its connection's own; that of the parent all would take each time
    // that one of them is polled.
    let drain = shared.drain.child_token();
    let mut drained = pin!(drain.cancelled());
    let mut aborted = pin!(shared.abort.cancelled());
    let mut patience = Patience::new(limits);
    let mut tick = pin!(sleep(patience.period()));
    let mut closing = false;

    let outcome = poll_fn(|cx| {
        let mut close = !closing && drained.as_mut().poll(cx).is_ready();
        if close && vitals.in_flight() {
            // Before the answer is written, so that it says `Connection: close`.
            closing = true;
            connection.as_mut().graceful_shutdown();
        }
        // Only ever after the drain has begun.
        if closing && aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Before an idle connection is closed, so that a request which is already
        // in the socket is read and answered.
        if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        while tick.as_mut().poll(cx).is_ready() {
            match patience.look(&vitals.snapshot()) {
                Verdict::Go => {}
                Verdict::Close => close = true,
                Verdict::Cut => {
                    Counters::add(&shared.counters.timed_out);
                    return Poll::Ready(Ok(()));
                }
            }
            tick.as_mut().reset(Instant::now() + patience.period());
        }
        if close && !closing {
            closing = true;
            connection.as_mut().graceful_shutdown();
            let outcome = connection.as_mut().poll(cx);
            // So that it is woken.
            return if aborted.as_mut().poll(cx).is_ready() {
                Poll::Ready(Ok(()))
            } else {
                outcome
            };
        }
        Poll::Pending
    })
    .await;
    if let Err(error) = outcome {
        // The client went away or spoke something else: its own affair.
        tracing::trace!(%peer, error, "connection ended early");
    }
}
