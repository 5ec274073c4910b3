//! `role/:name/secret-id`, `custom-secret-id` and `secret-id-accessor`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::backend::{Answer, Call, object};
use crate::engines::approle::role::{self, Role};
use crate::engines::approle::secret_id::{
    SECRET_ID_BYTES_MAX, SecretId, accessor_key, check_subset, secret_key,
};
use crate::engines::approle::tidy;
use crate::engines::fields::Fields;
use crate::engines::go_format::nanoseconds;
use crate::engines::{listing, unsupported_path};
use crate::error::VaultError;
use crate::request::Operation;
use crate::response::Response;

/// What every new SecretID removes at most of what has expired: more than one
/// is made by one request, so that the backlog shrinks.
const TIDIED_PER_SECRET_ID_MAX: usize = 4;

/// `secret-id`, `secret-id/lookup` and `secret-id/destroy`.
pub(super) fn handle(
    call: &mut Call<'_, '_>,
    name: &str,
    rest: &[&str],
) -> Result<Answer, VaultError> {
    match (rest, call.request.operation) {
        ([], Operation::Write) => register(call, name, Uuid::new_v4().to_string()),
        ([], Operation::List) => list(call, name),
        (["lookup"], Operation::Write) => lookup(call, name),
        (["destroy"], Operation::Write | Operation::Delete) => destroy(call, name),
        ([] | ["lookup"] | ["destroy"], _) => Err(VaultError::Unsupported),
        _ => Err(unsupported_path()),
    }
}

/// `secret-id-accessor/lookup` and `secret-id-accessor/destroy`.
pub(super) fn handle_accessor(
    call: &mut Call<'_, '_>,
    name: &str,
    verb: &str,
) -> Result<Answer, VaultError> {
    match (verb, call.request.operation) {
        ("lookup", Operation::Write) => lookup_accessor(call, name),
        ("destroy", Operation::Write | Operation::Delete) => destroy_accessor(call, name),
        ("lookup" | "destroy", _) => Err(VaultError::Unsupported),
        _ => Err(unsupported_path()),
    }
}

/// `custom-secret-id`: the client brings the SecretID.
pub(super) fn register_custom(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let secret_id = required(call, "secret_id")?;
    if secret_id.len() > SECRET_ID_BYTES_MAX {
        return Err(VaultError::invalid(format!(
            "failed to create HMAC of secret ID: value is longer than maximum of \
             {SECRET_ID_BYTES_MAX} bytes"
        )));
    }
    register(call, name, secret_id)
}

fn register(call: &mut Call<'_, '_>, name: &str, secret_id: String) -> Result<Answer, VaultError> {
    let role = role::existing(&mut call.storage, name)?;
    if !role.bind_secret_id {
        return Err(VaultError::invalid("bind_secret_id is not set on the role"));
    }
    let properties = properties(call, &role)?;
    let hmac = role.secret_id_hmac(&secret_id);
    let known: Option<SecretId> = call.storage.get(&secret_key(&role.folder, &hmac))?;
    if let Some(known) = known {
        if !known.is_expired(call.storage.now()) {
            let why = "failed to store secret_id: SecretID is already registered";
            return Err(VaultError::invalid(why));
        }
        known.remove(&mut call.storage, &role.folder, &hmac);
    }
    properties.create(&mut call.storage, &role, &hmac)?;
    tidy(&mut call.storage, TIDIED_PER_SECRET_ID_MAX)?;
    Ok(Response::data(object([
        ("secret_id", secret_id.into()),
        ("secret_id_accessor", properties.accessor.into()),
        ("secret_id_num_uses", properties.num_uses.into()),
        ("secret_id_ttl", properties.ttl.min(call.mount.max_lease_ttl).into()),
    ]))
    .into())
}

/// What the new SecretID will be like: as asked, within what the role allows.
fn properties(call: &Call<'_, '_>, role: &Role) -> Result<SecretId, VaultError> {
    let fields = Fields::of(call.request);
    let cidrs = fields.cidrs("cidr_list")?.unwrap_or_default();
    check_subset(&cidrs, role.secret_id_blocks())?;
    let token_cidrs = fields.cidrs("token_bound_cidrs")?.unwrap_or_default();
    check_subset(&token_cidrs, &role.token.bound_cidrs)?;
    let num_uses = fields.count("num_uses", "num_uses cannot be negative")?;
    let num_uses = within(num_uses, role.secret_id_num_uses)
        .ok_or("num_uses cannot be higher than the role's secret_id_num_uses")
        .map_err(VaultError::invalid)?;
    let ttl = within(fields.seconds("ttl")?, role.secret_id_ttl)
        .ok_or("ttl cannot be longer than the role's secret_id_ttl")
        .map_err(VaultError::invalid)?;
    let created_ns = nanoseconds(call.storage.now());
    let lifetime_ns = ttl.min(call.mount.max_lease_ttl).saturating_mul(1_000_000_000);
    Ok(SecretId {
        accessor: Uuid::new_v4().to_string(),
        num_uses,
        ttl,
        created_ns,
        updated_ns: created_ns,
        expires_ns: if lifetime_ns == 0 { 0 } else { created_ns.saturating_add(lifetime_ns) },
        metadata: metadata(&fields.trimmed("metadata")?)?,
        cidrs,
        token_cidrs,
    })
}

