//! A SecretID as it is stored: everything but the SecretID.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backend::object;
use crate::cidr::{self, Cidr};
use crate::context::{Scope, UnixTime};
use crate::engines::approle::role::Role;
use crate::engines::go_format::{ZERO_TIME, nanoseconds, rfc3339};
use crate::error::VaultError;

/// The longest SecretID: what Vault hashes at most.
pub(super) const SECRET_ID_BYTES_MAX: usize = 4096;

const NANOSECONDS: u64 = 1_000_000_000;

/// Properties of a SecretID. Times are nanoseconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SecretId {
    pub(super) accessor: String,
    /// Uses left; 0 is unlimited. One that is used up is deleted.
    pub(super) num_uses: u64,
    /// Seconds, as asked for; 0 is forever.
    pub(super) ttl: u64,
    pub(super) created_ns: u64,
    pub(super) updated_ns: u64,
    /// 0 is never.
    pub(super) expires_ns: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) cidrs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) token_cidrs: Vec<String>,
}

impl SecretId {
    /// Whether it may no longer be used.
    pub(super) fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_ns != 0 && self.expires_ns <= nanoseconds(now)
    }

    /// Whether it may be used from an address.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn check_address(&self, role: &Role, remote: IpAddr) -> Result<(), VaultError> {
        check_subset(&self.cidrs, role.secret_id_blocks())?;
        if cidr::allowed(&self.cidrs, remote) {
            return Ok(());
        }
        Err(VaultError::invalid(format!(
            "source address \"{remote}\" unauthorized through CIDR restrictions on the secret ID"
        )))
    }

    /// As clients read it.
    pub(super) fn describe(&self) -> Map<String, Value> {
        let expiration = match self.expires_ns {
            0 => ZERO_TIME.to_owned(),
            expires_ns => rfc3339(expires_ns),
        };
        object([
            ("cidr_list", self.cidrs.clone().into()),
            ("creation_time", rfc3339(self.created_ns).into()),
            ("expiration_time", expiration.into()),
            ("last_updated_time", rfc3339(self.updated_ns).into()),
            (
                "metadata",
                self.metadata.iter().map(|(key, value)| (key.clone(), value.as_str())).collect(),
            ),
            ("secret_id_accessor", self.accessor.clone().into()),
            ("secret_id_num_uses", self.num_uses.into()),
            ("secret_id_ttl", self.ttl.into()),
            ("token_bound_cidrs", self.token_cidrs.clone().into()),
        ])
    }

    /// Stores a new one with its accessor and its place in the order of expiry.
    ///
    /// # Errors
    /// The store failed.
    pub(super) fn create(
        &self,
        storage: &mut Scope<'_, '_>,
        role: &Role,
        hmac: &str,
    ) -> Result<(), VaultError> {
        storage.put(&secret_key(&role.folder, hmac), self)?;
        storage.put(&accessor_key(&role.folder, &self.accessor), &hmac)?;
        match self.expiry_key(&role.folder) {
            Some(key) => storage.put(&key, &()),
            None => Ok(()),
        }
    }

    /// Removes it and what leads to it.
    pub(super) fn remove(&self, storage: &mut Scope<'_, '_>, folder: &str, hmac: &str) {
        storage.delete(&secret_key(folder, hmac));
        storage.delete(&accessor_key(folder, &self.accessor));
        if let Some(key) = self.expiry_key(folder) {
            storage.delete(&key);
        }
    }

    /// Takes one use from it; it goes with its last one.
    ///
    /// # Errors
    /// The store failed.
    pub(super) fn spend(
        mut self,
        storage: &mut Scope<'_, '_>,
        folder: &str,
        hmac: &str,
    ) -> Result<(), VaultError> {
        match self.num_uses {
            0 => Ok(()),
            1 => {
                self.remove(storage, folder, hmac);
                Ok(())
            }
            _ => {
                self.num_uses -= 1;
                self.updated_ns = nanoseconds(storage.now());
                storage.put(&secret_key(folder, hmac), &self)
            }
        }
    }

    fn expiry_key(&self, folder: &str) -> Option<String> {
        let seconds = self.expires_ns / NANOSECONDS;
        (self.expires_ns != 0).then(|| format!("expiry/{seconds:012}.{folder}.{}", self.accessor))
    }
}

/// Where the properties of a SecretID are.
pub(super) fn secret_key(folder: &str, hmac: &str) -> String {
    format!("secret/{folder}/{hmac}")
}

/// Where the HMAC is that belongs to an accessor.
pub(super) fn accessor_key(folder: &str, accessor: &str) -> String {
    format!("accessor/{folder}/{accessor}")
}

/// Refuses blocks of addresses that reach beyond those of the role.
pub(super) fn check_subset(blocks: &[String], of_role: &[String]) -> Result<(), VaultError> {
    let is_within = |block: &String| of_role.iter().any(|outer| covers(outer, block));
    if of_role.is_empty() || blocks.iter().all(is_within) {
        return Ok(());
    }
    Err(VaultError::invalid(format!(
        "failed to verify subset relationship between CIDR blocks on the role {of_role:?} and \
         CIDR blocks on the secret ID {blocks:?}"
    )))
}

/// Whether all addresses of `inner` are in `outer`.
fn covers(outer: &str, inner: &str) -> bool {
    let parts = |block: &str| {
        let (address, length) = block.split_once('/').unzip();
        let address: IpAddr = address.unwrap_or(block).parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Some((address, length.map_or(Ok(bits), str::parse::<u8>).ok()?))
    };
    let (Some((_, outer_bits)), Some((address, inner_bits))) = (parts(outer), parts(inner)) else {
        return false;
    };
    outer_bits <= inner_bits && Cidr::parse(outer).is_some_and(|outer| outer.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_covers_only_what_lies_within_it() {
        assert!(covers("10.0.0.0/8", "10.1.0.0/16"));
        assert!(covers("10.0.0.0/8", "10.0.0.0/8"));
        assert!(covers("10.0.0.0/8", "10.1.2.3"));
        assert!(covers("10.1.2.3", "10.1.2.3/32"));
        assert!(!covers("10.0.0.0/8", "10.0.0.0/7"));
        assert!(!covers("10.0.0.0/8", "11.0.0.0/8"));
        assert!(!covers("10.0.0.0/8", "::/64"));
    }
}
