//! A vault whose data is another cluster's: what it keeps of its own, and how the
//! other's keys get here.
//!
//! The data of a secondary is the primary's, byte for byte, encrypted with the
//! primary's keyring, which is encrypted with the primary's root key. That root key
//! is all that has to come over:
//!
//! ```text
//! the secondary's unseal key -> its own root key -> the primary's root key -> keyring
//! ```
//!
//! It is sent encrypted to a key pair that the secondary has made for this one
//! exchange, and is kept encrypted with the secondary's own root key, whose own seal
//! stays as it was: whoever holds the shares of the secondary unseals the secondary.
//! Rotations of the keyring come with the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use plimsoll_store::Revision;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::audit::Devices;
use crate::barrier::{self, KEY_BYTES, KEYRING_KEY, SecretKey};
use crate::error::VaultError;
use crate::plaintext::Plaintext;
use crate::seal::{ROOT_KEY_KEY, SEAL_CONFIG_KEY};
use crate::sys::MAINTENANCE_KEY;
use crate::vault::Vault;
use crate::vault::lifecycle::{secret_key, stored};

/// What the keys of an exchange are bound to.
const EXCHANGE: &str = "replication/root-key";
/// What the primary's root key is bound to where the secondary keeps it.
const PRIMARY_ROOT: &str = "replication/primary-root-key";
/// What the secondary's other secrets are bound to.
const SECRETS: &str = "replication/secrets";

/// Where a promoted secondary keeps its own seal.
const OWN_SEAL_KEY: &str = "core/own-seal";

/// Records of replication behind the barrier have keys below this.
const RECORDS: &str = "core/replication/";

/// The seal of a secondary: its own, and the primary's root key behind it. Nothing in
/// it is in the clear but the number of shares.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnSeal {
    config: String,
    root_key: String,
    primary_root_key: String,
}

/// Makes the key pair of one exchange.
#[derive(Debug)]
pub struct Recipient {
    private: PrivateKey,
    public: Vec<u8>,
}

impl Recipient {
    /// A new one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new() -> Result<Self, VaultError> {
        let private = PrivateKey::generate(&X25519).map_err(|_| internal("no key pair"))?;
        let public = private.compute_public_key().map_err(|_| internal("no public key"))?;
        Ok(Self { private, public: public.as_ref().to_vec() })
    }

    /// To be sent to the other side.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    fn open(&self, sealed: &[u8]) -> Result<SecretKey, VaultError> {
        let refused = || VaultError::invalid("the primary's root key cannot be decrypted");
        let (theirs, wrapped) = sealed.split_at_checked(self.public.len()).ok_or_else(refused)?;
        let key = shared_key(&self.private, theirs, [theirs, &self.public])?;
        let plain = barrier::unwrap(&key, EXCHANGE, wrapped).map_err(|_| refused())?;
        secret_key(&plain)
    }
}

/// One key of two halves: X25519, then HKDF-SHA-256 over both public keys.
fn shared_key(
    private: &PrivateKey,
    public: &[u8],
    both: [&[u8]; 2],
) -> Result<SecretKey, VaultError> {
    let failed = || VaultError::invalid("not a public key");
    let public = UnparsedPublicKey::new(&X25519, public);
    agreement::agree(private, public, failed(), |secret| {
        let info = [EXCHANGE.as_bytes(), both[0], both[1]];
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(secret)
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *key))
            .map_err(|_| failed())?;
        Ok(key)
    })
}

impl Vault {
    /// The root key, for the holder of `public` alone.
    ///
    /// # Errors
    /// It is sealed, or `public` is no public key.
    pub fn export_root_key(&self, public: &[u8]) -> Result<Vec<u8>, VaultError> {
        let ours = Recipient::new()?;
        let key = shared_key(&ours.private, public, [&ours.public, public])?;
        let wrapped = barrier::wrap(&key, EXCHANGE, &*self.root_key()?)?;
        Ok([ours.public(), &*wrapped].concat())
    }

    /// Takes a primary's root key behind this vault's own seal, and `secrets` with it.
    ///
    /// # Errors
    /// It is sealed, or the key was not made for this recipient.
    pub fn adopt(
        &self,
        recipient: &Recipient,
        sealed: &[u8],
        secrets: &[u8],
    ) -> Result<(OwnSeal, Vec<u8>), VaultError> {
        let primary_root = recipient.open(sealed)?;
        let view = self.store.view();
        let seal = OwnSeal {
            config: BASE64.encode(stored(&*view, SEAL_CONFIG_KEY)?),
            root_key: BASE64.encode(stored(&*view, ROOT_KEY_KEY)?),
            primary_root_key: BASE64.encode(barrier::wrap(
                &self.root_key()?,
                PRIMARY_ROOT,
                &*primary_root,
            )?),
        };
        let secrets = barrier::wrap(&primary_root, SECRETS, secrets)?;
        Ok((seal, secrets.into()))
    }

    /// The secrets that [`Vault::adopt`] was given, before and after the data of the
    /// primary is here.
    ///
    /// # Errors
    /// It is sealed, or they are of another adoption.
    pub fn adopted_secrets(&self, seal: &OwnSeal, secrets: &[u8]) -> Result<Plaintext, VaultError> {
        barrier::unwrap(&self.primary_root_key(seal)?, SECRETS, secrets)
    }

    /// Opens with the primary's root key as `other`, which has adopted it, knows it.
    ///
    /// # Errors
    /// The other is sealed, or the data here is not the primary's.
    pub fn unseal_adopted(&self, other: &Self, seal: &OwnSeal) -> Result<(), VaultError> {
        if !self.is_sealed() {
            return Ok(());
        }
        self.unseal_with_root(&other.primary_root_key(seal)?)
    }

