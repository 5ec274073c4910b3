//! What the head of a request to Vault's API tells, without executing anything.
//!
//! Shared by everything that must know a request's route before it knows its caller:
//! the server's door, and a proxy in front of any server with this API.

mod login;
mod path;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::identity::VAULT_TOKEN;

pub use crate::vault::login::{ROLE_BODY_BYTES_MAX, is_login, login_role};
pub use crate::vault::path::{BadPath, api_path};

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

/// An administrative path, whoever asks for it.
pub fn is_administration(path: &str) -> bool {
    starts_with_any(path, &ADMINISTRATION)
}

/// A path that keeps work alive which was accepted before.
pub fn is_continuation(path: &str) -> bool {
    starts_with_any(path, &CONTINUATION)
}

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

/// `X-Vault-Token`, or a bearer token.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let vault = headers.get(VAULT_TOKEN).and_then(|value| value.to_str().ok());
    vault.filter(|token| !token.is_empty()).or_else(|| {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    })
}
