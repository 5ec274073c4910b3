//! The paths `sys/policies/acl` and, as older clients call it, `sys/policy`.

use serde_json::{Map, Value, json};

use crate::backend::object;
use crate::context::Context;
use crate::error::VaultError;
use crate::policy::store::{self, StoredPolicy};
use crate::request::{Operation, Request};
use crate::response::Response;
use crate::token::lookup::rfc3339;

/// Whether a path below `sys/` belongs here.
pub fn handles(path: &str) -> bool {
    split(path).is_some()
}

/// Answers a request to such a path by someone whom the policies allow it.
///
/// # Errors
/// What the client is to be told.
pub fn handle(cx: &mut Context<'_>, request: &Request, path: &str) -> Result<Response, VaultError> {
    use Operation::{Delete, List, Read, Write};
    let (is_legacy, name) =
        split(path).ok_or_else(|| VaultError::NotFound("unsupported path".to_owned()))?;
    let mut response = match (request.operation, name) {
        (List, "") => Response::data(names(cx, is_legacy)?),
        (Read, "") if is_legacy => Response::data(names(cx, is_legacy)?),
        (Read, name) if !name.is_empty() => {
            let policy = store::get(cx, name)?.ok_or_else(VaultError::not_found)?;
            Response::data(described(name, policy, is_legacy))
        }
        (Write, name) if !name.is_empty() => {
            let text = match request.text("policy")? {
                None if is_legacy => request.text("rules")?,
                text => text,
            };
            store::put(cx, name, &text.unwrap_or_default())?;
            Response::default()
        }
        (Delete, name) if !name.is_empty() => {
            store::delete(cx, name)?;
            Response::default()
        }
        _ => return Err(VaultError::Unsupported),
    };
    response.mount_type = Some("system".into());
    Ok(response)
}

/// Whether it is the older path, and the policy's name or nothing.
fn split(path: &str) -> Option<(bool, &str)> {
    let (is_legacy, rest) = match path.strip_prefix("policies/acl") {
        Some(rest) => (false, rest),
        None => (true, path.strip_prefix("policy")?),
    };
    if rest.is_empty() {
        return Some((is_legacy, ""));
    }
    Some((is_legacy, rest.strip_prefix('/')?.trim_matches('/')))
}

fn names(cx: &Context<'_>, is_legacy: bool) -> Result<Map<String, Value>, VaultError> {
    let names = json!(store::list(cx)?);
    let mut data = object([("keys", names.clone())]);
    if is_legacy {
        data.insert("policies".to_owned(), names);
    }
    Ok(data)
}

fn described(name: &str, policy: StoredPolicy, is_legacy: bool) -> Map<String, Value> {
    let text_field = if is_legacy { "rules" } else { "policy" };
    let mut data = object([("name", json!(name.to_lowercase())), (text_field, json!(policy.text))]);
    if policy.modified_ms > 0 {
        data.insert("modified".to_owned(), rfc3339(Some(policy.modified_ms)));
    }
    data
}
