//! The keys of the barrier: one per epoch, the newest of which encrypts.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::VaultError;
use crate::plaintext::Plaintext;

/// Bytes of every key here.
pub(crate) const KEY_BYTES: usize = 32;

/// A key that is erased when dropped.
pub(crate) type SecretKey = Zeroizing<[u8; KEY_BYTES]>;

/// Encryptions with one key at most. Nonces are a random start plus a counter,
/// never drawn anew, so the 2^32 of random nonces does not apply; what bounds
/// GCM then is the number of blocks, which stays below 2^56 here.
pub(crate) const ENCRYPTIONS_PER_KEY_MAX: u64 = 1 << 40;

/// Epochs kept at most: each holds a key that old entries may need.
pub(crate) const EPOCHS_MAX: usize = 4096;

const VERSION: u8 = 1;
const EPOCH_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const HEADER_BYTES: usize = EPOCH_BYTES + 1 + NONCE_BYTES;

/// A new random key.
pub(crate) fn random_key() -> Result<SecretKey, VaultError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(&mut *key).map_err(|_| internal("no randomness"))?;
    Ok(key)
}

/// What is stored, itself encrypted with the root key.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredKeyring {
    /// Oldest first.
    epochs: Vec<StoredEpoch>,
}

#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct StoredEpoch {
    epoch: u32,
    /// In base64.
    key: String,
    /// Seconds since the Unix epoch.
    installed: u64,
}

impl fmt::Debug for StoredKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKeyring").field("epochs", &self.epochs.len()).finish_non_exhaustive()
    }
}

impl StoredKeyring {
    /// A keyring with one key, or this one with one more.
    pub(crate) fn with_new_epoch(mut self, now_seconds: u64) -> Result<Self, VaultError> {
        if self.epochs.len() >= EPOCHS_MAX {
            return Err(VaultError::invalid("too many key epochs"));
        }
        let epoch = self.epochs.last().map_or(1, |last| last.epoch + 1);
        let key = BASE64.encode(*random_key()?);
        self.epochs.push(StoredEpoch { epoch, key, installed: now_seconds });
        Ok(self)
    }

    /// Without keys: the start of [`StoredKeyring::with_new_epoch`].
    pub(crate) const fn empty() -> Self {
        Self { epochs: Vec::new() }
    }
}

/// The keys, ready for use. aws-lc erases its key schedules when they are freed.
pub(crate) struct Keyring {
    /// Oldest first; the last one encrypts. Their epochs ascend.
    keys: Vec<EpochKey>,
}

struct EpochKey {
    epoch: u32,
    installed: u64,
    key: BarrierKey,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("epochs", &self.keys.len()).finish_non_exhaustive()
    }
}

/// What `sys/key-status` tells.
#[derive(Clone, Copy, Debug)]
pub struct KeyStatus {
    /// The epoch that encrypts.
    pub term: u32,
    /// When its key was made, in seconds since the Unix epoch.
    pub installed: u64,
    /// Encryptions with it since the server was unsealed.
    pub encryptions: u64,
}

impl Keyring {
    pub(crate) fn new(stored: &StoredKeyring) -> Result<Self, VaultError> {
        let mut keys = Vec::with_capacity(stored.epochs.len());
        for epoch in &stored.epochs {
            let raw = Zeroizing::new(BASE64.decode(&epoch.key).map_err(|_| internal("keyring"))?);
            let key = BarrierKey::new(&raw)?;
            keys.push(EpochKey { epoch: epoch.epoch, installed: epoch.installed, key });
        }
        if keys.is_empty() {
            return Err(internal("empty keyring"));
        }
        Ok(Self { keys })
    }

    pub(crate) fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Bytes, VaultError> {
        let active = self.active()?;
        active.key.seal(active.epoch, aad, plain)
    }

    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Plaintext, VaultError> {
        let epoch = epoch_of(sealed)?;
        let index = self
            .keys
            .binary_search_by_key(&epoch, |key| key.epoch)
            .map_err(|_| internal("encrypted with an unknown key"))?;
        self.keys[index].key.open(aad, sealed)
    }

    pub(crate) fn status(&self) -> Result<KeyStatus, VaultError> {
        let active = self.active()?;
        let encryptions = active.key.encryptions.load(Ordering::Relaxed);
        Ok(KeyStatus { term: active.epoch, installed: active.installed, encryptions })
    }

    fn active(&self) -> Result<&EpochKey, VaultError> {
        self.keys.last().ok_or_else(|| internal("empty keyring"))
    }
}

/// AES-256-GCM with one key, over `epoch (u32, big endian), version, nonce,
/// ciphertext and tag`. The caller's bytes are authenticated beside it.
pub(crate) struct BarrierKey {
    key: LessSafeKey,
    nonces_start: u128,
    encryptions: AtomicU64,
}

impl BarrierKey {
    pub(crate) fn new(raw: &[u8]) -> Result<Self, VaultError> {
        let key = UnboundKey::new(&AES_256_GCM, raw).map_err(|_| internal("key length"))?;
        let mut start = [0; 16];
        rand::fill(&mut start).map_err(|_| internal("no randomness"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            nonces_start: u128::from_be_bytes(start),
            encryptions: AtomicU64::new(0),
        })
    }

    pub(crate) fn seal(&self, epoch: u32, aad: &[u8], plain: &[u8]) -> Result<Bytes, VaultError> {
        let nonce = self.next_nonce()?;
        let tag_bytes = AES_256_GCM.tag_len();
        let mut sealed = BytesMut::with_capacity(HEADER_BYTES + plain.len() + tag_bytes);
        sealed.extend_from_slice(&epoch.to_be_bytes());
        sealed.extend_from_slice(&[VERSION]);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut sealed[HEADER_BYTES..],
            )
            .map_err(|_| internal("encryption failed"))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed.freeze())
    }

    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Plaintext, VaultError> {
        let (header, body) =
            sealed.split_at_checked(HEADER_BYTES).ok_or_else(|| internal("entry too short"))?;
        if header[EPOCH_BYTES] != VERSION {
            return Err(internal("entry of an unknown version"));
        }
        let nonce = Nonce::try_assume_unique_for_key(&header[EPOCH_BYTES + 1..])
            .map_err(|_| internal("nonce"))?;
        let mut plain = Plaintext::from(body.to_vec());
        let plain_bytes = self
            .key
            .open_in_place(nonce, Aad::from(aad), &mut plain)
            .map_err(|_| internal("message authentication failed"))?
            .len();
        plain.truncate(plain_bytes);
        Ok(plain)
    }

    /// Two servers that start at random among 2^96 nonces meet with a chance
    /// that stays below 2^-35 for a million restarts of 2^40 encryptions each.
    fn next_nonce(&self) -> Result<[u8; NONCE_BYTES], VaultError> {
        let count = self.encryptions.fetch_add(1, Ordering::Relaxed);
        if count >= ENCRYPTIONS_PER_KEY_MAX {
            return Err(internal("the key was used too often, rotate it"));
        }
        let nonce = self.nonces_start.wrapping_add(u128::from(count)).to_be_bytes();
        let mut low = [0; NONCE_BYTES];
        low.copy_from_slice(&nonce[16 - NONCE_BYTES..]);
        Ok(low)
    }
}

fn epoch_of(sealed: &[u8]) -> Result<u32, VaultError> {
    let bytes = sealed.first_chunk().ok_or_else(|| internal("entry too short"))?;
    Ok(u32::from_be_bytes(*bytes))
}

fn internal(why: &str) -> VaultError {
    VaultError::Internal(format!("barrier: {why}"))
}
