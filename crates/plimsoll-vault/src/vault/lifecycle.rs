//! Opening and closing: initialise, unseal, seal, rotate.

use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use plimsoll::write::Place;
use plimsoll_store::View;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::audit::Devices;
use crate::barrier::{self, Barrier, KEY_BYTES, KEYRING_KEY, SecretKey, StoredKeyring, random_key};
use crate::context::{Cipher, Context};
use crate::error::VaultError;
use crate::mounts::{MountEntry, MountKind, MountTable};
use crate::seal::shamir::SecretBytes;
use crate::seal::{ROOT_KEY_KEY, SEAL_CONFIG_KEY, SealConfig, Shares};
use crate::sys::MaintenanceRecord;
use crate::token::TokenService;
use crate::vault::{Status, Vault};

/// Where the keys behind tokens are stored.
const TOKEN_KEYS_KEY: &str = "core/token-keys";

/// Where the key is stored whose shares were given out as recovery keys.
const RECOVERY_KEY_KEY: &str = "core/recovery-key";

/// A copy of the root key behind the barrier, for rotations.
const ROOT_KEY_COPY_KEY: &str = "core/root-key-copy";

/// What the sealed checksums of a snapshot are bound to.
const SNAPSHOT_SUMS: &[u8] = b"snapshot/SHA256SUMS";

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct StoredKey {
    key: Vec<u8>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct StoredTokenKeys {
    hash: [u8; KEY_BYTES],
    batch: [u8; KEY_BYTES],
}

impl StoredTokenKeys {
    fn random() -> Result<Self, VaultError> {
        Ok(Self { hash: *random_key()?, batch: *random_key()? })
    }

    fn service(&self) -> TokenService {
        TokenService::new(&self.hash, &self.batch)
    }
}

/// What an initialisation hands out, once.
pub(crate) struct Initialized {
    pub(crate) shares: Vec<SecretBytes>,
    pub(crate) root_token: String,
}

/// What [`Vault::initialize_dev`] hands out.
pub struct DevKeys {
    /// The root token.
    pub root_token: String,
    /// The only share, in base64.
    pub unseal_key: String,
}

impl core::fmt::Debug for DevKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DevKeys").finish_non_exhaustive()
    }
}

/// Everything that an initialisation generates before it decides.
struct Genesis {
    config: SealConfig,
    unseal_key: SecretKey,
    root_key: SecretKey,
    keyring: StoredKeyring,
    token_keys: StoredTokenKeys,
    recovery_key: Option<SecretKey>,
    root_token: Option<SecretString>,
    dev_mounts: bool,
    barrier: Arc<Barrier>,
}

impl Vault {
    /// Initialises and unseals with one share and Vault's development mounts.
    ///
    /// # Errors
    /// It is initialised already, or the store failed.
    pub async fn initialize_dev(
        self: &Arc<Self>,
        root_token: Option<&str>,
    ) -> Result<DevKeys, VaultError> {
        let shares = Shares::new(1, 1)?;
        let root_token = root_token.map(|token| SecretString::from(token.to_owned()));
        let made = self.create(shares, root_token, true, None).await?;
        let key = made.shares.first().cloned().unwrap_or_default();
        if self.options.auto_unseal.is_some() {
            self.auto_unseal()?;
        } else {
            self.offer_share(key.clone()).await?;
        }
        Ok(DevKeys { root_token: made.root_token, unseal_key: BASE64.encode(&*key) })
    }

    /// Initialises. With a static key the shares are of a recovery key, and it
    /// is unsealed afterwards.
    pub(crate) async fn initialize(
        self: &Arc<Self>,
        shares: Shares,
        place: Option<Place>,
    ) -> Result<Initialized, VaultError> {
        let made = self.create(shares, None, false, place).await?;
        self.auto_unseal()?;
        Ok(made)
    }

    async fn create(
        self: &Arc<Self>,
        shares: Shares,
        root_token: Option<SecretString>,
        dev_mounts: bool,
        place: Option<Place>,
    ) -> Result<Initialized, VaultError> {
        let _sealing = self.sealing.lock().await;
        let genesis = self.genesis(shares, root_token, dev_mounts)?;
        let split = genesis.recovery_key.as_ref().unwrap_or(&genesis.unseal_key);
        let handed_out = shares.split(split)?;
        let cipher = Arc::clone(&genesis.barrier) as Arc<dyn Cipher>;
        let root_token =
            self.transact_with(cipher, place, move |context| genesis.write(context)).await?;
        Ok(Initialized { shares: handed_out, root_token })
    }

    fn genesis(
        &self,
        shares: Shares,
        root_token: Option<SecretString>,
        dev_mounts: bool,
    ) -> Result<Genesis, VaultError> {
        let now = (self.options.clock)();
        let static_key = self.options.auto_unseal.as_ref();
        let keyring = StoredKeyring::empty().with_new_epoch(now.seconds())?;
        let barrier = Arc::<Barrier>::default();
        barrier.install(&keyring)?;
        Ok(Genesis {
            config: SealConfig {
                shares,
                static_key_id: static_key.map(|key| key.id().to_owned()),
                cluster_id: uuid::Uuid::new_v4().to_string(),
            },
            unseal_key: match static_key {
                Some(key) => key.key().clone(),
                None => random_key()?,
            },
            recovery_key: static_key.map(|_| random_key()).transpose()?,
            root_key: random_key()?,
            keyring,
            token_keys: StoredTokenKeys::random()?,
            root_token,
            dev_mounts,
            barrier,
        })
    }

