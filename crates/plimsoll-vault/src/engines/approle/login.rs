//! `login`: the hot path. Two keys are read and at most one is written, besides
//! what the core writes for the token.

use crate::backend::{Answer, Call};
use crate::cidr;
use crate::engines::approle::role;
use crate::engines::approle::secret_id::{SECRET_ID_BYTES_MAX, SecretId, secret_key};
use crate::engines::fields::Fields;
use crate::error::VaultError;
use crate::response::Response;

pub(super) fn login(call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
    let fields = Fields::of(call.request);
    let role_id = fields.trimmed("role_id")?;
    if role_id.is_empty() {
        return Err(VaultError::invalid("missing role_id"));
    }
    let role = role::by_role_id(&mut call.storage, &role_id)?.ok_or_else(refusal)?;
    let remote = call.request.remote;
    let mut grant = role.token.grant(remote);
    if role.bind_secret_id {
        let secret_id = fields.trimmed("secret_id")?;
        let secret = usable(call, &role, &secret_id)?;
        grant.metadata = secret.metadata;
        if !secret.token_cidrs.is_empty() {
            grant.bound_cidrs = secret.token_cidrs;
        }
    }
    if !cidr::allowed(role.secret_id_blocks(), remote) {
        return Err(VaultError::invalid(format!(
            "source address \"{remote}\" unauthorized by CIDR restrictions on the role"
        )));
    }
    grant.metadata.insert("role_name".to_owned(), role.name.clone());
    Ok(Answer { response: Response::default(), grant: Some(grant) })
}

/// The SecretID's properties, with one use of it taken.
fn usable(
    call: &mut Call<'_, '_>,
    role: &role::Role,
    secret_id: &str,
) -> Result<SecretId, VaultError> {
    if secret_id.is_empty() {
        return Err(VaultError::invalid("missing secret_id"));
    }
    if secret_id.len() > SECRET_ID_BYTES_MAX {
        return Err(refusal());
    }
    let hmac = role.secret_id_hmac(secret_id);
    let secret: Option<SecretId> = call.storage.get(&secret_key(&role.folder, &hmac))?;
    let secret =
        secret.filter(|secret| !secret.is_expired(call.storage.now())).ok_or_else(refusal)?;
    secret.check_address(role, call.request.remote)?;
    if secret.num_uses > 0 {
        secret.clone().spend(&mut call.storage, &role.folder, &hmac)?;
    }
    Ok(secret)
}

/// The same for everything that could be wrong with credentials.
fn refusal() -> VaultError {
    VaultError::invalid("invalid role or secret ID")
}
