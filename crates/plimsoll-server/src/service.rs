//! What stands behind the door: every request of the API, and the few paths that
//! are the HTTP server's own.

use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use plimsoll::write::Place;
use plimsoll::{Flow, Timestamp};
use plimsoll_daemon::{clock, metrics};
use plimsoll_http::Vouched;
use plimsoll_http::door::{Memory, Ticket};
use plimsoll_http::idempotency::IdempotencyKey;
use plimsoll_http::refusal::{Face, respond};
use plimsoll_store::Revision;
use plimsoll_vault::{Operation, Request as VaultRequest, Vault, VaultError};
use tokio::sync::Semaphore;
use tower::Service;

use crate::classify::{VaultRoutes, patience, remote};
use crate::dev::{SLOW_DISK_PATH, SlowDiskControl};
use crate::face::{self, HttpResponse, Meter, Unreadable, json_response, message, text_response};
use crate::gates::Gates;
use crate::health::Health;
use crate::in_flight::InFlight;
use crate::metrics::Metrics;
use crate::quotas::{self, KeyVault};
use crate::replication::{self, Following, INDEX_HEADER, Wanted};

/// How long a request waits for what its client has written elsewhere, as in Vault.
const INDEX_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long the answer to a write that was passed on waits for the write to come back.
const FORWARDED_WAIT_MAX: Duration = Duration::from_millis(250);
/// How often it is looked for.
const INDEX_LOOK: Duration = Duration::from_millis(2);

/// Smaller answers fit into the buffers that a connection has anyhow.
const ANSWER_BYTES_FREE: u64 = 16 << 10;

/// Bodies from this size on are decoded one at a time, while the runtime goes on.
const DECODE_ASIDE_BYTES: usize = 256 << 10;

/// What every request shares.
pub(crate) struct Shared {
    pub(crate) vault: Arc<Vault>,
    pub(crate) gates: Gates,
    pub(crate) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub(crate) routes: Arc<VaultRoutes>,
    pub(crate) logins: Arc<Vouched>,
    pub(crate) face: Arc<dyn Face>,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) key_vaults: Arc<[KeyVault]>,
    pub(crate) slow_disk: Option<SlowDiskControl>,
    /// The primary, for a secondary.
    pub(crate) following: Arc<Following>,
    /// The latest that is visible.
    pub(crate) revision: Arc<dyn Fn() -> Revision + Send + Sync>,
    /// What a request costs besides, in dev mode.
    pub(crate) cpu_cost: Option<Duration>,
    /// Taken by whoever decodes a large body.
    pub(crate) decoding_aside: Semaphore,
}

/// What one listener allows without a token.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open {
    pub(crate) metrics: bool,
    pub(crate) in_flight: bool,
}

/// The API as a service.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) shared: Arc<Shared>,
    pub(crate) open: Open,
}

impl Service<Request<Full<Bytes>>> for Api {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(request).await) })
    }
}

impl Api {
    async fn answer(self, request: Request<Full<Bytes>>) -> HttpResponse {
        let (mut parts, body) = request.into_parts();
        // Complete since the door: this never waits.
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        let shared = &*self.shared;
        let started = (shared.clock)();
        let _flying = shared.in_flight.enter(&parts, remote(&parts));
        match parts.uri.path() {
            "/v1/sys/health" => return shared.health.answer_to(&parts.method, query(&parts.uri)),
            "/v1/sys/metrics" | "/v1/sys/in-flight-req" if parts.method != Method::GET => {
                return message(405, "unsupported operation");
            }
            // Boxed, like what is passed on: rare, and their room would be copied with
            // every request.
            "/v1/sys/metrics" => return Box::pin(self.metrics(&parts)).await,
            "/v1/sys/in-flight-req" => return Box::pin(self.in_flight(&parts)).await,
            SLOW_DISK_PATH => {
                return shared
                    .slow_disk
                    .as_ref()
                    .map_or_else(|| message(404, ""), |control| control.answer(&parts, &body));
            }
            _ => {}
        }
        if let Some(answer) = self.wait_for_index(&parts, &body).await {
            return answer;
        }
        let place = parts.extensions.remove::<Ticket>().and_then(|ticket| ticket.take());
        let login = shared.routes.login(&parts, &body);
        let response = self.execute(&parts, &body, place, login).await;
        let elapsed = (shared.clock)().since(started);
        shared.metrics.record_request(login.is_some(), elapsed);
        response
    }

