//! The layer around a service that answers as it is told.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use plimsoll_retry::{
    Attempts, GaveUp, Patience, Policy, Retry, RetryLayer, RetryService, SendOnce,
};
use tower::{Layer, Service, ServiceExt, service_fn};

/// The heads of the requests that arrived.
type Seen = Arc<Mutex<Vec<Parts>>>;

/// A service that gives `statuses` in turn, and then 200.
fn server(
    statuses: &'static [u16],
) -> (
    Seen,
    impl Service<Request<String>, Response = Response<()>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static,
) {
    let seen = Seen::default();
    let server = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<String>| {
            let (head, body) = request.into_parts();
            assert_eq!(body, "text");
            let mut seen = seen.lock().unwrap();
            let status = statuses.get(seen.len()).copied().unwrap_or(200);
            seen.push(head);
            async move { Ok(Response::builder().status(status).body(()).unwrap()) }
        })
    };
    (seen, server)
}

fn request(method: &str) -> Request<String> {
    Request::builder().method(method).uri("/").body("text".to_owned()).unwrap()
}

fn header(head: &Parts, name: &str) -> Option<String> {
    head.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn layer() -> RetryLayer {
    RetryLayer::new(Retry::default())
}

fn attempts(response: &Response<()>) -> Attempts {
    *response.extensions().get().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_write_gets_one_key_for_all_its_attempts() {
    let (seen, server) = server(&[503, 503]);
    let response = layer().layer(server).oneshot(request("POST")).await.unwrap();
    assert_eq!((response.status().as_u16(), attempts(&response).count), (200, 3));
    let keys: Vec<_> =
        seen.lock().unwrap().iter().map(|head| header(head, "idempotency-key").unwrap()).collect();
    assert!(keys[0].len() == 38 && keys[0].starts_with('"') && keys[0].ends_with('"'), "{keys:?}");
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn two_writes_have_two_keys_and_a_read_has_none() {
    let (seen, server) = server(&[]);
    let client = layer().layer(server);
    for method in ["POST", "POST", "GET", "PUT"] {
        client.clone().oneshot(request(method)).await.unwrap();
    }
    let keys: Vec<_> =
        seen.lock().unwrap().iter().map(|head| header(head, "idempotency-key")).collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[2..], [None, None]);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_callers_own_is_kept() {
    let (seen, server) = server(&[503]);
    let mut request = request("PATCH");
    request.headers_mut().insert("idempotency-key", "\"mine\"".parse().unwrap());
    layer().layer(server).oneshot(request).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|head| header(head, "idempotency-key").unwrap() == "\"mine\""));
}

#[tokio::test(start_paused = true)]
async fn without_keys_an_unsafe_write_is_sent_once() {
    let (seen, server) = server(&[503]);
    let layer = RetryLayer::new(Retry::new(Policy::azure()));
    let response = layer.layer(server).oneshot(request("POST")).await.unwrap();
    assert_eq!(attempts(&response).gave_up, Some(GaveUp::NotRepeatable));
    assert_eq!(header(&seen.lock().unwrap()[0], "idempotency-key"), None);
}

#[tokio::test(start_paused = true)]
async fn azures_schedule_waits_31_seconds_in_all() {
    let (seen, server) = server(&[429, 429, 429, 429, 429]);
    let layer = RetryLayer::new(Retry::new(Policy::azure()));
    let response = layer.layer(server).oneshot(request("PUT")).await.unwrap();
    assert_eq!((response.status().as_u16(), seen.lock().unwrap().len()), (200, 6));
    let waited = attempts(&response).elapsed;
    assert!((31.0..31.1).contains(&waited.as_secs_f64()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_how_long_its_client_will_wait() {
    let (seen, server) = server(&[504]);
    let mut request = request("GET");
    request.extensions_mut().insert(Patience(Duration::from_millis(7_500)));
    let slow = service_fn(move |request| {
        let mut server = server.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            server.call(request).await
        }
    });
    layer().layer(slow).oneshot(request).await.unwrap();
    let told: Vec<_> =
        seen.lock().unwrap().iter().map(|head| header(head, "prefer").unwrap()).collect();
    assert_eq!(told, ["wait=7", "wait=5"]);
}

#[tokio::test(start_paused = true)]
async fn a_preference_of_the_callers_own_is_kept() {
    for (own, told) in
        [("wait=3", vec!["wait=3"]), ("return=minimal", vec!["return=minimal", "wait=30"])]
    {
        let (seen, server) = server(&[]);
        let mut request = request("GET");
        request.headers_mut().insert("prefer", own.parse().unwrap());
        layer().layer(server).oneshot(request).await.unwrap();
        let seen = seen.lock().unwrap();
        let preferences: Vec<_> = seen[0].headers.get_all("prefer").iter().collect();
        assert_eq!(preferences, told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_streams_is_sent_once() {
    let (seen, server) = server(&[503]);
    let layer = RetryLayer::replaying(Retry::default(), SendOnce);
    let response = layer.layer(server).oneshot(request("PUT")).await.unwrap();
    assert_eq!((response.status().as_u16(), seen.lock().unwrap().len()), (503, 1));
    assert_eq!(attempts(&response).gave_up, Some(GaveUp::BodySpent));
}

#[tokio::test(start_paused = true)]
async fn of_stacked_layers_the_outermost_retries() {
    let (seen, server) = server(&[503; 100]);
    let stack: RetryService<_, _> = layer().layer(layer().layer(layer().layer(server)));
    let response = stack.oneshot(request("POST")).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 3);
    assert_eq!(attempts(&response).gave_up, Some(GaveUp::AttemptsSpent));
}