    /// Takes one share, in whatever state the server is.
    pub(crate) async fn offer_share(
        self: &Arc<Self>,
        share: SecretBytes,
    ) -> Result<Status, VaultError> {
        let _sealing = self.sealing.lock().await;
        let Some(config) = self.seal_config()? else {
            return Err(VaultError::invalid("Vault is not initialized"));
        };
        if !self.is_sealed() || config.static_key_id.is_some() {
            return Ok(self.status());
        }
        let key = {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.offer(share, config.shares)?
        };
        if let Some(key) = key {
            self.unseal_with(&key)?;
        }
        Ok(self.status())
    }

    /// Forgets the shares given so far.
    pub(crate) fn reset_progress(&self) -> Status {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
        self.status()
    }

    pub(super) fn auto_unseal(&self) -> Result<(), VaultError> {
        let Some(config) = self.seal_config()? else { return Ok(()) };
        let Some(id) = config.static_key_id else { return Ok(()) };
        match &self.options.auto_unseal {
            Some(key) if key.id() == id => self.unseal_with(key.key()),
            _ => Err(VaultError::Internal(format!(
                "the storage is sealed with the static key {id:?}, which is not the configured one"
            ))),
        }
    }

    fn unseal_with(&self, unseal_key: &SecretKey) -> Result<(), VaultError> {
        let wrong = |_| {
            VaultError::invalid(
                "unable to retrieve stored keys: invalid key: failed to decrypt keys from \
                 storage: cipher: message authentication failed",
            )
        };
        if let Some(own) = self.own_seal()? {
            return self.unseal_with_root(&own.unwrap(unseal_key).map_err(wrong)?);
        }
        let root_key = stored(&*self.store.view(), ROOT_KEY_KEY)?;
        let root_key = barrier::unwrap(unseal_key, ROOT_KEY_KEY, &root_key).map_err(wrong)?;
        self.unseal_with_root(&secret_key(&root_key)?)
    }

    pub(super) fn unseal_with_root(&self, root_key: &SecretKey) -> Result<(), VaultError> {
        let view = self.store.view();
        self.barrier.install(&self.stored_keyring(root_key)?)?;
        let opened = self.load(&*view);
        if opened.is_err() {
            self.seal_now();
        }
        opened
    }

    /// Opens with the keys by which another vault is open: the data of both is of one
    /// cluster.
    ///
    /// # Errors
    /// The other is sealed, or its keys are not those of this data.
    pub fn unseal_like(&self, other: &Self) -> Result<(), VaultError> {
        if !self.is_sealed() {
            return Ok(());
        }
        self.unseal_with_root(&other.root_key()?)
    }

    pub(super) fn stored_keyring(&self, root_key: &SecretKey) -> Result<StoredKeyring, VaultError> {
        unwrap_keyring(root_key, &stored(&*self.store.view(), KEYRING_KEY)?)
    }

    /// The root key, while unsealed.
    pub(super) fn root_key(&self) -> Result<SecretKey, VaultError> {
        let stored: StoredKey =
            self.glance(|context| context.get(ROOT_KEY_COPY_KEY))?.ok_or(VaultError::Sealed)?;
        secret_key(&stored.key)
    }

    /// Encrypts the checksums of a snapshot, so that this cluster can tell its own.
    ///
    /// # Errors
    /// It is sealed.
    pub fn seal_sums(&self, sums: &[u8]) -> Result<Vec<u8>, VaultError> {
        Cipher::seal(&*self.barrier, SNAPSHOT_SUMS, sums).map(Vec::from)
    }

    /// Whether [`Vault::seal_sums`] of this cluster has made `sealed` of `sums`.
    pub fn has_sealed(&self, sums: &[u8], sealed: &[u8]) -> bool {
        self.barrier.open(SNAPSHOT_SUMS, sealed).is_ok_and(|opened| *opened == *sums)
    }

    /// Reads what must be in memory while unsealed.
    fn load(&self, view: &dyn View) -> Result<(), VaultError> {
        let now = (self.options.clock)();
        let mut context = Context::new(view, &*self.barrier, now);
        let token_keys: StoredTokenKeys = context
            .get(TOKEN_KEYS_KEY)?
            .ok_or_else(|| VaultError::Internal("no token keys".to_owned()))?;
        self.tokens.store(Some(Arc::new(token_keys.service())));
        self.cluster_id.store(self.seal_config()?.map(|config| Arc::new(config.cluster_id)));
        let devices = Devices::read(&mut context)?;
        self.audit.reconcile(&devices);
        self.reconcile_quotas()?;
        if let (Some(windows), Some(record)) =
            (&self.options.maintenance, MaintenanceRecord::read(&mut context)?)
        {
            windows.announce(Some(&record));
        }
        self.work.notify_one();
        tracing::info!("unsealed");
        Ok(())
    }

