use core::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::refusal::ProblemFace;

fn layer() -> IdempotencyLayer {
    IdempotencyLayer::new(Arc::new(ProblemFace::default()))
}

fn post(key: &str) -> Request<Full<Bytes>> {
    let request = Request::post("/").header("idempotency-key", key);
    request.body(Full::default()).expect("valid")
}

/// Tells the key.
async fn echo(request: Request<Full<Bytes>>) -> Result<Response<String>, Infallible> {
    let key = request.extensions().get::<IdempotencyKey>();
    Ok(Response::new(key.map(|key| key.as_str().to_owned()).unwrap_or_default()))
}

struct Text(String);

impl From<Bytes> for Text {
    fn from(bytes: Bytes) -> Self {
        Self(String::from_utf8_lossy(&bytes).into_owned())
    }
}

async fn answer(request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let service = service_fn(|request| async {
        let Ok(response) = echo(request).await;
        Ok::<_, Infallible>(response.map(Text))
    });
    let response = layer().layer(service).oneshot(request).await.expect("infallible");
    (response.status(), response.into_body().0)
}

#[tokio::test]
async fn a_key_is_one_quoted_string() {
    for (field, key) in [("\"a\"", "a"), (r#""a \"b\" \\""#, "a \"b\" \\"), (" \"x\" ", "x")] {
        assert_eq!(answer(post(field)).await, (StatusCode::OK, key.to_owned()), "{field}");
    }
    let (long, huge) = (format!("\"{}\"", "x".repeat(256)), format!("\"{}\"", "x".repeat(10_000)));
    for field in ["", "\"\"", "a", "\"a", "a\"", "\"a\";b", "\"a\" \"b\"", r#""\a""#, &long, &huge]
    {
        assert_eq!(answer(post(field)).await.0, StatusCode::BAD_REQUEST, "{field}");
    }
    let mut twice = post("\"a\"");
    twice.headers_mut().append("idempotency-key", "\"b\"".parse().expect("valid"));
    assert_eq!(answer(twice).await.0, StatusCode::BAD_REQUEST);
    let mut read = post("a");
    *read.method_mut() = http::Method::GET;
    assert_eq!(answer(read).await, (StatusCode::OK, String::new()), "it can be repeated anyway");
}

#[tokio::test]
async fn one_request_of_a_key_is_under_way_at_a_time() {
    let layer = layer();
    let stuck =
        layer.layer(service_fn(|_| core::future::pending::<Result<Response<Text>, Infallible>>()));
    let first = tokio::spawn(stuck.clone().oneshot(post("\"a\"")));
    tokio::task::yield_now().await;
    let second = stuck.clone().oneshot(post("\"a\"")).await.expect("infallible");
    assert_eq!(second.status(), StatusCode::CONFLICT);
    // The same key in another hand is another key.
    let mut other = post("\"a\"");
    other.headers_mut().insert("x-vault-token", "t".parse().expect("valid"));
    let other = tokio::spawn(stuck.oneshot(other));
    tokio::task::yield_now().await;
    assert!(!other.is_finished());
    other.abort();
    // Whoever goes away lets the next in.
    first.abort();
    assert!(first.await.is_err());
    let free = layer
        .layer(service_fn(|_| async { Ok::<_, Infallible>(Response::new(Text(String::new()))) }));
    assert_eq!(free.oneshot(post("\"a\"")).await.expect("infallible").status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_that_was_found_says_so() {
    let service = service_fn(|_| async {
        let mut response = Response::new(Text(String::new()));
        response.extensions_mut().insert(Replayed);
        Ok::<_, Infallible>(response)
    });
    let response = layer().layer(service).oneshot(post("\"a\"")).await.expect("infallible");
    assert_eq!(response.headers()["idempotency-replayed"], "true");
}
