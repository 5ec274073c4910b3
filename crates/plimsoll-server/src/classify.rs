//! Which gate a route meets, whose request it is and how much it matters.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use plimsoll::{Class, Demand, Flow, RouteCosts, Timestamp};
use plimsoll_http::door::{Classify, Route};
use plimsoll_http::identity::{Client, network};
use plimsoll_vault::Vault;
use serde::Deserialize;

use crate::dev::SLOW_DISK_PATH;
use crate::face::{api_path, operation, query, token};
use crate::logins::RecentLogins;

/// What a transaction adds to the log beside the body, for a route that nobody has
/// used yet: keys, nonces, records.
const OVERHEAD_BYTES: u64 = 1024;
/// Nobody is taken to wait longer for an answer.
const PATIENCE_MAX: Duration = Duration::from_secs(30);
/// More of a login's body is not read for the role.
const ROLE_BODY_BYTES_MAX: usize = 4096;

/// Administration: operators must be able to do it in an overload, and it must
/// not be a way around the gate.
const ADMINISTRATION: [&str; 8] = [
    "sys/seal",
    "sys/step-down",
    "sys/policy/",
    "sys/policies/",
    "sys/quotas/",
    "sys/maintenance",
    "sys/rotate",
    "sys/audit/",
];

/// Keeps work alive that was accepted before.
const CONTINUATION: [&str; 6] = [
    "auth/token/renew",
    "auth/token/revoke",
    "auth/token/lookup",
    "sys/leases/renew",
    "sys/leases/revoke",
    "sys/leases/lookup",
];

/// The routes of a Vault server.
pub(crate) struct VaultRoutes {
    vault: Arc<Vault>,
    logins: Arc<RecentLogins>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    flows: AddressFlows,
    costs: RouteCosts,
}

/// Flows of clients of which nothing is known but their address. The hash has a
/// key, so that nobody can choose whose share is his.
#[derive(Clone, Default)]
pub(crate) struct AddressFlows(RandomState);

impl AddressFlows {
    pub(crate) fn of(&self, address: IpAddr) -> Flow {
        Flow(self.0.hash_one(network(address)))
    }
}

impl Classify for VaultRoutes {
    fn classify(&self, parts: &Parts) -> Route {
        let Some(Ok(path)) = api_path(parts.uri.path()) else { return Route::Open };
        let query = query(parts.uri.query().unwrap_or_default());
        let Some(operation) = operation(&parts.method, &query) else { return Route::Open };
        if parts.uri.path() == SLOW_DISK_PATH || !self.vault.is_write(operation, &path) {
            return Route::Open;
        }
        let caller = token(&parts.headers).and_then(|token| self.vault.caller(token));
        let flow = caller.as_ref().map_or_else(|| self.flows.of(remote(parts)), |c| Flow(c.flow));
        let cost = self.costs.estimate(self.template(&parts.method, &path), content_length(parts));
        let deadline = Some((self.clock)() + patience(parts));
        let demand = |class| Demand { class, flow, cost, deadline };
        if is_administration(&path) {
            return match caller {
                Some(caller) if caller.policies_root => Route::Write(demand(Class::Critical)),
                _ => Route::Administration(demand(Class::High)),
            };
        }
        let continues = caller.is_some() && starts_with_any(&path, &CONTINUATION);
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
            demand.flow = Flow(login);
        }
        demand
    }

    fn forced(&self, parts: &Parts) -> bool {
        parts.headers.get("x-vault-aop-force-reject").is_some_and(|value| value == "true")
    }
}

impl VaultRoutes {
    pub(crate) fn new(
        vault: Arc<Vault>,
        logins: Arc<RecentLogins>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        flows: AddressFlows,
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
        self.flows.0.hash_one((method, &path[..end]))
    }

    /// Names the (address, role or user) pair of a login; `None` elsewhere.
    pub(crate) fn login(&self, parts: &Parts, body: &[u8]) -> Option<u64> {
        #[derive(Deserialize)]
        struct Role<'b> {
            #[serde(borrow, alias = "role")]
            role_id: Option<std::borrow::Cow<'b, str>>,
        }
        let Some(Ok(path)) = api_path(parts.uri.path()) else { return None };
        if !path.starts_with("auth/") || !path.contains("/login") {
            return None;
        }
        let known = body.len() <= ROLE_BODY_BYTES_MAX;
        let role = known.then(|| serde_json::from_slice::<Role<'_>>(body).ok()).flatten();
        let role = role.and_then(|role| role.role_id).unwrap_or_default();
        Some(self.flows.0.hash_one((network(remote(parts)), path, role)))
    }
}

/// An administrative path, whoever asks for it.
pub(crate) fn is_administration(path: &str) -> bool {
    starts_with_any(path, &ADMINISTRATION)
}

/// The client's whole address, behind trusted proxies.
pub(crate) fn remote(parts: &Parts) -> IpAddr {
    Client::of(&parts.extensions).address
}

/// How long the client waits: as it says itself (RFC 7240, `Prefer: wait=10`, in
/// seconds), and not for ever.
fn patience(parts: &Parts) -> Duration {
    let preferences = parts.headers.get_all("prefer").iter();
    let wait = preferences
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let seconds = value.trim().trim_matches('"').parse().ok()?;
            name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(seconds))
        });
    wait.unwrap_or(PATIENCE_MAX).min(PATIENCE_MAX)
}

fn content_length(parts: &Parts) -> u64 {
    let length = parts.headers.get(http::header::CONTENT_LENGTH);
    length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(prefer: &str) -> Parts {
        let request = Request::get("/v1/x").header("prefer", prefer).body(());
        request.expect("valid").into_parts().0
    }

    #[test]
    fn a_client_says_itself_how_long_it_waits() {
        assert_eq!(patience(&parts("wait=10")), Duration::from_secs(10));
        assert_eq!(patience(&parts("respond-async, Wait = \"3\"")), Duration::from_secs(3));
        assert_eq!(patience(&parts("return=minimal; wait=0")), Duration::ZERO);
    }

    #[test]
    fn nobody_waits_for_ever() {
        for prefer in ["wait=86400", "wait=-1", "wait=soon", "respond-async", "", "wait"] {
            assert_eq!(patience(&parts(prefer)), PATIENCE_MAX, "{prefer:?}");
        }
    }
}
