//! A request's way through the proxy.

use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{HeaderName, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use plimsoll::opaque::{OpaqueGate, Ticket};
use plimsoll::{Cost, Demand, Reason};
use plimsoll_http::body::{BodyError, announced_size};
use plimsoll_http::identity::Forwarding;
use plimsoll_http::preferred_wait;
use plimsoll_http::refusal::{ProblemFace, Refusal, VaultFace};
use plimsoll_http::vault::{ROLE_BODY_BYTES_MAX, token};
use plimsoll_listener::PeerAddr;
use tower::Service;

use crate::answer::{AnswerFace, Own};
use crate::body::{BrokenBody, Download, Passing, Upload, UploadState};
use crate::clock::Clock;
use crate::gates::{Gates, NamedGate, Told};
use crate::head::{self, Origin};
use crate::health::Stats;
use crate::metrics::Metrics;
use crate::route::{Identities, Identity, Route, Rule, route};
use crate::served::Served;
use crate::upstream::{Upstream, UpstreamKind};

/// What a request that asks to be refused says.
const FORCE_REJECT: HeaderName = HeaderName::from_static("x-vault-aop-force-reject");

/// What a reload replaces: a request is served by one of these from start to end.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) rules: Vec<Rule>,
    /// All gates that the rules name, looked up without a lock.
    pub(crate) gates: Vec<NamedGate>,
    pub(crate) forwarding: Forwarding,
    pub(crate) flow_header: Option<HeaderName>,
    pub(crate) status_page: Option<String>,
}

/// What every request shares.
pub(crate) struct Shared {
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) gates: Gates,
    pub(crate) identities: Identities,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// Where clients connect.
    pub(crate) listeners: Vec<Stats>,
}

impl Shared {
    /// How many clients are connected, each for one request at a time over HTTP/1.
    pub(crate) fn connections(&self) -> u32 {
        let open = self.listeners.iter().map(|stats| stats().open()).sum::<u64>();
        u32::try_from(open).unwrap_or(u32::MAX)
    }
}

/// The proxy as a service, on one listener.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) shared: Arc<Shared>,
    /// The listener speaks TLS.
    pub(crate) tls: bool,
    /// How long a client may be waited for while it sends a body.
    pub(crate) body_time_max: Duration,
}

impl Service<Request<Incoming>> for Proxy {
    type Response = Response<Download>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Download>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.answer(request).await) })
    }
}

/// A request that may start.
struct Admitted {
    kind: UpstreamKind,
    origin: Origin,
    identity: Identity,
    /// A good answer proves that the caller is somebody.
    proving: bool,
    ticket: Option<Ticket>,
    upload: Upload,
    upload_state: Arc<UploadState>,
}

/// What is answered instead of the upstream's answer.
struct Instead {
    own: Own,
    /// The rest of the request's body is still on its way.
    unread: bool,
}

impl Proxy {
    async fn answer(self, request: Request<Incoming>) -> Response<Download> {
        let settings = self.shared.settings.load_full();
        let (mut parts, body) = request.into_parts();
        let vault = settings.is_vault_api(&parts);
        let passed = match self.admit(&settings, &mut parts, body).await {
            Ok(admitted) => self.forward(&settings, parts, admitted).await,
            Err(instead) => Err(instead),
        };
        passed.unwrap_or_else(|Instead { own, unread }| {
            self.shared.metrics.own(&own);
            settings.face(vault).answer(own, unread)
        })
    }

    /// Normalises the head, finds the gate and enters it.
    ///
    /// # Errors
    /// The request cannot be passed on, or is refused.
    async fn admit(
        &self,
        settings: &Settings,
        parts: &mut Parts,
        body: Incoming,
    ) -> Result<Admitted, Instead> {
        let shared = &self.shared;
        let unread = !body.is_end_stream();
        let instead = |own| Instead { own, unread };
        let peer = peer(parts);
        let client = settings.forwarding.client(peer, &parts.headers);
        let client = client.map_err(|error| instead(Own::Refused(error.into())))?;
        head::normalise(parts).map_err(|bad| instead(bad.into()))?;
        let kind = settings.upstream.kind().unwrap_or(UpstreamKind::Http);
        let mut identity = self.identify(settings, kind, parts, client);
        let route = route(&settings.rules, kind, parts, || identity.is_known());
        let gate = route.gate.and_then(|name| settings.gate(name));

        let begun = self.begin(body, parts, &route).await;
        let (upload, upload_state) = begun.map_err(|broken| instead(self.unreadable(broken)))?;
        if route.login {
            let path = parts.uri.path();
            identity = shared.identities.of_login(client, path, upload.first(), shared.clock.now());
        }
        let ticket = match gate {
            Some(gate) => Some(
                self.enter(gate, parts, &route, &identity)
                    .await
                    .map_err(|own| Instead { own, unread: upload_state.is_unread() })?,
            ),
            None => None,
        };
        let trusted = settings.forwarding.is_proxy(peer);
        let origin = Origin { peer, trusted, tls: self.tls };
        let proving = route.proving;
        Ok(Admitted { kind, origin, identity, proving, ticket, upload, upload_state })
    }

