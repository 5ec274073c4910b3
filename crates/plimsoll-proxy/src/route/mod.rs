//! Which gate a request meets, how much it matters and whose it is.
//!
//! Routes that cost the upstream different things have gates of their own: a storm of
//! logins must not take the reads down with it. Of a Vault the routes are known; of
//! any other server only the methods are, and what the configuration says.

mod rule;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use http::Method;
use http::request::Parts;
use plimsoll::{Class, Flow, Timestamp};
use plimsoll_http::identity::network;
use plimsoll_http::vault::{self, api_path, is_continuation, is_login};
use plimsoll_http::{Flows, Vouched};

use crate::upstream::UpstreamKind;

pub use crate::route::rule::{Matcher, Rule};

/// The gate of a Vault's logins: several durable writes each.
pub(crate) const LOGINS: &str = "upstream.logins";
/// The gate of everything else that writes.
pub(crate) const WRITES: &str = "upstream.writes";
/// The gate of what only reads.
pub(crate) const READS: &str = "upstream.reads";

/// What tells how a Vault is, and what an operator needs to bring it back: neither
/// waits nor is refused.
const VAULT_OPEN: [&str; 7] = [
    "sys/health",
    "sys/seal-status",
    "sys/leader",
    "sys/init",
    "sys/unseal",
    "sys/seal",
    "sys/step-down",
];

/// Where other servers tell how they are.
const HEALTH: [&str; 7] =
    ["/health", "/healthz", "/livez", "/readyz", "/ready", "/ping", "/-/healthy"];

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route<'r> {
    /// The gate it meets; `None` passes.
    pub(crate) gate: Option<&'r str>,
    pub(crate) class: Class,
    /// It is a login at a Vault: its body says for which role.
    pub(crate) login: bool,
    /// A good answer proves that the caller is somebody: an anonymous one would
    /// have got another. Much of a Vault's `sys/` answers anybody.
    pub(crate) proving: bool,
}

impl<'r> Route<'r> {
    const fn through(gate: &'r str, class: Class) -> Self {
        Self { gate: Some(gate), class, login: false, proving: true }
    }

    const OPEN: Self = Self { gate: None, class: Class::Critical, login: false, proving: false };
}

/// Finds the route. `known` says whether the caller has proved to be somebody: what
/// keeps accepted work alive goes first, but not for just anybody.
pub(crate) fn route<'r>(
    rules: &'r [Rule],
    kind: UpstreamKind,
    parts: &Parts,
    known: impl FnOnce() -> bool,
) -> Route<'r> {
    if let Some(rule) = rules.iter().find(|rule| rule.matches(parts)) {
        return match &rule.gate {
            Some(gate) => Route::through(gate, rule.class),
            None => Route::OPEN,
        };
    }
    let by_method = if reads(&parts.method) { READS } else { WRITES };
    let plain = Route::through(by_method, Class::Normal);
    let path = parts.uri.path();
    if kind == UpstreamKind::Http {
        let health = HEALTH.contains(&path) && reads(&parts.method);
        return if health { Route::OPEN } else { plain };
    }
    // What could be read in two ways is the upstream's to refuse; nothing but its
    // method counts here.
    let Some(Ok(path)) = api_path(path) else { return plain };
    if VAULT_OPEN.contains(&&*path) {
        return Route::OPEN;
    }
    if by_method == WRITES && is_login(&path) {
        return Route { login: true, ..Route::through(LOGINS, Class::Normal) };
    }
    let first = is_continuation(&path) || vault::is_administration(&path);
    let class = if first && known() { Class::High } else { Class::Normal };
    Route { class, proving: !path.starts_with("sys/"), ..plain }
}

fn reads(method: &Method) -> bool {
    // LIST is Vault's, QUERY the safe method with a body.
    method.is_safe() || matches!(method.as_str(), "LIST" | "QUERY" | "PROPFIND" | "SEARCH")
}

/// Whose request it is: from what an attacker cannot choose.
///
/// A token cannot be checked here, but once the upstream has answered to it, it is
/// somebody's; an (address, role) pair once it has logged in. Until then all that
/// comes from an address shares one flow.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    flows: Flows,
    vouched: Vouched,
}

/// A request's flow, and the one that a good answer would prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) flow: Flow,
    claim: Option<Flow>,
}

impl Identity {
    pub(crate) fn is_known(&self) -> bool {
        self.claim == Some(self.flow)
    }
}

impl Identities {
    /// Of what an operator's own header names.
    pub(crate) fn named(&self, name: &[u8]) -> Identity {
        Identity { flow: self.flows.of(&("header", name)), claim: None }
    }

    /// Of a request with a token, or with none.
    pub(crate) fn of_token(&self, client: IpAddr, token: Option<&str>, now: Timestamp) -> Identity {
        let claim = token.map(|token| self.flows.of(&("token", token)));
        self.claimed(client, claim, now)
    }

    /// Of a login.
    pub(crate) fn of_login(
        &self,
        client: IpAddr,
        path: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Identity {
        let role = vault::login_role(body);
        let claim = self.flows.of(&("login", network(client), path, role));
        self.claimed(client, Some(claim), now)
    }

    fn claimed(&self, client: IpAddr, claim: Option<Flow>, now: Timestamp) -> Identity {
        let proved = claim.filter(|claim| self.vouched.contains(*claim, now));
        let flow = proved.unwrap_or_else(|| self.flows.of_address(client));
        Identity { flow, claim }
    }

    /// The upstream gave a good answer.
    pub(crate) fn prove(&self, identity: &Identity, now: Timestamp) {
        if let Some(claim) = identity.claim {
            self.vouched.insert(claim, now);
        }
    }
}
