//! Which gate a route meets, whose request it is and how much it matters.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Method};
use plimsoll::{Class, Demand, Flow, RouteCosts, Timestamp};
use plimsoll_http::body::announced_size;
use plimsoll_http::door::{Classify, Route};
use plimsoll_http::identity::{Client, network};
use plimsoll_http::vault::{self, api_path, is_administration, is_continuation, token};
use plimsoll_http::{Flows, Vouched, preferred_wait};
use plimsoll_vault::Vault;

use crate::dev::SLOW_DISK_PATH;
use crate::face::{operation, query};

/// What a transaction adds to the log beside the body, for a route that nobody has
/// used yet: keys, nonces, records.
const OVERHEAD_BYTES: u64 = 1024;
/// Nobody is taken to wait longer for an answer.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// Asks to be refused.
const FORCE_REJECT: HeaderName = HeaderName::from_static("x-vault-aop-force-reject");

/// Answered in any overload: operators and balancers ask them, and they cost little.
const OPEN: [&str; 8] = [
    "sys/health",
    "sys/in-flight-req",
    "sys/leader",
    "sys/metrics",
    "sys/seal",
    "sys/seal-status",
    "sys/step-down",
    "sys/unseal",
];

/// The routes of a Vault server.
pub(crate) struct VaultRoutes {
    vault: Arc<Vault>,
    logins: Arc<Vouched>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    flows: Flows,
    costs: RouteCosts,
}

impl Classify for VaultRoutes {
    fn classify(&self, parts: &Parts, now: Timestamp) -> Route {
        let Some(Ok(path)) = api_path(parts.uri.path()) else { return Route::Open };
        let query = query(parts.uri.query().unwrap_or_default());
        let Some(operation) = operation(&parts.method, &query) else { return Route::Open };
        if parts.uri.path() == SLOW_DISK_PATH || OPEN.contains(&&*path) {
            return Route::Open;
        }
        let caller = || token(&parts.headers).and_then(|token| self.vault.caller(token));
        if !self.vault.is_write(operation, &path) {
            let continues = is_continuation(&path) && caller().is_some();
            return Route::Read(if continues { Class::High } else { Class::Normal });
        }
        let caller = caller();
        let flow =
            caller.as_ref().map_or_else(|| self.flows.of_address(remote(parts)), |c| Flow(c.flow));
        let cost = self.costs.estimate(
            self.template(&parts.method, &path),
            announced_size(&parts.headers).unwrap_or(0),
        );
        let deadline = Some(now + patience(parts));
        let demand = |class| Demand { class, flow, cost, deadline };
        if is_administration(&path) {
            return match caller {
                Some(caller) if caller.policies_root => Route::Write(demand(Class::Critical)),
                _ => Route::Administration(demand(Class::High)),
            };
        }
        let continues = caller.is_some() && is_continuation(&path);
        Route::Write(demand(if continues { Class::High } else { Class::Normal }))
    }

    fn refine(&self, parts: &Parts, body: &Bytes, mut demand: Demand) -> Demand {
        if let Some(Ok(path)) = api_path(parts.uri.path()) {
            let template = self.template(&parts.method, &path);
            demand.cost = self.costs.estimate(template, body.len() as u64);
        }
        if let Some(login) = self.login(parts, body)
            && self.logins.contains(login, (self.clock)())
        {
            demand.flow = login;
        }
        demand
    }

    fn frees(&self, parts: &Parts) -> bool {
        parts.method == Method::DELETE
            || matches!(api_path(parts.uri.path()), Some(Ok(path)) if self.vault.frees(&path))
    }

    fn forced(&self, parts: &Parts) -> bool {
        parts.headers.get(FORCE_REJECT).is_some_and(|value| value == "true")
    }
}

impl VaultRoutes {
    pub(crate) fn new(
        vault: Arc<Vault>,
        logins: Arc<Vouched>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        flows: Flows,
    ) -> Self {
        Self { vault, logins, clock, flows, costs: RouteCosts::new(OVERHEAD_BYTES) }
    }

    /// Learns from a request that has written.
    pub(crate) fn learn(&self, parts: &Parts, body: &[u8], written_bytes: u64) {
        if let Some(Ok(path)) = api_path(parts.uri.path())
            && written_bytes > 0
        {
            let template = self.template(&parts.method, &path);
            self.costs.learn(template, body.len() as u64, written_bytes);
        }
    }

    /// A route's template: its method and the first two segments of its path, which
    /// are the mount, or the mount and the operation.
    fn template(&self, method: &Method, path: &str) -> u64 {
        let end = path.match_indices('/').nth(1).map_or(path.len(), |(at, _)| at);
        self.flows.of(&(method, &path[..end])).0
    }

    /// Names the (address, role or user) pair of a login; `None` elsewhere.
    pub(crate) fn login(&self, parts: &Parts, body: &[u8]) -> Option<Flow> {
        let Some(Ok(path)) = api_path(parts.uri.path()) else { return None };
        vault::is_login(&path)
            .then(|| self.flows.of(&(network(remote(parts)), &path, vault::login_role(body))))
    }
}

/// The client's whole address, behind trusted proxies.
pub(crate) fn remote(parts: &Parts) -> IpAddr {
    Client::of(&parts.extensions).address
}

/// How long the client waits: as it says itself, and not for ever.
pub(crate) fn patience(parts: &Parts) -> Duration {
    preferred_wait(&parts.headers).unwrap_or(PATIENCE_MAX).min(PATIENCE_MAX)
}