    async fn execute(
        &self,
        parts: &Parts,
        body: &Bytes,
        place: Option<Place>,
        login: Option<Flow>,
    ) -> HttpResponse {
        let shared = &*self.shared;
        let request = match self.decode_in_turn(parts, body).await {
            Ok(request) => request,
            Err(Unreadable::Rejected(rejection)) => {
                return respond(&*shared.face, &parts.headers, rejection, false);
            }
            Err(error) => return face::unreadable(&error),
        };
        let id = request.id.clone();
        if shared.vault.is_for_primary(request.operation, &request.path) {
            return Box::pin(self.forward(parts, body)).await;
        }
        if let Some(cost) = shared.cpu_cost {
            shared.spin(cost);
        }
        let key = parts.extensions.get::<IdempotencyKey>().map(IdempotencyKey::as_str);
        match shared.vault.handle_once(request, place, key).await {
            Ok(response) => {
                if let Some(login) = login.filter(|_| response.auth.is_some()) {
                    shared.logins.insert(login, (shared.clock)());
                }
                shared.routes.learn(parts, body, response.written_bytes);
                let mut answer = face::encode(&id, &response);
                let wrote = response.written_bytes > 0;
                if wrote {
                    self.tell_index(&mut answer);
                }
                self.held_until_sent(parts, answer, wrote).await
            }
            Err(VaultError::Following) => Box::pin(self.forward(parts, body)).await,
            Err(error) => face::error(&*shared.face, &parts.headers, &id, &error),
        }
    }

    async fn forward(&self, parts: &Parts, body: &Bytes) -> HttpResponse {
        let (client, patience) = (remote(parts), patience(parts));
        let following = &self.shared.following;
        let answer = replication::forward(following, parts, body.clone(), client, patience).await;
        // Who goes on asking here is to see what it has just done.
        if let Some(wanted) = Wanted::of(answer.headers()) {
            let seen = self.sees(wanted.revision);
            let _ = tokio::time::timeout(FORWARDED_WAIT_MAX, seen).await;
        }
        self.held_until_sent(parts, answer, true).await
    }

    /// An answer that is large enough to matter counts as memory until it is sent: a
    /// client that reads slowly keeps it. What the request held is given back. If there
    /// is no room for the answer, a request that has changed nothing is refused after all.
    async fn held_until_sent(
        &self,
        parts: &Parts,
        answer: HttpResponse,
        executed: bool,
    ) -> HttpResponse {
        let Some(memory) = parts.extensions.get::<Memory>() else { return answer };
        let (head, body) = answer.into_parts();
        // Complete: this never waits.
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        let bytes = body.len() as u64;
        let mut held = memory.lock();
        held.shrink_to(0);
        if bytes < ANSWER_BYTES_FREE {
            return HttpResponse::from_parts(head, Full::new(body));
        }
        if executed {
            held.grow_regardless(bytes);
        } else if let Err(rejection) = held.grow((self.shared.clock)(), bytes) {
            return respond(&*self.shared.face, &parts.headers, rejection, false);
        }
        drop(held);
        let counted = Bytes::from_owner(Counted { body, _memory: memory.clone() });
        HttpResponse::from_parts(head, Full::new(counted))
    }

    /// So that the client sees on any server what it has written on this one.
    fn tell_index(&self, answer: &mut HttpResponse) {
        let cluster = self.shared.vault.cluster_id();
        let index = cluster.and_then(|id| replication::index_of(&id, (self.shared.revision)()));
        if let Some(index) = index {
            answer.headers_mut().insert(INDEX_HEADER, index);
        }
    }

    async fn sees(&self, revision: Revision) {
        while (self.shared.revision)() < revision {
            tokio::time::sleep(INDEX_LOOK).await;
        }
    }

    /// Waits until the client sees here what it has written elsewhere; the answer if
    /// it does not come.
    async fn wait_for_index(&self, parts: &Parts, body: &Bytes) -> Option<HttpResponse> {
        let wanted = Wanted::of(&parts.headers)?;
        let shared = &*self.shared;
        let is_here = || (shared.revision)() >= wanted.revision;
        if is_here() {
            return None;
        }
        let following = shared.vault.is_following();
        if following && wanted.forward {
            return Some(Box::pin(self.forward(parts, body)).await);
        }
        if following {
            let _ = tokio::time::timeout(INDEX_WAIT_MAX, self.sees(wanted.revision)).await;
        }
        (!is_here()).then(|| message(412, "required index state not present"))
    }