    /// Sends an admitted request and passes the answer back.
    ///
    /// # Errors
    /// There is no answer.
    async fn forward(
        &self,
        settings: &Settings,
        mut parts: Parts,
        admitted: Admitted,
    ) -> Result<Response<Download>, Instead> {
        let shared = &self.shared;
        let Admitted { upload, upload_state, identity, .. } = admitted;
        head::direct(&mut parts, settings.upstream.target(), &admitted.origin);
        frame(&mut parts, &upload);
        parts.extensions.clear();

        let mut served = Served::new(Arc::clone(shared), admitted.ticket);
        let request = Request::from_parts(parts, upload);
        let mut lasts = || served.lasts(&upload_state);
        let answer = settings.upstream.send(request, &upload_state, &mut lasts).await;
        let (answer, lease) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let own = match upload_state.broken() {
                    // The client's doing: no word about the upstream.
                    Some(broken) => self.unreadable(broken),
                    None => {
                        served.failed(error);
                        Own::Failed(error)
                    }
                };
                return Err(Instead { own, unread: upload_state.is_unread() });
            }
        };
        let (mut parts, body) = answer.into_parts();
        if parts.status.is_success() && admitted.proving {
            shared.identities.prove(&identity, shared.clock.now());
        }
        served.answered(admitted.kind, &parts);
        head::answer(&mut parts);
        let idle_max = settings.upstream.answer_time_max();
        let passing = Some(Box::new(served) as Box<dyn Passing>);
        Ok(Response::from_parts(parts, Download::passed(body, lease, idle_max, passing)))
    }

    fn identify(
        &self,
        settings: &Settings,
        kind: UpstreamKind,
        parts: &Parts,
        client: IpAddr,
    ) -> Identity {
        let identities = &self.shared.identities;
        if let Some(name) = settings.flow_header.as_ref().and_then(|name| parts.headers.get(name)) {
            return identities.named(name.as_bytes());
        }
        // Elsewhere nobody knows which credentials are checked.
        let token = (kind == UpstreamKind::Vault).then(|| token(&parts.headers)).flatten();
        identities.of_token(client, token, self.shared.clock.now())
    }

    /// Begins the upload. What is short is in before a place is taken, so that a client
    /// that trickles holds nothing; of a login the role must be known. The rest is
    /// streamed.
    async fn begin(
        &self,
        body: Incoming,
        parts: &Parts,
        route: &Route<'_>,
    ) -> Result<(Upload, Arc<UploadState>), BrokenBody> {
        let length = announced_size(&parts.headers);
        let short = length.is_some_and(|length| length <= ROLE_BODY_BYTES_MAX as u64);
        let (version, wait_max) = (parts.version, self.body_time_max);
        if body.is_end_stream() || route.gate.is_none() || !(short || route.login) {
            return Ok(Upload::streamed(body, version, wait_max));
        }
        Upload::begun(body, version, wait_max, ROLE_BODY_BYTES_MAX).await
    }

    const fn unreadable(&self, broken: BrokenBody) -> Own {
        Own::Refused(match broken {
            BrokenBody::ClientSlow => Refusal::TooSlow(BodyError::TooSlow(self.body_time_max)),
            _ => Refusal::BrokeOff,
        })
    }

    async fn enter(
        &self,
        gate: &OpaqueGate<Told>,
        parts: &Parts,
        route: &Route<'_>,
        identity: &Identity,
    ) -> Result<Ticket, Own> {
        let now = self.shared.clock.now();
        let cost = Cost::item(announced_size(&parts.headers).unwrap_or(0));
        let deadline = preferred_wait(&parts.headers).map(|wait| now + wait);
        let demand = Demand { class: route.class, flow: identity.flow, cost, deadline };
        let entered = if parts.headers.get(FORCE_REJECT).is_some_and(|value| value == "true") {
            Err(gate.refuse(now, &demand, Reason::Forced))
        } else {
            // A connection of HTTP/2 is any number of callers.
            let one_each = parts.version < Version::HTTP_2;
            let callers_max = if one_each { self.shared.connections() } else { u32::MAX };
            self.shared.gates.enter(gate, &demand, callers_max).await
        };
        entered.map_err(|rejection| Own::Refused(Refusal::Overloaded(rejection)))
    }
}

impl Settings {
    fn gate(&self, name: &str) -> Option<&OpaqueGate<Told>> {
        self.gates.iter().find(|named| named.name == name).map(|named| &named.gate)
    }

    fn is_vault_api(&self, parts: &Parts) -> bool {
        self.upstream.kind() == Some(UpstreamKind::Vault) && parts.uri.path().starts_with("/v1/")
    }

    /// The form of the proxy's own answers, to clients of a Vault's API or others.
    fn face(&self, vault: bool) -> AnswerFace {
        let status_page = self.status_page.clone();
        if vault {
            AnswerFace::Vault(VaultFace { status_page })
        } else {
            AnswerFace::Problem(ProblemFace { status_page })
        }
    }
}

/// The other end of the connection.
fn peer(parts: &Parts) -> IpAddr {
    parts.extensions.get::<PeerAddr>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

/// Says how long the body is where only we know that, which hyper leaves open for
/// methods that usually have none.
fn frame(parts: &mut Parts, upload: &Upload) {
    if upload.size_hint().exact().is_none() {
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}
