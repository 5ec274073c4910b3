//! `sys/internal/ui/mounts`: what clients ask before they do anything, to learn
//! which version of kv a path belongs to.

use serde_json::{Map, Value, json};

use crate::error::VaultError;
use crate::mounts::{MountEntry, MountKind};
use crate::request::Operation;
use crate::response::Response;
use crate::sys::{SysCall, unsupported_path};

pub(super) fn handle(call: &SysCall<'_>, rest: &str) -> Result<Response, VaultError> {
    let rest = rest.strip_prefix("ui/mounts").ok_or_else(unsupported_path)?;
    if call.request.operation != Operation::Read {
        return Err(VaultError::Unsupported);
    }
    match rest.strip_prefix('/') {
        None | Some("") => Ok(visible(call)),
        Some(path) => preflight(call, path),
    }
}

/// All mounts below which the caller may do anything.
fn visible(call: &SysCall<'_>) -> Response {
    let of = |kind: MountKind| -> Map<String, Value> {
        let entries = call.routes.table(kind).iter();
        let allowed = entries.filter(|entry| call.authority.may_see(&entry.route()));
        allowed.map(|entry| (entry.path.clone(), entry.describe().into())).collect()
    };
    Response::data(Map::from_iter([
        ("auth".to_owned(), of(MountKind::Auth).into()),
        ("secret".to_owned(), of(MountKind::Secret).into()),
    ]))
}

/// For someone without a token.
pub(super) fn nothing_visible() -> Response {
    Response::data(Map::from_iter([
        ("auth".to_owned(), json!({})),
        ("secret".to_owned(), json!({})),
    ]))
}

fn preflight(call: &SysCall<'_>, path: &str) -> Result<Response, VaultError> {
    let denied = || {
        VaultError::Denied(format!(
            "preflight capability check returned 403, please ensure client's policies grant \
             access to path \"{}/\"",
            path.trim_end_matches('/')
        ))
    };
    let (entry, _) = call.routes.route(path).ok_or_else(denied)?;
    if !call.authority.grants(path) && !call.authority.may_see(&entry.route()) {
        return Err(denied());
    }
    Ok(Response::data(described(entry)))
}

fn described(entry: &MountEntry) -> Map<String, Value> {
    let mut described = entry.describe();
    described.insert("path".to_owned(), json!(entry.path));
    described
}
