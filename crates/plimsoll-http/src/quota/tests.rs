use core::convert::Infallible;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use plimsoll::{Gate, Reason, Rejection, Timestamp};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::*;
use crate::refusal::{Refusal, VaultFace, respond};

type Answer = Response<Full<Bytes>>;

/// Two requests in ten seconds, and a clock in milliseconds.
fn layer() -> (QuotaLayer, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(0));
    let now = Arc::clone(&clock);
    let layer = QuotaLayer::per_client("calls", 2, Duration::from_secs(10), move || {
        Timestamp::from_nanos(now.load(Ordering::Relaxed) * 1_000_000)
    });
    (layer.expect("valid"), clock)
}

async fn call<S>(service: &mut S, path: &str) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Answer, Error = Infallible>,
{
    let request = Request::get(path).body(Full::default()).expect("valid");
    service.ready().await.expect("infallible").call(request).await.expect("infallible")
}

/// `/busy` is refused by a gate.
async fn serve(request: Request<Full<Bytes>>) -> Result<Answer, Infallible> {
    if request.uri().path() == "/busy" {
        let retry_after = Duration::from_secs(1);
        let rejection = Rejection { gate: Gate::Write, reason: Reason::Full, retry_after };
        let refusal = Refusal::Overloaded(rejection);
        return Ok(respond(&VaultFace::default(), request.headers(), refusal, false));
    }
    Ok(Response::default())
}

fn text<'a>(answer: &'a Answer, header: &str) -> &'a str {
    answer.headers().get(header).map_or("", |value| value.to_str().expect("ASCII"))
}

#[tokio::test]
async fn a_client_over_its_quota_is_told_when_to_come_back() {
    let (layer, clock) = layer();
    let mut service = layer.layer(service_fn(serve));
    let first = call(&mut service, "/").await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(text(&first, "ratelimit-policy"), "\"calls\";q=2;w=10");
    assert_eq!(text(&first, "ratelimit"), "\"calls\";r=1;t=10");
    assert_eq!(
        (text(&first, "x-ratelimit-limit"), text(&first, "x-ratelimit-remaining")),
        ("2", "1")
    );
    call(&mut service, "/").await;
    let refused = call(&mut service, "/").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(&refused, "ratelimit"), "\"calls\";r=0;t=10");
    let seconds: u64 = text(&refused, "retry-after").parse().expect("seconds");
    assert!((10..=11).contains(&seconds), "{seconds}");
    clock.store(9_999, Ordering::Relaxed);
    let refused = call(&mut service, "/").await;
    assert_ne!(text(&refused, "retry-after"), "0");
    clock.store(10_000, Ordering::Relaxed);
    assert_eq!(call(&mut service, "/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_overload_uses_up_nobodys_quota() {
    let (layer, _) = layer();
    let mut service = layer.layer(service_fn(serve));
    for _ in 0..10 {
        let refused = call(&mut service, "/busy").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text(&refused, "ratelimit"), "", "it met no quota");
    }
    assert_eq!(call(&mut service, "/").await.status(), StatusCode::OK);
    assert_eq!(call(&mut service, "/").await.status(), StatusCode::OK);
    assert_eq!(call(&mut service, "/busy").await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_refused_client_keeps_its_connection_unless_it_sends_much() {
    let (layer, _) = layer();
    let mut service = layer.layer(service_fn(serve));
    for _ in 0..2 {
        call(&mut service, "/").await;
    }
    for (bytes, connection) in [(100, ""), (100_000, "close")] {
        let request = Request::post("/").body(Full::from(vec![b'x'; bytes])).expect("valid");
        let refused = service.ready().await.expect("infallible").call(request).await;
        let refused = refused.expect("infallible");
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(text(&refused, "connection"), connection, "{bytes} bytes");
    }
}

#[tokio::test]
async fn whoever_is_over_the_quota_never_reaches_what_is_behind() {
    let (layer, _) = layer();
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    let mut service = layer.layer(service_fn(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        serve(request)
    }));
    for _ in 0..10 {
        call(&mut service, "/").await;
    }
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}
