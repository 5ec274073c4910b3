use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use plimsoll::capacity::CapacityGate;
use plimsoll::cpu::CpuGate;
use plimsoll::write::{Admission, Batch, CommitSample, Work, WriteGate, WriteGateConfig};
use plimsoll::{Class, Cost, Demand, Flow, Mode, Rejection, Timestamp};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::body::BodyLimits;
use crate::refusal::VaultFace;

struct Job;

impl Work for Job {
    fn is_abandoned(&self) -> bool {
        false
    }

    fn turned_away(self, _: Rejection) {}
}

/// Everything but `/open` and `/read` writes; `/admin` is administration.
struct Routes;

impl Classify for Routes {
    fn classify(&self, parts: &Parts, _: Timestamp) -> Route {
        let cost = Cost::item(512);
        let demand = Demand { class: Class::Normal, flow: Flow(1), cost, deadline: None };
        match parts.uri.path() {
            "/open" => Route::Open,
            "/read" => Route::Read(Class::Normal),
            "/admin" => Route::Administration(demand),
            _ => Route::Write(demand),
        }
    }

    fn forced(&self, parts: &Parts) -> bool {
        parts.headers.contains_key("force")
    }
}

/// A gate with room for one waiting item.
fn gate() -> WriteGate<Job> {
    let config = WriteGateConfig::default().with_batch_max(1, 4096).expect("not zero");
    let gate = WriteGate::new(config, Mode::Enforce, Arc::new(()));
    let (flush, work) = (Duration::from_secs(1), Duration::from_secs(1));
    gate.committed(Timestamp::ZERO, CommitSample { units: 1, flush, work });
    gate
}

fn door(gate: &WriteGate<Job>) -> DoorLayer {
    door_to(Gates::from(Arc::new(gate.clone()) as Arc<dyn Admission>))
}

fn door_to(gates: Gates) -> DoorLayer {
    door_with(gates, BodyLimits { bytes_max: 64, time_max: Duration::from_secs(1) })
}

fn door_with(gates: Gates, limits: BodyLimits) -> DoorLayer {
    DoorLayer::new(
        gates,
        Arc::new(Routes),
        Arc::new(VaultFace::default()),
        Arc::new(|| Timestamp::ZERO),
        limits,
    )
}

/// A body that never arrives, and knows whether anyone asked for it.
struct Stalled(Arc<AtomicUsize>);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Poll::Pending
    }
}

async fn ok(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::default())
}

fn request(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::from(body)).expect("valid")
}

