//! `sys/`: the server about itself.
//!
//! What concerns the seal is answered before there is anything to decide
//! ([`open`]); everything else is part of a decision like any other request,
//! and what it changes is in the same transaction as the use of its token.

mod audit;
mod body;
mod capabilities;
mod maintenance;
mod mounts;
mod seal;
mod tune;
mod ui;

use crate::context::Context;
use crate::error::VaultError;
use crate::lease::{self, LeaseCall};
use crate::mounts::{MountKind, Routes};
use crate::policy;
use crate::quota;
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::sys::body::merged;
use crate::token::Authenticated;
use crate::vault::{Authority, Effect, Vault};

pub(crate) use crate::sys::audit::device_to_try;
pub(crate) use crate::sys::body::rfc3339;
pub(crate) use crate::sys::maintenance::MAINTENANCE_KEY;
pub use crate::sys::maintenance::MaintenanceRecord;
pub(crate) use crate::sys::seal::{Opened, open};

/// A request to `sys/` by someone whom the policies allow it.
pub(crate) struct SysCall<'c> {
    pub(crate) vault: &'c Vault,
    pub(crate) request: &'c Request,
    /// Its path below `sys/`.
    pub(crate) path: &'c str,
    pub(crate) routes: &'c Routes,
    pub(crate) who: &'c Authenticated,
    pub(crate) authority: &'c Authority,
    /// Whether the policies grant `sudo` on the request's path.
    pub(crate) sudo: bool,
}

/// An answer, and what is to happen once it is committed.
pub(crate) struct SysAnswer {
    pub(crate) response: Response,
    pub(crate) effect: Option<Effect>,
}

impl From<Response> for SysAnswer {
    fn from(response: Response) -> Self {
        Self { response, effect: None }
    }
}

impl SysAnswer {
    /// 204, and then the effect.
    pub(crate) fn then(effect: Effect) -> Self {
        Self { response: Response::default(), effect: Some(effect) }
    }
}

/// 404 as Vault says it of a path that it does not serve.
pub(crate) fn unsupported_path() -> VaultError {
    VaultError::NotFound("1 error occurred:\n\t* unsupported path\n\n".to_owned())
}

/// Whether a request may come from someone with no policy for it, or with no
/// token at all: what it is answered depends on who asks.
pub(crate) fn is_open(request: &Request) -> bool {
    let path = request.path.trim_end_matches('/');
    request.operation == Operation::Read
        && path
            .strip_prefix("sys/internal/ui/mounts")
            .is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// Answers such a request of someone without a good token.
pub(crate) fn handle_anonymous(
    request: &Request,
    error: VaultError,
) -> Result<Response, VaultError> {
    if request.path.trim_end_matches('/') == "sys/internal/ui/mounts" {
        return Ok(ui::nothing_visible());
    }
    Err(error)
}

/// Whether a path below `sys/` needs `sudo`.
pub(crate) fn needs_sudo(operation: Operation, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let (first, _) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "audit" | "seal" | "step-down" | "rotate" | "raw" => true,
        "auth" => path != "auth",
        _ => lease::handles(path) && lease::needs_sudo(operation, path),
    }
}

/// Whether a request to this whole path reads only, although its operation
/// looks like a write.
pub(crate) fn only_reads(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    if let Some(below) = path.strip_prefix("auth/token/") {
        return matches!(below, "lookup" | "lookup-self" | "lookup-accessor" | "tidy");
    }
    let Some(below) = path.strip_prefix("sys/") else { return false };
    let (first, _) = below.split_once('/').unwrap_or((below, ""));
    matches!(
        first,
        "unseal"
            | "seal"
            | "step-down"
            | "seal-status"
            | "audit-hash"
            | "capabilities"
            | "capabilities-self"
            | "capabilities-accessor"
    ) || matches!(below, "leases/lookup" | "leases/tidy")
        || below.starts_with("leases/lookup/")
}

/// What a server does to itself, secondary or not.
pub(crate) fn is_local(path: &str) -> bool {
    matches!(path, "sys/seal" | "sys/unseal" | "sys/init")
}

/// Answers.
pub(crate) fn handle(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
) -> Result<SysAnswer, VaultError> {
    let operation = call.request.operation;
    let path = call.path.trim_end_matches('/');
    if needs_sudo(operation, path) && !call.sudo {
        return Err(VaultError::permission_denied());
    }
    if lease::handles(path) {
        let lease_call = LeaseCall { request: call.request, path, sudo: call.sudo };
        let response = lease::handle(context, &lease_call)?;
        let effect = path.contains("revoke").then_some(Effect::WorkAdded);
        return Ok(SysAnswer { response, effect });
    }
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "mounts" => mounts::handle(context, call, MountKind::Secret, rest),
        "auth" => mounts::handle(context, call, MountKind::Auth, rest),
        "remount" => Err(unsupported_path()),
        "policies" | "policy" if policy::handles(path) => policies(context, call, path),
        "capabilities" | "capabilities-self" | "capabilities-accessor" if rest.is_empty() => {
            capabilities::handle(context, call, first).map(Into::into)
        }
        "audit" => audit::handle(context, call, rest),
        "audit-hash" => audit::hash(call, rest).map(Into::into),
        "quotas" => quota::handle(context, call, rest),
        "maintenance" if rest.is_empty() => maintenance::handle(context, call),
        "internal" => ui::handle(call, rest).map(Into::into),
        "key-status" => key_status(call).map(Into::into),
        "rotate" if matches!(rest, "" | "keyring") => writes_only(operation, Effect::Rotate),
        "seal" if rest.is_empty() => writes_only(operation, Effect::Seal),
        // One node has nobody to hand over to, and Vault says 204 to that.
        "step-down" if rest.is_empty() && operation == Operation::Write => {
            Ok(Response::default().into())
        }
        _ => Err(unsupported_path()),
    }
}

/// The older of the two paths has its data twice.
fn policies(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    path: &str,
) -> Result<SysAnswer, VaultError> {
    let response = policy::handle(context, call.request, path)?;
    match response.data {
        Some(data) if path.starts_with("policy") => Ok(merged(call.request, data).into()),
        _ => Ok(response.into()),
    }
}

fn writes_only(operation: Operation, effect: Effect) -> Result<SysAnswer, VaultError> {
    match operation {
        Operation::Write => Ok(SysAnswer::then(effect)),
        _ => Err(VaultError::Unsupported),
    }
}

fn key_status(call: &SysCall<'_>) -> Result<Response, VaultError> {
    if call.request.operation != Operation::Read {
        return Err(VaultError::Unsupported);
    }
    let status = call.vault.key_status()?;
    Ok(merged(
        call.request,
        crate::backend::object([
            ("term", status.term.into()),
            ("install_time", rfc3339(status.installed.saturating_mul(1000)).into()),
            ("encryptions", status.encryptions.into()),
        ]),
    ))
}