    /// Closes: forgets every key and everything that was read with them.
    pub fn seal_now(&self) {
        self.barrier.seal();
        self.tokens.store(None);
        self.cluster_id.store(None);
        self.decoded.clear();
        self.acls.clear();
        self.callers.clear();
        self.quotas.clear();
        self.audit.reconcile(&Devices::default());
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
        tracing::info!("sealed");
    }

    /// Adds an epoch to the keyring: new entries are encrypted with a new key.
    pub(crate) async fn rotate(self: &Arc<Self>, place: Option<Place>) -> Result<(), VaultError> {
        let _sealing = self.sealing.lock().await;
        let keyring = self
            .transact(place, |context| {
                let now_seconds = context.now().seconds();
                let root_key: StoredKey =
                    context.get(ROOT_KEY_COPY_KEY)?.ok_or(VaultError::Sealed)?;
                let root_key = secret_key(&root_key.key)?;
                let sealed = context.get_raw(KEYRING_KEY)?.ok_or(VaultError::Sealed)?;
                let keyring = unwrap_keyring(&root_key, &sealed)?.with_new_epoch(now_seconds)?;
                context.put_raw(KEYRING_KEY, wrap_keyring(&root_key, &keyring)?);
                Ok(keyring)
            })
            .await?;
        if self.is_sealed() {
            return Err(VaultError::Sealed);
        }
        self.barrier.install(&keyring)
    }
}

impl Genesis {
    fn write(&self, context: &mut Context<'_>) -> Result<String, VaultError> {
        if context.get_raw(SEAL_CONFIG_KEY)?.is_some() {
            return Err(VaultError::invalid("Vault is already initialized"));
        }
        let root_key = barrier::wrap(&self.unseal_key, ROOT_KEY_KEY, &*self.root_key)?;
        context.put_raw(SEAL_CONFIG_KEY, Bytes::copy_from_slice(&encode(&self.config)?));
        context.put_raw(ROOT_KEY_KEY, root_key);
        context.put_raw(KEYRING_KEY, wrap_keyring(&self.root_key, &self.keyring)?);
        context.put(ROOT_KEY_COPY_KEY, &StoredKey { key: self.root_key.to_vec() })?;
        if let Some(key) = &self.recovery_key {
            context.put(RECOVERY_KEY_KEY, &StoredKey { key: key.to_vec() })?;
        }
        context.put(TOKEN_KEYS_KEY, &self.token_keys)?;
        for kind in [MountKind::Secret, MountKind::Auth] {
            context.put(kind.table_key(), &first_mounts(kind, self.dev_mounts)?)?;
        }
        let root_token = self.root_token.clone();
        let issued = self.token_keys.service().issue_root(context, root_token)?;
        Ok(issued.auth.client_token)
    }
}

/// What is mounted from the start.
fn first_mounts(kind: MountKind, dev: bool) -> Result<MountTable, VaultError> {
    let mut mounts = match kind {
        MountKind::Secret => vec![
            ("sys/", "system", "system endpoints used for control, policy and debugging"),
            ("cubbyhole/", "cubbyhole", "per-token private secret storage"),
        ],
        MountKind::Auth => vec![("token/", "token", "token based credentials")],
    };
    if dev && kind == MountKind::Secret {
        mounts.push(("secret/", "kv", "key/value secret storage"));
    }
    let mut table = MountTable::default();
    for (path, engine, description) in mounts {
        let mut entry = MountEntry::new(kind, path, engine)?;
        entry.description = description.to_owned();
        entry.local = engine == "cubbyhole";
        entry.seal_wrap = engine == "system";
        if engine == "kv" {
            entry.options = Some([("version".to_owned(), "2".to_owned())].into());
        }
        table.replace(entry);
    }
    Ok(table)
}

pub(super) fn stored(view: &dyn View, key: &str) -> Result<Bytes, VaultError> {
    let entry = view.get(key.as_bytes())?;
    entry.map(|entry| entry.value).ok_or_else(|| VaultError::Internal(format!("no entry {key}")))
}

pub(super) fn secret_key(bytes: &[u8]) -> Result<SecretKey, VaultError> {
    let key = bytes.try_into().map_err(|_| VaultError::Internal("key length".to_owned()))?;
    Ok(Zeroizing::new(key))
}

fn wrap_keyring(root_key: &SecretKey, keyring: &StoredKeyring) -> Result<Bytes, VaultError> {
    barrier::wrap(root_key, KEYRING_KEY, &encode(keyring)?)
}

fn unwrap_keyring(root_key: &SecretKey, sealed: &[u8]) -> Result<StoredKeyring, VaultError> {
    let plain = barrier::unwrap(root_key, KEYRING_KEY, sealed)?;
    serde_json::from_slice(&plain).map_err(|_| VaultError::Internal("keyring".to_owned()))
}

/// Erases what it encoded if nobody else does.
fn encode<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    serde_json::to_vec(value)
        .map(Zeroizing::new)
        .map_err(|error| VaultError::Internal(format!("unencodable: {error}")))
}
