//! The paths of `sys/leases/`, and the older ones beside it.

use serde_json::json;

use crate::backend::object;
use crate::context::Context;
use crate::error::VaultError;
use crate::lease::LEASES_PER_STEP_MAX;
use crate::lease::expire::revoke_prefix;
use crate::lease::index::LEASES;
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::token::authenticate::ancestors_live;
use crate::token::entry::TokenEntry;
use crate::token::lookup::rfc3339;
use crate::token::{live, revoke};

/// Names in one answer; a longer list says that it is cut.
const NAMES_MAX: usize = 50_000;
const LEASE_ID_BYTES_MAX: usize = 4096;

/// A request by someone whom the policies allow it.
#[derive(Debug)]
pub struct LeaseCall<'a> {
    /// The request.
    pub request: &'a Request,
    /// Its path below `sys/`.
    pub path: &'a str,
    /// Whether the policies grant `sudo` on the request's path.
    pub sudo: bool,
}

/// What a path below `sys/` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Lookup(&'a str),
    Renew(&'a str),
    Revoke(&'a str),
    RevokePrefix(&'a str),
    Tidy,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix("leases/").unwrap_or(path);
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        match name {
            "lookup" => Some(Self::Lookup(rest)),
            "renew" => Some(Self::Renew(rest)),
            "revoke" => Some(Self::Revoke(rest)),
            "revoke-prefix" | "revoke-force" => Some(Self::RevokePrefix(rest)),
            "tidy" => Some(Self::Tidy),
            _ => None,
        }
    }
}

/// Whether a path below `sys/` belongs here.
pub fn handles(path: &str) -> bool {
    let is_ours = path.starts_with("leases/")
        || ["renew", "revoke", "revoke-prefix", "revoke-force"].iter().any(|name| {
            path == *name || path.strip_prefix(name).is_some_and(|r| r.starts_with('/'))
        });
    is_ours && Route::of(path).is_some()
}

/// Whether a request to such a path needs `sudo`.
pub fn needs_sudo(operation: Operation, path: &str) -> bool {
    match Route::of(path) {
        Some(Route::RevokePrefix(_)) => true,
        Some(Route::Lookup(_)) => operation == Operation::List,
        _ => false,
    }
}

/// Answers a request to such a path.
///
/// # Errors
/// What the client is to be told.
pub fn handle(cx: &mut Context<'_>, call: &LeaseCall<'_>) -> Result<Response, VaultError> {
    use Operation::{List, Write};
    let operation = call.request.operation;
    if needs_sudo(operation, call.path) && !call.sudo {
        return Err(VaultError::permission_denied());
    }
    let route =
        Route::of(call.path).ok_or_else(|| VaultError::NotFound("unsupported path".to_owned()))?;
    let mut response = match (operation, route) {
        (List, Route::Lookup(prefix)) => list(cx, prefix),
        (Write, Route::Lookup(id)) => lookup(cx, &lease_id(call, id)?),
        (Write, Route::Renew(id)) => renew(cx, &lease_id(call, id)?),
        (Write, Route::Revoke(id)) => revoke_lease(cx, &lease_id(call, id)?),
        (Write, Route::RevokePrefix(prefix)) => revoke_below(cx, prefix),
        (Write, Route::Tidy) => Ok(tidy()),
        _ => Err(VaultError::Unsupported),
    }?;
    response.mount_type = Some("system".into());
    Ok(response)
}

/// From the path, else from the body.
fn lease_id(call: &LeaseCall<'_>, in_path: &str) -> Result<String, VaultError> {
    let id = match in_path {
        "" => call.request.text("lease_id")?.unwrap_or_default(),
        id => id.to_owned(),
    };
    match id.as_str() {
        "" => Err(VaultError::invalid("lease_id must be specified")),
        id if id.len() > LEASE_ID_BYTES_MAX => Err(VaultError::invalid("invalid lease")),
        _ => Ok(id),
    }
}

/// The token behind a lease that has not ended.
fn find(cx: &mut Context<'_>, id: &str) -> Result<Option<(String, TokenEntry)>, VaultError> {
    let Some((_, hash)) = id.rsplit_once("/h") else { return Ok(None) };
    let Some(entry) = live(cx, hash)? else { return Ok(None) };
    let is_it = entry.expires_ms.is_some() && entry.lease_id(hash) == id;
    if !is_it || !ancestors_live(cx, &entry)? {
        return Ok(None);
    }
    Ok(Some((hash.to_owned(), entry)))
}

fn lookup(cx: &mut Context<'_>, id: &str) -> Result<Response, VaultError> {
    let (_, entry) = find(cx, id)?.ok_or_else(|| VaultError::invalid("invalid lease"))?;
    Ok(Response::data(object([
        ("id", json!(id)),
        ("path", json!(entry.path)),
        ("issue_time", rfc3339(Some(entry.created_ms))),
        ("expire_time", rfc3339(entry.expires_ms)),
        ("last_renewal", rfc3339(entry.renewed_ms)),
        ("renewable", json!(entry.renewable)),
        ("ttl", json!(entry.ttl_left(cx.now()))),
    ])))
}

/// As in Vault, a token is not renewed through its lease: that would give it a
/// life that its holder did not ask for.
fn renew(cx: &mut Context<'_>, id: &str) -> Result<Response, VaultError> {
    Err(VaultError::invalid(match find(cx, id)? {
        None => "lease not found",
        Some((_, entry)) if !entry.renewable => "lease is not renewable",
        Some(_) => "tokens cannot be renewed through this endpoint",
    }))
}

fn revoke_lease(cx: &mut Context<'_>, id: &str) -> Result<Response, VaultError> {
    if let Some((hash, _)) = find(cx, id)? {
        revoke::tree(cx, &hash)?;
    }
    Ok(Response::default())
}

fn revoke_below(cx: &mut Context<'_>, prefix: &str) -> Result<Response, VaultError> {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() || prefix.len() > LEASE_ID_BYTES_MAX {
        return Err(VaultError::invalid("prefix must be specified"));
    }
    match find(cx, prefix)? {
        // A prefix that is a lease means that lease.
        Some((hash, _)) => revoke::tree(cx, &hash)?,
        None => revoke_prefix(cx, &format!("{prefix}/"), LEASES_PER_STEP_MAX)?,
    }
    Ok(Response::default())
}

fn list(cx: &Context<'_>, prefix: &str) -> Result<Response, VaultError> {
    let prefix = match prefix.trim_matches('/') {
        "" => LEASES.to_owned(),
        prefix => format!("{LEASES}{prefix}/"),
    };
    let mut names = cx.list(&prefix, "", NAMES_MAX + 1)?;
    if names.is_empty() {
        return Err(VaultError::not_found());
    }
    let is_cut = names.len() > NAMES_MAX;
    names.truncate(NAMES_MAX);
    let mut response = Response::keys(names);
    if is_cut {
        response.warnings.push(format!("only {NAMES_MAX} of more leases are listed"));
    }
    Ok(response)
}

fn tidy() -> Response {
    let said = "Tidy operation successfully started. Any information from the operation will be \
                printed to the server logs.";
    Response { warnings: vec![said.to_owned()], status: Some(202), ..Response::default() }
}
