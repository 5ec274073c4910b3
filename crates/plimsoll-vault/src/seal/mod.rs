//! The seal: what must be shown before the server can read its own storage.
//!
//! An *unseal key* encrypts the root key. It is either split into shares that
//! people keep ([`shamir`]) or given to the machine ([`StaticKey`]). The seal's
//! configuration is the only thing stored in the clear.

pub(crate) mod shamir;
mod static_key;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::barrier::{KEY_BYTES, SecretKey};
use crate::error::VaultError;
use crate::seal::shamir::{SHARE_OVERHEAD_BYTES, SHARES_MAX, SecretBytes};

pub use crate::seal::static_key::{InvalidStaticKey, StaticKey};

/// Where the configuration is stored, in the clear.
pub(crate) const SEAL_CONFIG_KEY: &str = "core/seal-config";

/// Where the root key is stored, encrypted with the unseal key.
pub(crate) const ROOT_KEY_KEY: &str = "core/root-key";

const UNSEAL_KEY_BYTES_MIN: usize = 16;
const UNSEAL_KEY_BYTES_MAX: usize = KEY_BYTES + SHARE_OVERHEAD_BYTES;

/// How many shares there are and how many of them unseal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shares {
    pub(crate) shares: u8,
    pub(crate) threshold: u8,
}

impl Shares {
    /// Parses what `sys/init` was sent.
    pub(crate) fn new(shares: u64, threshold: u64) -> Result<Self, VaultError> {
        let problem = match (shares, threshold) {
            (0, _) => "shares must be at least one",
            (_, 0) => "threshold must be at least one",
            (2.., 1) => "threshold must be greater than one for multiple shares",
            (shares, _) if shares > SHARES_MAX => "shares must be less than 256",
            (_, threshold) if threshold > SHARES_MAX => "threshold must be less than 256",
            (shares, threshold) if threshold > shares => "threshold cannot be larger than shares",
            (shares, threshold) => match (u8::try_from(shares), u8::try_from(threshold)) {
                (Ok(shares), Ok(threshold)) => return Ok(Self { shares, threshold }),
                _ => "shares must be less than 256",
            },
        };
        Err(VaultError::invalid(format!("invalid seal configuration: {problem}")))
    }

    /// The shares of a key; a single one is the key itself.
    pub(crate) fn split(self, key: &SecretKey) -> Result<Vec<SecretBytes>, VaultError> {
        if self.shares == 1 {
            return Ok(vec![Zeroizing::new(key.to_vec())]);
        }
        shamir::split(&**key, self.shares, self.threshold)
    }
}

/// What is known of the seal while sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SealConfig {
    /// Of the unseal key or, with a static key, of the recovery key.
    #[serde(flatten)]
    pub(crate) shares: Shares,
    /// Which static key encrypts the root key; `None`: shares do.
    pub(crate) static_key_id: Option<String>,
    pub(crate) cluster_id: String,
}

impl SealConfig {
    pub(crate) fn decode(stored: &[u8]) -> Result<Self, VaultError> {
        serde_json::from_slice(stored)
            .map_err(|error| VaultError::Internal(format!("seal configuration: {error}")))
    }

    pub(crate) const fn seal_type(&self) -> &'static str {
        if self.static_key_id.is_some() { "static" } else { "shamir" }
    }
}

/// The shares collected so far.
#[derive(Default)]
pub(crate) struct Progress {
    shares: Vec<SecretBytes>,
    nonce: String,
}

impl core::fmt::Debug for Progress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Progress").field("shares", &self.shares.len()).finish_non_exhaustive()
    }
}

impl Progress {
    pub(crate) fn count(&self) -> usize {
        self.shares.len()
    }

    /// Identifies this attempt; empty before the first share.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Adds a share. With the last one that is needed, the unseal key that
    /// they make, and a fresh start whether it turns out right or wrong.
    pub(crate) fn offer(
        &mut self,
        share: SecretBytes,
        needed: Shares,
    ) -> Result<Option<SecretKey>, VaultError> {
        check_length(share.len())?;
        if self.nonce.is_empty() {
            self.nonce = uuid::Uuid::new_v4().to_string();
        }
        let known = self.shares.iter().any(|known| same(known, &share));
        if !known {
            self.shares.push(share);
        }
        if self.shares.len() < usize::from(needed.threshold) {
            return Ok(None);
        }
        let shares = core::mem::take(self).shares;
        let key = match &shares[..] {
            [only] => only.clone(),
            shares => shamir::combine(shares).map_err(|error| {
                VaultError::invalid(format!("failed to compute combined key: {error}"))
            })?,
        };
        let key: [u8; KEY_BYTES] = key.as_slice().try_into().map_err(|_| {
            let why = format!("crypto/aes: invalid key size {}", key.len());
            VaultError::invalid(format!("invalid key: failed to setup unseal key: {why}"))
        })?;
        Ok(Some(Zeroizing::new(key)))
    }
}

fn check_length(bytes: usize) -> Result<(), VaultError> {
    let problem = match bytes {
        ..UNSEAL_KEY_BYTES_MIN => format!("shorter than minimum {UNSEAL_KEY_BYTES_MIN} bytes"),
        UNSEAL_KEY_BYTES_MIN..=UNSEAL_KEY_BYTES_MAX => return Ok(()),
        _ => format!("longer than maximum {UNSEAL_KEY_BYTES_MAX} bytes"),
    };
    Err(VaultError::invalid(format!("invalid key: key is {problem}")))
}

/// Without telling, by the time it takes, where two shares differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}