async fn body(response: Response<Full<Bytes>>) -> serde_json::Value {
    let bytes = response.into_body().collect().await.expect("complete").to_bytes();
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test]
async fn an_admitted_request_carries_its_place_and_gives_it_back() {
    let gate = gate();
    let seen = gate.clone();
    let service = door(&gate).layer(service_fn(move |request: Request<Full<Bytes>>| {
        assert_eq!(seen.snapshot(Timestamp::ZERO).reserved_units, 1);
        assert!(request.extensions().get::<Ticket>().is_some());
        ok(request)
    }));
    let response = service.oneshot(request("/write", "{}")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(gate.snapshot(Timestamp::ZERO).reserved_units, 0);
}

#[tokio::test]
async fn a_full_gate_answers_503_without_reading_the_body_or_calling_the_service() {
    let gate = gate();
    let _held = Admission::admit(&gate, Timestamp::ZERO, &demand()).expect("room for one");
    let polled = Arc::new(AtomicUsize::new(0));
    let service = door(&gate).layer(service_fn(|request| async move {
        panic!("called with {request:?}");
        #[expect(unreachable_code, reason = "gives the future its type")]
        ok(request).await
    }));
    let request = Request::post("/write").body(Stalled(Arc::clone(&polled))).expect("valid");
    let response = service.oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(polled.load(Ordering::SeqCst), 0);
    let headers = response.headers().clone();
    assert_eq!(headers["connection"], "close");
    assert_eq!(headers["cache-control"], "no-store");
    let seconds: u64 = headers["retry-after"].to_str().expect("ASCII").parse().expect("seconds");
    assert!((1..=10).contains(&seconds));
    let body = body(response).await;
    assert!(body["errors"][0].as_str().expect("text").contains("overloaded, try again later"));
    assert_eq!((&body["code"], &body["gate"]), (&"overloaded".into(), &"write".into()));
    assert_eq!(body["executed"], false);
    let ms = body["retry_after_ms"].as_u64().expect("a number");
    assert_eq!(headers["retry-after-ms"], ms.to_string());
    assert!(seconds * 1000 >= ms, "nobody is asked back before the precise time");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_trickles_holds_no_place_and_gets_408() {
    let gate = gate();
    let service = door(&gate).layer(service_fn(ok));
    let request = Request::post("/write").body(Stalled(Arc::default())).expect("valid");
    let trickling = tokio::spawn(service.oneshot(request));
    tokio::task::yield_now().await;
    assert_eq!(gate.snapshot(Timestamp::ZERO).reserved_units, 0);
    let response = trickling.await.expect("no panic").expect("infallible");
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_takes_no_place() {
    let gate = gate();
    let service = door(&gate).layer(service_fn(ok));
    let long = "x".repeat(65).leak();
    let response = service.clone().oneshot(request("/write", long)).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!response.headers().contains_key("retry-after"));
    let mut announced = request("/open", "");
    announced.headers_mut().insert("content-length", "1000".parse().expect("valid"));
    let response = service.oneshot(announced).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(gate.snapshot(Timestamp::ZERO).counters.admitted, 0);
}

#[tokio::test]
async fn a_route_past_no_gate_is_served_while_the_gate_is_full() {
    let gate = gate();
    let _held = Admission::admit(&gate, Timestamp::ZERO, &demand()).expect("room for one");
    let service = door(&gate).layer(service_fn(ok));
    let response = service.oneshot(request("/open", "")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn administration_has_lanes_of_its_own() {
    let gate = gate();
    let _held = Admission::admit(&gate, Timestamp::ZERO, &demand()).expect("room for one");
    let layer = door(&gate);
    let stalled = || Request::post("/admin").body(Stalled(Arc::default())).expect("valid");
    let waiting: Vec<_> =
        (0..16).map(|_| tokio::spawn(layer.layer(service_fn(ok)).oneshot(stalled()))).collect();
    tokio::task::yield_now().await;
    let response = layer.layer(service_fn(ok)).oneshot(stalled()).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    for lane in waiting {
        lane.abort();
        assert!(lane.await.is_err());
    }
    let response = layer.layer(service_fn(ok)).oneshot(request("/admin", "{}")).await;
    assert_eq!(response.expect("infallible").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_may_ask_to_be_refused() {
    let gate = gate();
    let service = door(&gate).layer(service_fn(ok));
    let mut forced = request("/write", "{}");
    forced.headers_mut().insert("force", "true".parse().expect("valid"));
    let response = service.oneshot(forced).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(response).await["reason"], "forced");
    assert_eq!(gate.snapshot(Timestamp::ZERO).reject_fraction, 0.0);
}

#[tokio::test]
async fn a_cancelled_request_gives_its_place_back() {
    let gate = gate();
    let service = door(&gate).layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let _held = request;
        core::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
    }));
    let under_way = tokio::spawn(service.oneshot(request("/write", "{}")));
    tokio::task::yield_now().await;
    assert_eq!(gate.snapshot(Timestamp::ZERO).reserved_units, 1);
    under_way.abort();
    assert!(under_way.await.is_err());
    assert_eq!(gate.snapshot(Timestamp::ZERO).reserved_units, 0);
}

#[test]
fn what_is_displaced_before_the_service_takes_its_place_is_not_queued() {
    let gate = gate();
    let place = gate.admit(Timestamp::ZERO, &demand()).expect("room for one");
    let high = Demand { class: Class::High, ..demand() };
    let _newcomer = gate.admit(Timestamp::ZERO, &high).expect("displaces");
    let ticket = Ticket::new(place);
    let place = ticket.take().expect("once");
    assert!(ticket.take().is_none());
    assert!(gate.enqueue(Timestamp::ZERO, place, Cost::item(1), Job).is_err());
    let mut batch = Batch::default();
    gate.take(Timestamp::ZERO, false, &mut batch);
    assert!(batch.payloads.is_empty());
}

fn demand() -> Demand {
    Demand { class: Class::Normal, flow: Flow(9), cost: Cost::item(512), deadline: None }
}

/// A door to a CPU gate for one processor at which a turn takes a second.
fn slow_processor() -> (Gates, CpuGate) {
    let cpu = CpuGate::new(1, Mode::Enforce).expect("one");
    let wait = Duration::from_millis(20);
    (0..8).for_each(|_| cpu.probed(wait, wait));
    let turn = cpu.admit(Timestamp::ZERO, Class::Normal).expect("nobody waits");
    let mut turn = turn.expect("not calm");
    turn.begin(Timestamp::ZERO);
    turn.end(Timestamp::ZERO + Duration::from_secs(1));
    let mut gates = Gates::from(Arc::new(gate()) as Arc<dyn Admission>);
    gates.cpu = Some(Turns::new(cpu.clone()));
    (gates, cpu)
}

#[tokio::test]
async fn work_takes_turns_and_what_would_wait_too_long_is_refused_unread() {
    let (gates, cpu) = slow_processor();
    let _waits = cpu.admit(Timestamp::ZERO, Class::Normal).expect("nobody waits");
    let service = door_to(gates).layer(service_fn(ok));
    for (path, status) in [("/read", 503), ("/write", 503), ("/admin", 200), ("/open", 200)] {
        let response = service.clone().oneshot(request(path, "{}")).await.expect("infallible");
        assert_eq!(response.status(), status, "{path}");
        if status == 503 {
            assert_eq!(body(response).await["gate"], "cpu");
        }
    }
}

#[tokio::test]
async fn what_has_arrived_is_looked_at_before_any_work_begins() {
    let (gates, cpu) = slow_processor();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let service = door_to(gates).layer(service_fn(move |request: Request<Full<Bytes>>| {
        seen.lock().expect("no panic").push("work");
        ok(request)
    }));
    let first = tokio::spawn(service.clone().oneshot(request("/read", "")));
    let looked = Arc::clone(&order);
    let second = tokio::spawn(async move {
        looked.lock().expect("no panic").push("looked at");
    });
    first.await.expect("no panic").expect("infallible");
    second.await.expect("no panic");
    assert_eq!(*order.lock().expect("no panic"), ["looked at", "work"]);
    let after = cpu.admit(Timestamp::ZERO, Class::Normal);
    assert!(after.is_ok_and(|turn| turn.is_some()), "its turn is over");
}

#[tokio::test]
async fn a_large_body_is_counted_and_given_back_and_a_small_one_waits_for_no_room() {
    let memory = CapacityGate::memory(10_000, Mode::Enforce).expect("not zero");
    let mut gates = Gates::from(Arc::new(gate()) as Arc<dyn Admission>);
    gates.memory = Some(memory.clone());
    let held = memory.clone();
    let layer = door_with(gates, BodyLimits { bytes_max: 1 << 20, ..BodyLimits::default() });
    let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
        assert!(request.extensions().get::<Memory>().is_some());
        let response = Response::new(Full::from(held.held().to_string()));
        async move { Ok::<_, Infallible>(response) }
    }));
    let large = "x".repeat((16 << 10) + 6_000).leak();
    let response = service.clone().oneshot(request("/write", large)).await.expect("infallible");
    assert_eq!((body(response).await, memory.held()), (6_000.into(), 0));
    let _other = memory.hold(Timestamp::ZERO, Class::Normal, 5_000).expect("room");
    let response = service.clone().oneshot(request("/write", large)).await.expect("infallible");
    assert_eq!(body(response).await["gate"], "memory");
    let response = service.oneshot(request("/write", "small")).await.expect("infallible");
    assert_eq!((response.status(), memory.held()), (StatusCode::OK, 5_000));
}

#[tokio::test]
async fn reads_have_places_of_their_own() {
    let reads = CapacityGate::reads(1, Mode::Enforce).expect("not zero");
    let mut gates = Gates::from(Arc::new(gate()) as Arc<dyn Admission>);
    gates.reads = Some(reads.clone());
    let service = door_to(gates).layer(service_fn(ok));
    let _one = reads.hold(Timestamp::ZERO, Class::Normal, 1).expect("room");
    for (path, status) in [("/read", 503), ("/write", 200), ("/open", 200)] {
        let response = service.clone().oneshot(request(path, "")).await.expect("infallible");
        assert_eq!(response.status(), status, "{path}");
    }
}
