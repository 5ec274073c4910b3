//! Every layer before a service that streams both ways over HTTP/2, as gRPC services do:
//! what a client sends is there before it sends more, and trailers come through.

#![allow(clippy::unwrap_used)]

use core::convert::Infallible;
use core::future::Ready;
use core::task::{Context, Poll};
use core::time::Duration;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body as AnyBody;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use http_body_util::channel::Channel;
use hyper::body::Incoming;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use plimsoll::Timestamp;
use plimsoll_http::body::BodyLimits;
use plimsoll_http::idempotency::IdempotencyLayer;
use plimsoll_http::identity::IdentityLayer;
use plimsoll_http::limits::{BodyLimitsLayer, HeaderLimits, HeaderLimitsLayer};
use plimsoll_http::maintenance::{Extent, Maintenance, MaintenanceLayer, Plan};
use plimsoll_http::quota::QuotaLayer;
use plimsoll_http::refusal::ProblemFace;
use tower::{Layer, Service};

type BoxError = Box<dyn Error + Send + Sync>;

/// Answers with what it is sent, as it comes.
#[derive(Clone)]
struct Echo;

impl<B> Service<Request<B>> for Echo
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnyBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<AnyBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        core::future::ready(Ok(Response::new(AnyBody::new(request.into_body()))))
    }
}

/// One stream of a client to a service, over a connection of its own.
async fn stream<S>(service: S) -> (Response<Incoming>, http_body_util::channel::Sender<Bytes>)
where
    S: Service<Request<Incoming>, Response = Response<AnyBody>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let (here, there) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move {
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(service);
        http.serve_connection(TokioIo::new(there), service).await
    });
    let (mut client, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(here)).await.unwrap();
    tokio::spawn(connection);
    let (sender, body) = Channel::<Bytes>::new(1);
    let request = Request::post("http://x/").header("idempotency-key", "\"k\"").body(body);
    (client.send_request(request.unwrap()).await.unwrap(), sender)
}

/// A conversation through `layer`.
async fn converses<L>(layer: L)
where
    L: Layer<Echo>,
    L::Service: Service<Request<Incoming>, Response = Response<AnyBody>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    <L::Service as Service<Request<Incoming>>>::Future: Send,
{
    let (response, mut sender) = stream(layer.layer(Echo)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    for word in ["one", "two", "three"] {
        sender.send_data(Bytes::from(word)).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
    }
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap()["grpc-status"], "0");
    assert!(body.frame().await.is_none());
}

/// One whose stream is refused before it sends anything.
async fn refuses<L>(layer: L, status: StatusCode)
where
    L: Layer<Echo>,
    L::Service: Service<Request<Incoming>, Response = Response<AnyBody>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    <L::Service as Service<Request<Incoming>>>::Future: Send,
{
    let (response, _sender) = stream(layer.layer(Echo)).await;
    assert_eq!(response.status(), status);
    assert!(!response.headers().contains_key("connection"), "HTTP/2 has no such field");
    assert!(!response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

fn identity() -> IdentityLayer {
    IdentityLayer::new(|_| Some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

fn limits(bytes_max: u64) -> BodyLimitsLayer {
    BodyLimitsLayer::new(BodyLimits { bytes_max, time_max: Duration::from_secs(60) })
}

fn quota() -> QuotaLayer {
    let clock = || Timestamp::ZERO;
    QuotaLayer::per_client("streams", 1, Duration::from_secs(60), clock).unwrap()
}

fn idempotency() -> IdempotencyLayer {
    IdempotencyLayer::new(Arc::new(ProblemFace::default()))
}

fn maintenance(begin_s: u64) -> MaintenanceLayer {
    let time = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
    let maintenance = Maintenance::default();
    maintenance.announce(Plan::new(Extent::Full, time(begin_s), None, time(0)).unwrap());
    MaintenanceLayer::new(maintenance, move || time(10))
}

#[tokio::test]
async fn a_conversation_goes_through_each_layer_and_through_all_of_them() {
    converses(identity()).await;
    converses(HeaderLimitsLayer::new(HeaderLimits::default())).await;
    converses(limits(1 << 20)).await;
    converses(maintenance(100)).await;
    converses(quota()).await;
    converses(idempotency()).await;
    converses((identity(), maintenance(100), quota(), idempotency(), limits(1 << 20))).await;
}

#[tokio::test]
async fn a_stream_is_refused_before_it_sends_anything() {
    let none = HeaderLimits { fields_max: 0, bytes_max: 0 };
    refuses(HeaderLimitsLayer::new(none), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).await;
    refuses(maintenance(0), StatusCode::SERVICE_UNAVAILABLE).await;
    let quota = quota();
    converses(quota.clone()).await;
    refuses(quota, StatusCode::TOO_MANY_REQUESTS).await;
}

#[tokio::test]
async fn a_conversation_that_grows_too_long_ends_in_the_middle() {
    let (response, mut sender) = stream(limits(5).layer(Echo)).await;
    let mut body = response.into_body();
    sender.send_data(Bytes::from("12345")).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "12345");
    sender.send_data(Bytes::from("6")).await.unwrap();
    assert!(body.frame().await.unwrap().is_err(), "its answer had begun");
}
