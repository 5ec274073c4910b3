//! An answer as it is stored.
//!
//! ```text
//! sys/idempotency/record/<name>               the answer
//! sys/idempotency/expiry/<16 hex digits: milliseconds>/<name>
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::response::Response;

/// Bytes of an answer that is kept; those to writes are far smaller.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(super) const RECORDS: &str = "sys/idempotency/record/";
pub(super) const EXPIRIES: &str = "sys/idempotency/expiry/";

pub(super) fn record_key(name: &str) -> String {
    format!("{RECORDS}{name}")
}

/// Sorts records by their ends.
pub(super) fn expiry(at_ms: u64, name: &str) -> String {
    format!("{at_ms:016x}/{name}")
}

pub(super) fn expiry_key(expiry: &str) -> String {
    format!("{EXPIRIES}{expiry}")
}

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the request.
    pub(super) fingerprint: String,
    pub(super) expires_ms: u64,
    /// The request was the last use of its token.
    #[serde(default)]
    pub(super) token_spent: bool,
    /// Nonce and ciphertext.
    sealed: String,
}

impl Record {
    pub(super) fn seal(
        key: &[u8; 32],
        response: &Response,
        fingerprint: &str,
    ) -> Result<Self, VaultError> {
        let mut plain = serde_json::to_vec(response).map(Zeroizing::new).map_err(broken)?;
        if plain.len() > ANSWER_BYTES_MAX {
            return Err(VaultError::TooLarge(format!(
                "the answer is too large to be kept for an Idempotency-Key: {} bytes, max: \
                 {ANSWER_BYTES_MAX} bytes; nothing was executed",
                plain.len()
            )));
        }
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(broken)?;
        let aad = Aad::from(fingerprint.as_bytes());
        let tag = cipher(key)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut plain)
            .map_err(broken)?;
        let sealed = [&nonce[..], &plain, tag.as_ref()].concat();
        Ok(Self {
            fingerprint: fingerprint.to_owned(),
            expires_ms: 0,
            token_spent: false,
            sealed: BASE64.encode(sealed),
        })
    }

    pub(super) fn open(&self, key: &[u8; 32]) -> Result<Response, VaultError> {
        let mut sealed = Zeroizing::new(BASE64.decode(&self.sealed).map_err(broken)?);
        if sealed.len() < NONCE_LEN {
            return Err(broken("short"));
        }
        let (nonce, sealed) = sealed.split_at_mut(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(broken)?;
        let aad = Aad::from(self.fingerprint.as_bytes());
        let plain = cipher(key)?.open_in_place(nonce, aad, sealed).map_err(broken)?;
        serde_json::from_slice(plain).map_err(broken)
    }
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(broken)
}

/// What went wrong may be told from a secret: it is not.
fn broken<E>(_: E) -> VaultError {
    VaultError::Internal("an idempotency record cannot be sealed or opened".to_owned())
}
