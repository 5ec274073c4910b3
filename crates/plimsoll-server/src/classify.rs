//! Which gate a route meets, whose request it is and how much it matters.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use plimsoll::{Class, Cost, Demand, Flow, Timestamp};
use plimsoll_http::door::{Classify, Route};
use plimsoll_listener::PeerAddr;
use plimsoll_vault::Vault;
use serde::Deserialize;

use crate::face::{api_path, operation, query, token};
use crate::logins::RecentLogins;

/// What a transaction adds to the log beside the body: keys, nonces, records.
/// Corrected as soon as the transaction is known.
const OVERHEAD_BYTES: u64 = 1024;
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
    pub(crate) vault: Arc<Vault>,
    pub(crate) logins: Arc<RecentLogins>,
    pub(crate) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Keys the hash of addresses, so that nobody can choose whose share it is.
    pub(crate) hasher: RandomState,
}

impl Classify for VaultRoutes {
    fn classify(&self, parts: &Parts) -> Route {
        let Some(Ok(path)) = api_path(parts.uri.path()) else { return Route::Open };
        let query = query(parts.uri.query().unwrap_or_default());
        let Some(operation) = operation(&parts.method, &query) else { return Route::Open };
        if !self.vault.is_write(operation, &path) {
            return Route::Open;
        }
        let caller = token(&parts.headers).and_then(|token| self.vault.caller(token));
        let flow = caller.as_ref().map_or_else(|| self.address_flow(parts), |c| Flow(c.flow));
        let demand = |class| Demand { class, flow, cost: cost(parts), deadline: None };
        if starts_with_any(&path, &ADMINISTRATION) {
            return match caller {
                Some(caller) if caller.policies_root => Route::Write(demand(Class::Critical)),
                _ => Route::Administration(demand(Class::High)),
            };
        }
        let continues = caller.is_some() && starts_with_any(&path, &CONTINUATION);
        Route::Write(demand(if continues { Class::High } else { Class::Normal }))
    }

    fn refine(&self, parts: &Parts, body: &Bytes, mut demand: Demand) -> Demand {
        demand.cost = Cost::item(body.len() as u64 + OVERHEAD_BYTES);
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
        Some(self.hasher.hash_one((address(parts), path, role)))
    }

    fn address_flow(&self, parts: &Parts) -> Flow {
        Flow(self.hasher.hash_one(address(parts)))
    }
}

/// The client's address; of an IPv6 address the /64, which is what one client is
/// given.
fn address(parts: &Parts) -> IpAddr {
    match remote(parts).to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

/// The client's whole address.
pub(crate) fn remote(parts: &Parts) -> IpAddr {
    parts.extensions.get::<PeerAddr>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

fn cost(parts: &Parts) -> Cost {
    let length = parts.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    Cost::item(length.unwrap_or(0u64).saturating_add(OVERHEAD_BYTES))
}

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}
