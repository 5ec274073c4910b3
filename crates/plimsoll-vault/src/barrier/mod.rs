//! The barrier: nothing passes to the store in the clear.
//!
//! ```text
//! unseal key or static key -> root key -> keyring -> every entry
//! ```
//!
//! The arrows read "decrypts". Sealing drops the keyring, and with it the means
//! to read anything; the root key is in memory only while one of the first two
//! arrows is followed. An entry is bound to the key it is stored under, so that
//! nobody who can write to the disk can put one in the place of another.

mod keyring;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use crate::barrier::keyring::{BarrierKey, Keyring};
use crate::context::Cipher;
use crate::error::VaultError;
use crate::plaintext::Plaintext;

pub use crate::barrier::keyring::KeyStatus;
pub(crate) use crate::barrier::keyring::{KEY_BYTES, SecretKey, StoredKeyring, random_key};

/// Where the keyring is stored, encrypted with the root key.
pub(crate) const KEYRING_KEY: &str = "core/keyring";

/// The keyring while the server is unsealed.
#[derive(Debug, Default)]
pub(crate) struct Barrier {
    keyring: ArcSwapOption<Keyring>,
}

impl Barrier {
    pub(crate) fn is_sealed(&self) -> bool {
        self.keyring.load().is_none()
    }

    /// Opens: from here on entries can be read.
    pub(crate) fn install(&self, stored: &StoredKeyring) -> Result<(), VaultError> {
        self.keyring.store(Some(Arc::new(Keyring::new(stored)?)));
        Ok(())
    }

    /// Closes. A decision that is under way keeps the keys until it ends.
    pub(crate) fn seal(&self) {
        self.keyring.store(None);
    }

    pub(crate) fn key_status(&self) -> Result<KeyStatus, VaultError> {
        self.keyring.load().as_ref().ok_or(VaultError::Sealed)?.status()
    }
}

impl Cipher for Barrier {
    fn seal(&self, key: &[u8], plain: &[u8]) -> Result<Bytes, VaultError> {
        self.keyring.load().as_ref().ok_or(VaultError::Sealed)?.seal(key, plain)
    }

    fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Plaintext, VaultError> {
        self.keyring.load().as_ref().ok_or(VaultError::Sealed)?.open(key, sealed)
    }
}

/// Encrypts one key or keyring with another key, bound to where it is stored.
pub(crate) fn wrap(key: &SecretKey, place: &str, plain: &[u8]) -> Result<Bytes, VaultError> {
    BarrierKey::new(&**key)?.seal(0, place.as_bytes(), plain)
}

/// The inverse of [`wrap`].
pub(crate) fn unwrap(key: &SecretKey, place: &str, sealed: &[u8]) -> Result<Plaintext, VaultError> {
    BarrierKey::new(&**key)?.open(place.as_bytes(), sealed)
}