    /// A large body keeps a processor for a tenth of a second. Nobody waits behind it but
    /// other large bodies: not whoever has a turn after this request, not what this thread
    /// of the runtime would do next.
    async fn decode_in_turn(&self, parts: &Parts, body: &[u8]) -> Result<VaultRequest, Unreadable> {
        if body.len() < DECODE_ASIDE_BYTES {
            return self.decode(parts, body);
        }
        tokio::task::yield_now().await;
        // Never closed; if it were, there would be nothing to wait for.
        let _alone = self.shared.decoding_aside.acquire().await;
        tokio::task::block_in_place(|| self.decode(parts, body))
    }

    /// What the body becomes counts against what the request holds of memory.
    fn decode(&self, parts: &Parts, body: &[u8]) -> Result<VaultRequest, Unreadable> {
        match parts.extensions.get::<Memory>() {
            Some(memory) => {
                let mut held = memory.lock();
                let meter = Meter::new(&mut held, (self.shared.clock)());
                face::decode(parts, body, remote(parts), &meter)
            }
            None => face::decode(parts, body, remote(parts), &Meter::unlimited()),
        }
    }

    async fn metrics(&self, parts: &Parts) -> HttpResponse {
        if !self.open.metrics
            && let Some(denied) = self.shared.denial(parts, Operation::Read, "sys/metrics").await
        {
            return denied;
        }
        let query = face::query(query(&parts.uri));
        let accept = parts.headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
        let wants_text = accept.is_some_and(|accept| {
            accept.starts_with("application/openmetrics-text")
                || accept.contains("prometheus/telemetry")
        });
        let format = query.get("format").map(String::as_str);
        self.shared.metrics_in(format.or(if wants_text { Some("prometheus") } else { None }))
    }

    async fn in_flight(&self, parts: &Parts) -> HttpResponse {
        if !self.open.in_flight
            && let Some(denied) =
                self.shared.denial(parts, Operation::Read, "sys/in-flight-req").await
        {
            return denied;
        }
        json_response(http::StatusCode::OK, &self.shared.in_flight.report())
    }
}

impl Shared {
    /// The answer to a caller who may not do something to a path that the vault
    /// itself does not serve.
    pub(crate) async fn denial(
        &self,
        parts: &Parts,
        operation: Operation,
        path: &str,
    ) -> Option<HttpResponse> {
        let mut request: VaultRequest =
            match face::decode(parts, b"", remote(parts), &Meter::unlimited()) {
                Ok(request) => request,
                Err(error) => return Some(face::unreadable(&error)),
            };
        (request.operation, request.path) = (operation, path.to_owned());
        let id = request.id.clone();
        let error = self.vault.permit(request).await.err()?;
        Some(face::error(&*self.face, &parts.headers, &id, &error))
    }

    /// Keeps a processor busy.
    fn spin(&self, cost: Duration) {
        let began = (self.clock)();
        while (self.clock)().since(began) < cost {
            core::hint::spin_loop();
        }
    }

    /// The metrics in Vault's formats; the token, if one was needed, is checked.
    pub(crate) fn metrics_in(&self, format: Option<&str>) -> HttpResponse {
        let now = (self.clock)();
        let (write, gates) = (self.gates.write.snapshot(now), self.gates.snapshots(now));
        let sealed = self.vault.status().sealed;
        let mut samples = self.metrics.collect(&write, &gates, self.in_flight.count(), sealed);
        samples.extend(quotas::samples(&self.vault, &self.key_vaults));
        samples.extend(self.following.samples(self.vault.is_following(), now));
        match format {
            None | Some("") => {
                json_response(http::StatusCode::OK, &metrics::json(&samples, clock::wall()))
            }
            Some("prometheus") => {
                text_response("text/plain; version=0.0.4", metrics::prometheus(&samples))
            }
            Some(other) => message(400, &format!("metric response format {other:?} unknown")),
        }
    }
}

pub(crate) fn query(uri: &http::Uri) -> &str {
    uri.query().unwrap_or_default()
}

/// Bytes that are counted as long as they exist.
struct Counted {
    body: Bytes,
    _memory: Memory,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
