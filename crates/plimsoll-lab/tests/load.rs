//! The generator against a small server that answers as it is told.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashSet,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use plimsoll_lab::load::{Client, LoadError, LoadOptions, Report, measure};
use plimsoll_listener::{Listener, ListenerConfig, PeerAddr};
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    logins: AtomicU64,
    peers: Mutex<HashSet<IpAddr>>,
}

/// Stops with the test.
struct Server {
    addr: SocketAddr,
    seen: Arc<Seen>,
    shutdown: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn serve() -> Server {
    let listener = Listener::bind(ListenerConfig::new("127.0.0.1:0".parse().unwrap())).unwrap();
    let server = Server {
        addr: listener.local_addr(),
        seen: Arc::default(),
        shutdown: CancellationToken::new(),
    };
    let (seen, shutdown) = (Arc::clone(&server.seen), server.shutdown.clone());
    thread::spawn(move || {
        let service = tower::service_fn(move |request| answer(request, Arc::clone(&seen)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(listener.serve(service, shutdown)).unwrap();
    });
    server
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Seen>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let nth = seen.requests.fetch_add(1, Relaxed);
    let peer = request.extensions().get::<PeerAddr>().unwrap().0.ip();
    seen.peers.lock().unwrap().insert(peer);
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (status, text) = match head.uri.path() {
        "/mixed" => ([200, 429, 503, 500][nth as usize % 4], "x"),
        // Refuses two of three, and asks for no wait worth mentioning.
        "/busy" if nth % 3 < 2 => (503, "busy"),
        "/silent" => std::future::pending().await,
        "/v1/sys/auth/approle" => (400, r#"{"errors":["path is already in use at approle/"]}"#),
        "/v1/auth/approle/role/load/role-id" => (200, r#"{"data":{"role_id":"r"}}"#),
        "/v1/auth/approle/role/load/secret-id" => (200, r#"{"data":{"secret_id":"s"}}"#),
        "/v1/auth/approle/login" if body == r#"{"role_id":"r","secret_id":"s"}"# => {
            seen.logins.fetch_add(1, Relaxed);
            (200, r#"{"auth":{}}"#)
        }
        "/v1/sys/mounts/load-kv1" => (403, r#"{"errors":["permission denied"]}"#),
        _ => (200, ""),
    };
    let response = Response::builder().status(status).header("retry-after-ms", 1);
    Ok(response.body(Full::from(text)).unwrap())
}

fn options(server: &Server, operation: &str, phases: &str) -> LoadOptions {
    LoadOptions::new(
        operation.parse().unwrap(),
        format!("http://{}", server.addr),
        "root".to_owned(),
        phases.parse().unwrap(),
    )
}

fn load(options: &LoadOptions) -> Result<Report, LoadError> {
    measure(options, &|_| {})
}

#[test]
fn each_answer_is_counted_as_what_it_is() {
    let server = serve();
    let report = load(&options(&server, "GET:/mixed", "500ms:400")).unwrap();
    let outcomes = report.outcomes;
    assert_eq!(
        (outcomes.ok, outcomes.throttled, outcomes.refused, outcomes.error),
        (50, 50, 50, 50)
    );
    assert_eq!((report.accepted.count, report.refused.count), (50, 100));
    assert_eq!(report.first_error.as_deref(), Some("status 500"));
    assert_eq!(report.seconds[0].outcomes, outcomes);
}

#[test]
fn a_client_that_gets_no_answer_gives_up_and_does_not_hold_the_others_up() {
    let server = serve();
    let mut options = options(&server, "GET:/silent", "300ms:100");
    options.timeout = Duration::from_millis(50);
    let report = load(&options).unwrap();
    assert_eq!((report.outcomes.timeout, report.outcomes.offered()), (30, 30));
}

#[test]
fn what_is_due_beyond_the_limit_in_flight_is_dropped_and_counted() {
    let server = serve();
    let mut options = options(&server, "GET:/silent", "300ms:100");
    (options.timeout, options.in_flight_max) = (Duration::from_secs(1), 10);
    let report = load(&options).unwrap();
    assert_eq!((report.outcomes.timeout, report.outcomes.dropped), (10, 20));
}

#[test]
fn a_server_that_is_gone_is_an_outcome_and_not_a_failure() {
    let server = serve();
    let mut options = options(&server, "GET:/", "100ms:100");
    options.address = "http://127.0.0.1:1".to_owned();
    let report = load(&options).unwrap();
    assert_eq!(report.outcomes.error, 10);
}

#[test]
fn flows_come_from_addresses_of_their_own_and_are_reported_apart() {
    let server = serve();
    let mut options = options(&server, "GET:/", "1s:1");
    options.flows = vec![
        "hog@127.0.0.2=200ms:500".parse().unwrap(),
        "quiet@127.0.1.1*3=200ms:50".parse().unwrap(),
    ];
    let report = load(&options).unwrap();
    let flows: Vec<_> = report.flows.iter().map(|f| (f.name.as_str(), f.outcomes.ok)).collect();
    assert_eq!(flows, [("hog", 100), ("quiet-1", 10), ("quiet-2", 10), ("quiet-3", 10)]);
    let expected: HashSet<IpAddr> =
        ["127.0.0.2", "127.0.1.1", "127.0.1.2", "127.0.1.3"].map(|ip| ip.parse().unwrap()).into();
    assert_eq!(*server.seen.peers.lock().unwrap(), expected);
}

#[test]
fn an_auth_method_that_is_there_already_is_no_obstacle() {
    let server = serve();
    let report = load(&options(&server, "approle-login", "100ms:100")).unwrap();
    assert_eq!((report.outcomes.ok, server.seen.logins.load(Relaxed)), (10, 10));
}

#[test]
fn a_server_that_refuses_to_be_prepared_says_why() {
    let server = serve();
    let error = load(&options(&server, "kv1-put", "100ms:100")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "preparing the server: POST sys/mounts/load-kv1 was answered with 403: \
         {\"errors\":[\"permission denied\"]}"
    );
}

#[test]
fn the_closed_loop_keeps_each_connection_busy() {
    let server = serve();
    let mut options = options(&server, "PUT:/{n}", "1s:1");
    (options.closed_loop, options.duration) = (Some(4), Duration::from_secs(2));
    let report = load(&options).unwrap();
    assert_eq!(report.outcomes.ok, server.seen.requests.load(Relaxed));
    assert_eq!(report.outcomes.ok, report.outcomes.offered());
    assert!(report.outcomes.ok > 4);
}

#[test]
fn an_address_that_is_not_plain_http_is_named() {
    let server = serve();
    let mut options = options(&server, "GET:/", "100ms:1");
    options.address = "https://127.0.0.1:8200".to_owned();
    assert_eq!(
        load(&options).unwrap_err().to_string(),
        "address \"https://127.0.0.1:8200\": the load generator speaks plain http only"
    );
}

#[test]
fn a_naive_client_sends_three_at_once_and_a_storming_one_never_waits() {
    for client in [Client::Naive, Client::Storm] {
        let server = serve();
        let mut options = options(&server, "GET:/busy", "100ms:10");
        options.client = Some(client);
        let report = load(&options).unwrap();
        let retries = report.retries.unwrap();
        assert_eq!((report.outcomes.ok, retries.attempts, retries.gave_up), (1, 3, 0));
        assert_eq!((retries.client, retries.time_to_success.count), (client, 1));
        assert!(retries.time_to_success.max_ms < 10_000.0, "{retries:?}");
    }
}

#[test]
fn a_polite_client_waits_and_what_it_gives_up_counts_as_its_patience() {
    let server = serve();
    let mut options = options(&server, "POST:/busy", "100ms:10");
    (options.client, options.attempts_max) = (Some(Client::Polite), Some(2));
    let report = load(&options).unwrap();
    let retries = report.retries.unwrap();
    assert_eq!((report.outcomes.refused, retries.attempts, retries.gave_up), (1, 2, 1));
    assert!((29_900.0..30_100.0).contains(&retries.time_to_success.p50_ms), "{retries:?}");
}