/// `asked`, or else the role's; `None` if that is more than the role's. Zero is
/// unlimited on both sides.
fn within(asked: Option<u64>, of_role: u64) -> Option<u64> {
    let asked = asked.unwrap_or(of_role);
    (of_role == 0 || (1..=of_role).contains(&asked)).then_some(asked)
}

/// Metadata as JSON, as JSON in base64, or as `key=value` with commas between.
fn metadata(text: &str) -> Result<BTreeMap<String, String>, VaultError> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let decoded = STANDARD.decode(text).ok();
    let json = serde_json::from_str(text).ok();
    let json = json.or_else(|| serde_json::from_slice(decoded.as_deref()?).ok());
    if let Some(metadata) = json {
        return Ok(metadata);
    }
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    };
    text.split(',').map(str::trim).map(pair).collect::<Option<_>>().ok_or_else(|| {
        VaultError::invalid(
            "failed to parse metadata: failed to parse the input: invalid <key,value> format",
        )
    })
}

fn list(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let role = role::by_name(&mut call.storage, name)?
        .ok_or_else(|| VaultError::invalid(format!("role \"{name}\" does not exist")))?;
    listing::list(call, "accessor/", &role.folder)
}

fn lookup(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let found = find(call, name)?;
    // Vault answers 204 for one that it does not know.
    Ok(found.map_or_else(Response::default, |found| Response::data(found.secret.describe())).into())
}

fn destroy(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    if let Some(found) = find(call, name)? {
        found.secret.remove(&mut call.storage, &found.role.folder, &found.hmac);
    }
    Ok(Response::default().into())
}

fn lookup_accessor(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let accessor = required(call, "secret_id_accessor")?;
    Ok(match find_by_accessor(call, name, &accessor)? {
        Some(found) => Response::data(found.secret.describe()),
        None => Response {
            status: Some(404),
            ..Response::data(object([("error", unknown_accessor(&accessor).into())]))
        },
    }
    .into())
}

fn destroy_accessor(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let accessor = required(call, "secret_id_accessor")?;
    let found = find_by_accessor(call, name, &accessor)?
        .ok_or_else(|| VaultError::NotFound(unknown_accessor(&accessor)))?;
    found.secret.remove(&mut call.storage, &found.role.folder, &found.hmac);
    Ok(Response::default().into())
}

/// A SecretID that a request names.
struct Found {
    role: std::sync::Arc<Role>,
    hmac: String,
    secret: SecretId,
}

fn find(call: &mut Call<'_, '_>, name: &str) -> Result<Option<Found>, VaultError> {
    let secret_id = required(call, "secret_id")?;
    let role = role::existing(&mut call.storage, name)?;
    let hmac = role.secret_id_hmac(&secret_id);
    let secret = call.storage.get(&secret_key(&role.folder, &hmac))?;
    Ok(secret.map(|secret| Found { role, hmac, secret }))
}

fn find_by_accessor(
    call: &mut Call<'_, '_>,
    name: &str,
    accessor: &str,
) -> Result<Option<Found>, VaultError> {
    let role = role::existing(&mut call.storage, name)?;
    let hmac: Option<String> = call.storage.get(&accessor_key(&role.folder, accessor))?;
    let Some(hmac) = hmac else { return Ok(None) };
    let secret = call.storage.get(&secret_key(&role.folder, &hmac))?;
    Ok(secret.map(|secret| Found { role, hmac, secret }))
}

fn unknown_accessor(accessor: &str) -> String {
    format!("failed to find accessor entry for secret_id_accessor: {accessor:?}")
}

/// A parameter from the body or, for DELETE, from the query.
fn required(call: &Call<'_, '_>, field: &str) -> Result<String, VaultError> {
    let in_body = Fields::of(call.request).text(field)?;
    let value = in_body.or_else(|| call.request.query.get(field).cloned());
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| VaultError::invalid(format!("missing {field}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn metadata_comes_in_three_forms() {
        for text in [r#"{"k":"v"}"#, "eyJrIjoidiJ9", "k=v", " k = v "] {
            assert_eq!(metadata(text).unwrap(), BTreeMap::from([("k".into(), "v".into())]));
        }
        assert!(metadata("bad").is_err());
    }

    #[test]
    fn nothing_exceeds_what_the_role_allows() {
        assert_eq!(within(None, 3), Some(3));
        assert_eq!(within(Some(2), 3), Some(2));
        assert_eq!(within(Some(4), 3), None);
        assert_eq!(within(Some(0), 3), None, "unlimited is more than three");
        assert_eq!(within(Some(9), 0), Some(9));
        assert_eq!(within(None, 0), Some(0));
    }
}
