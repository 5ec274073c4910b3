//! Removing what can no longer be used: SecretIDs that expired, and those of
//! deleted roles. It takes a bounded bite each time, as a part of the background
//! work ([`step`]) or because somebody asks for it.
//!
//! Both are found in the order of keys. What is removed is read first, so a
//! SecretID that changes meanwhile makes the decision be made again. That the
//! folder of a deleted role is empty may be relied upon: SecretIDs are only
//! added by decisions that read the role, and the commit that marked the folder
//! deleted it.

use crate::backend::{Answer, Call};
use crate::context::{Context, Scope};
use crate::engines::approle::secret_id::{SecretId, accessor_key, secret_key};
use crate::error::VaultError;
use crate::mounts::Routes;
use crate::response::Response;

/// SecretIDs that one request to `tidy/secret-id` removes at most.
const TIDIED_PER_REQUEST_MAX: usize = 1000;

/// One bite of the background work, for all mounts together. Returns how many SecretIDs
/// it removed.
pub(crate) fn step(context: &mut Context<'_>, items_max: usize) -> Result<usize, VaultError> {
    let auth = Routes::read(context)?.auth;
    let mut removed = 0;
    for mount in auth.iter().filter(|mount| mount.engine == "approle") {
        let left = items_max.saturating_sub(removed);
        removed += tidy(&mut context.scope(&mount.storage()), left)?.removed;
    }
    Ok(removed)
}

/// What a bite removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tidied {
    /// SecretIDs removed.
    pub removed: usize,
    /// Whether nothing is left to be removed.
    pub is_done: bool,
}

/// `tidy/secret-id`.
pub(super) fn request(call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
    let tidied = tidy(&mut call.storage, TIDIED_PER_REQUEST_MAX)?;
    let mut warnings = vec![
        "Tidy operation successfully started. Any information from the operation will be printed \
         to Vault's server logs."
            .to_owned(),
    ];
    if !tidied.is_done {
        warnings.push(format!("{} SecretIDs removed, more are left", tidied.removed));
    }
    Ok(Response { status: Some(202), warnings, ..Response::default() }.into())
}

/// Marks the SecretIDs of a deleted role for removal.
pub(super) fn orphan(storage: &mut Scope<'_, '_>, folder: &str) -> Result<(), VaultError> {
    storage.put(&format!("orphans/{folder}"), &())
}

/// Removes at most `items_max` SecretIDs that can no longer be used.
///
/// # Errors
/// The store failed.
pub fn tidy(storage: &mut Scope<'_, '_>, items_max: usize) -> Result<Tidied, VaultError> {
    let mut removed = 0;
    // Most of the time the first one shows that there is nothing to do.
    let first = storage.list("expiry/", "", 1)?.pop();
    let now = storage.now().seconds();
    let is_due = first.is_some_and(|name| expired_before(&name, now).is_some());
    let look_at = if is_due { items_max + 1 } else { 0 };
    for name in storage.list("expiry/", "", look_at)? {
        // Those that expire in the second that has begun wait for its end.
        let Some((folder, accessor)) = expired_before(&name, now) else {
            break;
        };
        if removed == items_max {
            return Ok(Tidied { removed, is_done: false });
        }
        remove(storage, folder, accessor)?;
        storage.delete(&format!("expiry/{name}"));
        removed += 1;
    }
    for folder in storage.list("orphans/", "", items_max + 1)? {
        let accessors = storage.list(&format!("accessor/{folder}/"), "", items_max + 1)?;
        for accessor in accessors {
            if removed == items_max {
                return Ok(Tidied { removed, is_done: false });
            }
            remove(storage, &folder, &accessor)?;
            removed += 1;
        }
        storage.delete(&format!("orphans/{folder}"));
    }
    Ok(Tidied { removed, is_done: true })
}

/// The folder and the accessor in the name of an entry that has expired.
fn expired_before(name: &str, now_seconds: u64) -> Option<(&str, &str)> {
    let (seconds, rest) = name.split_once('.')?;
    (seconds.parse::<u64>().ok()? < now_seconds).then_some(rest)?.split_once('.')
}

fn remove(storage: &mut Scope<'_, '_>, folder: &str, accessor: &str) -> Result<(), VaultError> {
    let key = accessor_key(folder, accessor);
    let Some(hmac) = storage.get::<String>(&key)? else { return Ok(()) };
    storage.delete(&key);
    let secret: Option<SecretId> = storage.get(&secret_key(folder, &hmac))?;
    if let Some(secret) = secret.filter(|secret| secret.accessor == accessor) {
        secret.remove(storage, folder, &hmac);
    }
    Ok(())
}
