use core::convert::Infallible;
use core::time::Duration;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

use super::*;

const SECRET: &str = "0123456789abcdef";

/// Seconds after the beginning of the tests' time.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600 + seconds)
}

fn window(extent: Extent, begin: u64, end: Option<u64>) -> Plan {
    Plan::new(extent, at(begin), end.map(at), at(0)).expect("valid")
}

/// What a service with this state answers at a time.
async fn answer(
    state: &Maintenance,
    now: u64,
    request: Request<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let layer = MaintenanceLayer::new(state.clone(), move || at(now)).with_access(|method, uri| {
        if uri.path() == "/health" { Access::Exempt } else { Access::of_method(method) }
    });
    let service = layer.layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::<Full<Bytes>>::default())
    }));
    service.oneshot(request).await.expect("infallible")
}

fn request(method: Method, path: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).body(Full::default()).expect("valid")
}

async fn status(state: &Maintenance, now: u64, method: Method, path: &str) -> u16 {
    answer(state, now, request(method, path)).await.status().as_u16()
}

#[tokio::test]
async fn a_window_is_announced_then_in_force_then_over() {
    let state = Maintenance::default();
    state.announce(window(Extent::Full, 100, Some(200)));
    let before = answer(&state, 99, request(Method::GET, "/")).await;
    assert_eq!(before.status(), StatusCode::OK);
    assert_eq!(
        before.headers()["scheduled-maintenance"],
        "@1767225700;until=@1767225800;mode=full"
    );
    let within = answer(&state, 150, request(Method::GET, "/")).await;
    assert_eq!(within.status(), StatusCode::SERVICE_UNAVAILABLE);
    let wait: u64 = within.headers()["retry-after"].to_str().expect("ASCII").parse().expect("int");
    assert!((50..=56).contains(&wait), "{wait}");
    let after = answer(&state, 200, request(Method::GET, "/")).await;
    assert_eq!(after.status(), StatusCode::OK);
    assert!(!after.headers().contains_key("scheduled-maintenance"));
}

#[tokio::test]
async fn what_is_closed_is_what_the_extent_says_and_health_never_is() {
    for (extent, get, post) in [
        (Extent::Full, 503, 503),
        (Extent::Writes, 200, 503),
        (Extent::Percentage(100), 503, 503),
        (Extent::Retired, 410, 410),
    ] {
        let state = Maintenance::default();
        state.announce(window(extent, 0, None));
        assert_eq!(status(&state, 1, Method::GET, "/").await, get, "{extent:?}");
        assert_eq!(status(&state, 1, Method::HEAD, "/").await, get, "{extent:?}");
        assert_eq!(status(&state, 1, Method::POST, "/").await, post, "{extent:?}");
        assert_eq!(status(&state, 1, Method::POST, "/health").await, 200, "{extent:?}");
        state.end();
        assert_eq!(status(&state, 1, Method::POST, "/").await, 200, "{extent:?}");
    }
}

#[test]
fn a_percentage_is_a_share_of_the_lots() {
    let plan = window(Extent::Percentage(30), 0, None);
    assert_eq!((0..100).filter(|lot| plan.closes(true, *lot)).count(), 30);
}

#[tokio::test]
async fn what_is_retired_is_announced_as_sunset_and_has_no_retry_after() {
    let state = Maintenance::default();
    state.announce(window(Extent::Retired, 100, None));
    let before = answer(&state, 0, request(Method::GET, "/")).await;
    assert_eq!(before.headers()["sunset"], "Thu, 01 Jan 2026 00:01:40 GMT");
    let after = answer(&state, 100, request(Method::GET, "/")).await;
    assert_eq!(after.status(), StatusCode::GONE);
    assert!(!after.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn an_operator_passes_with_the_token_and_nobody_without() {
    let state = Maintenance::default();
    let bypass = Bypass::new(SECRET.to_owned()).expect("valid");
    let plan = Arc::new(window(Extent::Full, 0, None));
    state.announce(Announced { plan, bypass: Some(bypass) });
    for (token, status) in [(SECRET, 200), ("0123456789abcdeF", 503), ("", 503)] {
        let mut request = request(Method::POST, "/");
        request.headers_mut().insert(BYPASS_HEADER, token.parse().expect("valid"));
        assert_eq!(answer(&state, 1, request).await.status().as_u16(), status, "{token:?}");
    }
    assert_eq!(status(&state, 1, Method::POST, "/").await, 503);
}

#[test]
fn a_token_that_could_be_guessed_or_not_be_sent_is_refused() {
    for token in
        ["", "short", "0123456789abcde\n", "0123456789abcd f", "\u{e4}".repeat(16).as_str()]
    {
        assert_eq!(Bypass::new(token.to_owned()), Err(InvalidBypass), "{token:?}");
    }
    assert_eq!(Bypass::new("x".repeat(257)), Err(InvalidBypass));
    assert_eq!(format!("{:?}", Bypass::new(SECRET.to_owned())), "Ok(Bypass)");
}

#[tokio::test]
async fn the_status_document_says_what_is_announced() {
    let state = Maintenance::default();
    let plan = window(Extent::Writes, 100, Some(200)).because("<disks>").expect("valid");
    state.announce(plan);
    let document = |now, accept: &'static str| {
        let headers =
            HeaderMap::from_iter([(http::header::ACCEPT, accept.parse().expect("valid"))]);
        let response: Response<Full<Bytes>> =
            status_document("vault", Indicator::Degraded, &state, at(now), &headers);
        async {
            let body = response.into_body().collect().await.expect("complete").to_bytes();
            String::from_utf8(body.to_vec()).expect("UTF-8")
        }
    };
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
    let before = json(document(0, "*/*").await);
    assert_eq!(before["status"]["indicator"], "minor");
    assert_eq!(before["scheduled_maintenances"][0]["status"], "scheduled");
    assert_eq!(before["scheduled_maintenances"][0]["scheduled_until"], "2026-01-01T00:03:20Z");
    let within = json(document(100, "*/*").await);
    assert_eq!(within["status"]["indicator"], "maintenance");
    let after = json(document(200, "*/*").await);
    assert_eq!(after["scheduled_maintenances"], serde_json::json!([]));
    let page = document(0, "text/html").await;
    assert!(page.contains("from 2026-01-01T00:01:40Z") && page.contains("&lt;disks&gt;"), "{page}");
}
