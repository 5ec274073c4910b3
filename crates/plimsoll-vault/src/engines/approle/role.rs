//! A role: what its tokens are like and what its SecretIDs must be like.

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::context::Scope;
use crate::engines::fields::Fields;
use crate::engines::go_format::go_duration;
use crate::engines::token_params::{Alias, TokenParams, set};
use crate::engines::{is_name, unsupported_path};
use crate::error::VaultError;

/// The deprecated names of this method's parameters.
pub(super) const ALIASES: [Alias; 2] = [("token_policies", "policies"), ("token_period", "period")];

/// What is stored of a role.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) role_id: String,
    /// Keys the HMACs of this role's SecretIDs.
    hmac_key: String,
    /// Below which its SecretIDs are stored.
    pub(super) folder: String,
    pub(super) bind_secret_id: bool,
    /// `None` until it is set for the first time, which clients can see.
    pub(super) secret_id_bound_cidrs: Option<Vec<String>>,
    /// Uses of a new SecretID; 0 is unlimited.
    pub(super) secret_id_num_uses: u64,
    /// Seconds a new SecretID is valid; 0 is forever.
    pub(super) secret_id_ttl: u64,
    pub(super) local_secret_ids: bool,
    pub(super) token: TokenParams,
}

impl Role {
    /// A role as it is if nothing is said about it. `name` is in lower case.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role_id: Uuid::new_v4().to_string(),
            hmac_key: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
            folder: Uuid::new_v4().simple().to_string(),
            bind_secret_id: true,
            secret_id_bound_cidrs: None,
            secret_id_num_uses: 0,
            secret_id_ttl: 0,
            local_secret_ids: false,
            token: TokenParams::default(),
        }
    }

    /// Takes over what is given; what is absent stays.
    ///
    /// # Errors
    /// Something is unreadable, or the result contradicts itself.
    pub(super) fn update(&mut self, fields: Fields<'_>, max_ttl: u64) -> Result<(), VaultError> {
        self.token.update(fields, &ALIASES)?;
        set(&mut self.role_id, fields.text("role_id")?);
        if self.role_id.is_empty() {
            let why = "invalid role_id supplied, or failed to generate a role_id";
            return Err(VaultError::invalid(why));
        }
        set(&mut self.bind_secret_id, fields.flag("bind_secret_id")?);
        for name in ["bound_cidr_list", "secret_id_bound_cidrs"] {
            if let Some(blocks) = fields.cidrs(name)? {
                self.secret_id_bound_cidrs = Some(blocks);
            }
        }
        let negative = "secret_id_num_uses cannot be negative";
        set(&mut self.secret_id_num_uses, fields.count("secret_id_num_uses", negative)?);
        set(&mut self.secret_id_ttl, fields.seconds("secret_id_ttl")?);
        self.check(max_ttl)
    }

    /// `max_ttl` is the mount's, in seconds.
    fn check(&self, max_ttl: u64) -> Result<(), VaultError> {
        if self.token.period > max_ttl {
            return Err(VaultError::invalid(format!(
                "period of \"{}\" is greater than the backend's maximum lease TTL of \"{}\"",
                go_duration(self.token.period),
                go_duration(max_ttl)
            )));
        }
        if self.has_constraint() {
            return Ok(());
        }
        Err(VaultError::invalid("at least one constraint should be enabled on the role"))
    }

    /// Without any, knowing the RoleID would be enough to log in from anywhere.
    pub(super) fn has_constraint(&self) -> bool {
        self.bind_secret_id
            || !self.secret_id_blocks().is_empty()
            || !self.token.bound_cidrs.is_empty()
    }

    /// Where SecretIDs may be used; empty is anywhere.
    pub(super) fn secret_id_blocks(&self) -> &[String] {
        self.secret_id_bound_cidrs.as_deref().unwrap_or_default()
    }

    /// The role as clients read it.
    pub(super) fn describe(&self) -> Map<String, Value> {
        let mut data = Map::new();
        self.token.describe(&mut data, &ALIASES);
        data.insert("bind_secret_id".into(), self.bind_secret_id.into());
        data.insert("local_secret_ids".into(), self.local_secret_ids.into());
        data.insert("secret_id_bound_cidrs".into(), self.secret_id_bound_cidrs.clone().into());
        data.insert("secret_id_num_uses".into(), self.secret_id_num_uses.into());
        data.insert("secret_id_ttl".into(), self.secret_id_ttl.into());
        data
    }

    /// What stands for a SecretID of this role in the store.
    pub(super) fn secret_id_hmac(&self, secret_id: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.hmac_key.as_bytes());
        hex::encode(hmac::sign(&key, secret_id.as_bytes()))
    }

    /// Writes the role, and moves it if its RoleID was `previous_role_id`.
    ///
    /// # Errors
    /// The RoleID belongs to another role, or the store failed.
    pub(super) fn store(
        &self,
        storage: &mut Scope<'_, '_>,
        previous_role_id: Option<&str>,
    ) -> Result<(), VaultError> {
        let index = index(&self.role_id);
        if previous_role_id != Some(self.role_id.as_str()) {
            let other: Option<Arc<Self>> = storage.get_shared(&key(&index))?;
            if other.is_some_and(|other| other.name != self.name) {
                return Err(VaultError::invalid("role_id already in use"));
            }
            if let Some(previous) = previous_role_id {
                storage.delete(&key(&self::index(previous)));
            }
            storage.put(&format!("role/{}", self.name), &index)?;
        }
        storage.put(&key(&index), self)
    }

    /// Removes the role and what leads to it.
    pub(super) fn remove(&self, storage: &mut Scope<'_, '_>) {
        storage.delete(&format!("role/{}", self.name));
        storage.delete(&key(&index(&self.role_id)));
    }
}

/// RoleIDs may be chosen, of any length and with any characters; keys may not.
fn index(role_id: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, role_id.as_bytes()))
}

fn key(index: &str) -> String {
    format!("role_id/{index}")
}

/// The role that has a RoleID.
///
/// # Errors
/// The store could not be read.
pub(super) fn by_role_id(
    storage: &mut Scope<'_, '_>,
    role_id: &str,
) -> Result<Option<Arc<Role>>, VaultError> {
    storage.get_shared(&key(&index(role_id)))
}

/// The role of a name, in whatever case.
///
/// # Errors
/// No role can have that name, or the store could not be read.
pub(super) fn by_name(
    storage: &mut Scope<'_, '_>,
    name: &str,
) -> Result<Option<Arc<Role>>, VaultError> {
    if !is_name(name) {
        return Err(unsupported_path());
    }
    let index: Option<Arc<String>> =
        storage.get_shared(&format!("role/{}", name.to_lowercase()))?;
    match index {
        Some(index) => storage.get_shared(&key(&index)),
        None => Ok(None),
    }
}

/// As [`by_name`] where the role must exist.
///
/// # Errors
/// It does not.
pub(super) fn existing(storage: &mut Scope<'_, '_>, name: &str) -> Result<Arc<Role>, VaultError> {
    by_name(storage, name)?
        .ok_or_else(|| VaultError::NotFound(format!("role \"{name}\" does not exist")))
}
