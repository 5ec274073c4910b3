//! `role` and `role/:name`.

use crate::backend::{Answer, Call};
use crate::engines::approle::role::{self, Role};
use crate::engines::approle::tidy;
use crate::engines::fields::Fields;
use crate::engines::listing;
use crate::error::VaultError;
use crate::request::Operation;
use crate::response::Response;

/// `LIST role`.
pub(super) fn list(call: &Call<'_, '_>) -> Result<Answer, VaultError> {
    listing::list(call, "", "role")
}

/// Everything on one role.
pub(super) fn handle(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    match call.request.operation {
        Operation::Write => write(call, name),
        Operation::Read => read(call, name),
        Operation::Delete => delete(call, name),
        Operation::List | Operation::Patch => Err(VaultError::Unsupported),
    }
}

fn write(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let existing = role::by_name(&mut call.storage, name)?;
    let previous_role_id = existing.as_ref().map(|role| role.role_id.clone());
    let mut role = match &existing {
        Some(role) => Role::clone(role),
        None => Role::new(&name.to_lowercase()),
    };
    let mut data = call.request.data.clone();
    let mut response = Response::default();
    if let Some(token_type) = data.get_mut("token_type") {
        for (old, new) in [("default-service", "service"), ("default-batch", "batch")] {
            if *token_type == old {
                *token_type = new.into();
                let warning = format!("{old} has no useful meaning; adjusting to {new}");
                response.warnings.push(warning);
            }
        }
    }
    let fields = Fields(&data);
    if let Some(local) = fields.flag("local_secret_ids")? {
        if existing.is_some() {
            let why = "local_secret_ids can only be modified during role creation";
            return Err(VaultError::invalid(why));
        }
        role.local_secret_ids = local;
    }
    role.update(fields, call.mount.max_lease_ttl)?;
    if role.token.max_ttl > call.mount.max_lease_ttl {
        response.warnings.push(
            "token_max_ttl is greater than the backend mount's maximum TTL value; issued \
             tokens' max TTL value will be truncated"
                .to_owned(),
        );
    }
    role.store(&mut call.storage, previous_role_id.as_deref())?;
    Ok(response.into())
}

fn read(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    let role = role::by_name(&mut call.storage, name)?.ok_or_else(VaultError::not_found)?;
    Ok(Response::data(role.describe()).into())
}

fn delete(call: &mut Call<'_, '_>, name: &str) -> Result<Answer, VaultError> {
    if let Some(role) = role::by_name(&mut call.storage, name)? {
        role.remove(&mut call.storage);
        tidy::orphan(&mut call.storage, &role.folder)?;
    }
    Ok(Response::default().into())
}