    fn primary_root_key(&self, seal: &OwnSeal) -> Result<SecretKey, VaultError> {
        let root_key = self.root_key()?;
        if self.options.own_seal.is_some() {
            return Ok(root_key);
        }
        seal.unwrap_primary(&root_key)
    }

    /// Whether writes go to a primary.
    pub fn is_following(&self) -> bool {
        self.following.load(Ordering::Acquire)
    }

    /// From here on it decides for itself.
    pub fn stop_following(&self) {
        self.following.store(false, Ordering::Release);
        self.work.notify_one();
    }

    /// Keeps its own seal with the data, from now on in the place of the primary's.
    ///
    /// # Errors
    /// The store failed.
    pub async fn keep_seal(self: &Arc<Self>, seal: &OwnSeal) -> Result<(), VaultError> {
        let seal = serde_json::to_vec(seal).map_err(|error| internal(&error.to_string()))?;
        let seal = Bytes::from(seal);
        self.transact(None, move |context| {
            context.put_raw(OWN_SEAL_KEY, seal.clone());
            Ok(())
        })
        .await
    }

    /// The seal in the place of that of the data: of a secondary, or of one that was
    /// promoted.
    pub(super) fn own_seal(&self) -> Result<Option<OwnSeal>, VaultError> {
        if self.options.own_seal.is_some() {
            return Ok(self.options.own_seal.clone());
        }
        let stored = self.store.view().get(OWN_SEAL_KEY.as_bytes())?;
        let parsed = stored.map(|entry| serde_json::from_slice(&entry.value)).transpose();
        parsed.map_err(|_| internal("own seal"))
    }

    /// Takes over what came with the log and is kept in memory: a new epoch of the
    /// keyring, the window of maintenance, audit devices, quotas. Cheap when nothing has
    /// changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn refresh(&self) -> Result<(), VaultError> {
        if self.is_sealed() {
            return Ok(());
        }
        let view = self.store.view();
        let revision = |key: &str| -> Result<Revision, VaultError> {
            Ok(view.get(key.as_bytes())?.map_or(0, |entry| entry.mod_revision))
        };
        let keyring = revision(KEYRING_KEY)?;
        if self.refreshed.swap(keyring, Ordering::AcqRel) != keyring {
            self.barrier.install(&self.stored_keyring(&self.root_key()?)?)?;
        }
        let window = revision(MAINTENANCE_KEY)?;
        if self.window.swap(window, Ordering::AcqRel) != window {
            self.announce_window()?;
        }
        let devices = self.glance(Devices::read)?;
        self.audit().reconcile(&devices);
        self.reconcile_quotas()
    }

    /// A record of replication, decrypted.
    ///
    /// # Errors
    /// It is sealed, or the store cannot be read.
    pub fn replication_record(&self, name: &str) -> Result<Option<serde_json::Value>, VaultError> {
        self.glance(|context| context.get(&format!("{RECORDS}{name}")))
    }

    /// Changes a record of replication in one transaction: `None` removes it. Enters a
    /// commit past the gate: it is replication's.
    ///
    /// # Errors
    /// What `change` says, or the store failed.
    pub async fn change_replication_record<T: Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        mut change: impl FnMut(
            Option<serde_json::Value>,
        ) -> Result<(Option<serde_json::Value>, T), VaultError>
        + Send
        + 'static,
    ) -> Result<T, VaultError> {
        let key = format!("{RECORDS}{name}");
        self.transact(None, move |context| {
            let (next, answer) = change(context.get(&key)?)?;
            match next {
                Some(record) => context.put(&key, &record)?,
                None => context.delete(&key),
            }
            Ok(answer)
        })
        .await
    }
}

impl OwnSeal {
    pub(crate) fn config(&self) -> Result<Bytes, VaultError> {
        decode(&self.config)
    }

    /// The root key of the data, given the unseal key.
    pub(crate) fn unwrap(&self, unseal_key: &SecretKey) -> Result<SecretKey, VaultError> {
        let own = barrier::unwrap(unseal_key, ROOT_KEY_KEY, &decode(&self.root_key)?)?;
        self.unwrap_primary(&secret_key(&own)?)
    }

    fn unwrap_primary(&self, own_root_key: &SecretKey) -> Result<SecretKey, VaultError> {
        let wrapped = decode(&self.primary_root_key)?;
        secret_key(&barrier::unwrap(own_root_key, PRIMARY_ROOT, &wrapped)?)
    }
}

fn decode(text: &str) -> Result<Bytes, VaultError> {
    BASE64.decode(text).map(Bytes::from).map_err(|_| internal("base64"))
}

fn internal(why: &str) -> VaultError {
    VaultError::Internal(format!("replication: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_key_is_for_its_recipient_alone() {
        let (sender, recipient, other) =
            (Recipient::new().unwrap(), Recipient::new().unwrap(), Recipient::new().unwrap());
        let key = Zeroizing::new([7; KEY_BYTES]);
        let public = recipient.public();
        let shared = shared_key(&sender.private, public, [&sender.public, public]).unwrap();
        let wrapped = barrier::wrap(&shared, EXCHANGE, &*key).unwrap();
        let sealed = [sender.public(), &*wrapped].concat();
        assert_eq!(*recipient.open(&sealed).unwrap(), *key);
        assert!(other.open(&sealed).is_err());
        assert!(recipient.open(&sealed[..sealed.len() - 1]).is_err());
        assert!(recipient.open(&[]).is_err());
    }
}
