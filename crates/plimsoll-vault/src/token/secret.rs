//! Token ids: made, hashed, and for batch tokens, sealed and opened.
//!
//! The store never holds an id. A token's accessor is a keyed hash of its id,
//! and the hash that it is stored under is a keyed hash of the accessor:
//!
//! ```text
//! id --HMAC--> accessor --HMAC--> hash
//! ```
//!
//! So both an id and an accessor lead to the entry without an index in between,
//! and a login writes one entry less. Neither arrow can be followed backwards.
//! An accessor has 142 bits, more than anyone can search.

use core::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::token::entry::TokenEntry;

/// A presented token longer than this is nobody's.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// 95 characters of base64url.
const SERVICE_RANDOM_BYTES: usize = 71;
const ACCESSOR_CHARS: usize = 24;
const BATCH_SALT_BYTES: usize = 24;
const BATCH_FORMAT: u8 = 1;

const SERVICE_PREFIX: &str = "hvs.";
pub(crate) const BATCH_PREFIX: &str = "hvb.";

/// The keys behind ids. The underlying contexts are wiped when it is dropped.
pub(crate) struct TokenKeys {
    hash: hmac::Key,
    batch: hmac::Key,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").finish_non_exhaustive()
    }
}

impl TokenKeys {
    pub(crate) fn new(hash_key: &[u8; 32], batch_key: &[u8; 32]) -> Self {
        Self {
            hash: hmac::Key::new(hmac::HMAC_SHA256, hash_key),
            batch: hmac::Key::new(hmac::HMAC_SHA256, batch_key),
        }
    }

    /// What names the token `id`.
    pub(crate) fn accessor(&self, id: &SecretString) -> String {
        const ALPHABET: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let tag = self.tag(&self.hash, "accessor", id.expose_secret().as_bytes());
        tag.as_ref()
            .iter()
            .take(ACCESSOR_CHARS)
            // The slight bias of the remainder costs a thousandth of a bit.
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
            .collect()
    }

    /// What the token with this accessor is stored under: 64 hex digits.
    pub(crate) fn hash_of_accessor(&self, accessor: &str) -> String {
        hex::encode(self.tag(&self.hash, "id", accessor.as_bytes()))
    }

    /// What the token `id` is stored under.
    pub(crate) fn hash(&self, id: &SecretString) -> String {
        self.hash_of_accessor(&self.accessor(id))
    }

    /// A batch token that carries `entry`. Each has a key of its own, derived
    /// from a random salt, so no number of them exhausts a key's nonces.
    pub(crate) fn seal_batch(&self, entry: &TokenEntry) -> Result<SecretString, VaultError> {
        let mut token = vec![BATCH_FORMAT];
        token.extend_from_slice(&*random::<BATCH_SALT_BYTES>()?);
        let key = self.batch_key(&token)?;
        let mut sealed = serde_json::to_vec(entry)
            .map_err(|error| VaultError::Internal(format!("unencodable token: {error}")))?;
        key.seal_in_place_append_tag(zero_nonce(), Aad::from(&token), &mut sealed)
            .map_err(|_| VaultError::Internal("batch token cannot be sealed".to_owned()))?;
        token.append(&mut sealed);
        Ok(format!("{BATCH_PREFIX}{}", URL_SAFE_NO_PAD.encode(token)).into())
    }

    /// What a batch token carries; `None` if it is not one of ours.
    pub(crate) fn open_batch(&self, id: &SecretString) -> Option<TokenEntry> {
        let encoded = id.expose_secret().strip_prefix(BATCH_PREFIX)?;
        let mut token = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        if token.len() < 1 + BATCH_SALT_BYTES || token[0] != BATCH_FORMAT {
            return None;
        }
        let (head, sealed) = token.split_at_mut(1 + BATCH_SALT_BYTES);
        let key = self.batch_key(head).ok()?;
        let plain = key.open_in_place(zero_nonce(), Aad::from(&*head), sealed).ok()?;
        serde_json::from_slice(plain).ok()
    }

    fn batch_key(&self, salt: &[u8]) -> Result<LessSafeKey, VaultError> {
        let key = self.tag(&self.batch, "batch", salt);
        UnboundKey::new(&AES_256_GCM, key.as_ref())
            .map(LessSafeKey::new)
            .map_err(|_| VaultError::Internal("batch token key".to_owned()))
    }

    /// A key for one purpose.
    pub(crate) fn derive(&self, purpose: &str, from: &[u8]) -> [u8; 32] {
        let mut derived = [0; 32];
        derived.copy_from_slice(self.tag(&self.hash, purpose, from).as_ref());
        derived
    }

    fn tag(&self, key: &hmac::Key, domain: &str, data: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(key);
        context.update(domain.as_bytes());
        context.update(&[0]);
        context.update(data);
        context.sign()
    }
}

/// Safe because the key is used once.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// A new service token's id.
pub(crate) fn random_service_id() -> Result<SecretString, VaultError> {
    let bytes = random::<SERVICE_RANDOM_BYTES>()?;
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    Ok(format!("{SERVICE_PREFIX}{}", *encoded).into())
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, VaultError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::fill(&mut *bytes)
        .map_err(|_| VaultError::Internal("no randomness from the system".to_owned()))?;
    Ok(bytes)
}
