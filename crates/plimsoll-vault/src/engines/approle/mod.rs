//! AppRole: machines log in with a RoleID, which is like a user name, and a
//! SecretID, which is like a password with an expiry and a number of uses.
//!
//! # Keys
//! | key | value |
//! |---|---|
//! | `role/<name>` | under which hash the role is |
//! | `role_id/<hash of the RoleID>` | the role |
//! | `secret/<folder>/<HMAC of the SecretID>` | the SecretID's properties |
//! | `accessor/<folder>/<accessor>` | the HMAC of that SecretID |
//! | `expiry/<seconds>.<folder>.<accessor>` | nothing: the order in which SecretIDs expire |
//! | `orphans/<folder>` | nothing: a deleted role whose SecretIDs are still to be removed |
//!
//! A login reads two keys: the role and the SecretID. The folder and the HMAC
//! key are drawn at random when a role is created, so a role that is created
//! again under its old name accepts none of its old SecretIDs, and deleting one
//! with a million of them is one small commit; [`tidy()`] removes them later.
//!
//! The use that a login takes from a SecretID is in the commit of the token, so
//! a refused or failed login takes none.

mod login;
mod role;
mod roles;
mod secret_id;
mod secret_ids;
mod settings;
mod tidy;

pub(crate) use tidy::step as tidy_step;
pub use tidy::{Tidied, tidy};

use crate::backend::{Answer, Backend, Call};
use crate::engines::fields::Fields;
use crate::engines::unsupported_path;
use crate::error::VaultError;
use crate::request::Operation;

/// The engine.
#[derive(Debug)]
pub struct AppRole;

impl Backend for AppRole {
    fn kind(&self) -> &'static str {
        "approle"
    }

    fn is_login(&self, path: &str) -> bool {
        path == "login"
    }

    fn frees(&self, path: &str) -> bool {
        path.starts_with("tidy/") || path.ends_with("/destroy")
    }

    fn has_roles(&self) -> bool {
        true
    }

    fn login_role(&self, call: &mut Call<'_, '_>) -> Result<Option<String>, VaultError> {
        let role_id = Fields::of(call.request).trimmed("role_id")?;
        let role = role::by_role_id(&mut call.storage, &role_id)?;
        Ok(role.map(|role| role.name.clone()))
    }

    fn exists(&self, call: &mut Call<'_, '_>) -> Result<Option<bool>, VaultError> {
        match call.path.strip_prefix("role/") {
            Some(name) if !name.contains('/') => {
                Ok(Some(role::by_name(&mut call.storage, name)?.is_some()))
            }
            _ => Ok(None),
        }
    }

    fn handle(&self, call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
        let segments: Vec<&str> = call.path.trim_end_matches('/').split('/').collect();
        match (segments.as_slice(), call.request.operation) {
            (["login"], Operation::Write) => login::login(call),
            (["tidy", "secret-id"], Operation::Write) => tidy::request(call),
            (["role"], Operation::List) => roles::list(call),
            (["login"] | ["role"] | ["tidy", "secret-id"], _) => Err(VaultError::Unsupported),
            (["role", name], _) => roles::handle(call, name),
            (["role", name, "secret-id", rest @ ..], _) => secret_ids::handle(call, name, rest),
            (["role", name, "custom-secret-id"], Operation::Write) => {
                secret_ids::register_custom(call, name)
            }
            (["role", name, "secret-id-accessor", verb], _) => {
                secret_ids::handle_accessor(call, name, verb)
            }
            (["role", name, setting], _) => settings::handle(call, name, setting),
            _ => Err(unsupported_path()),
        }
    }
}
