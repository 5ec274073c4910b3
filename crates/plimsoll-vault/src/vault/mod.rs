//! The vault: what a request's way leads through.
//!
//! ```text
//! path -> sealed? -> slow cryptography -> decision -> audit -> commit -> audit
//! ```
//!
//! A decision ([`decide`]) finds the mount, authenticates the token, counts its
//! use, asks its policies and lets the engine answer, all of it as one
//! transaction against one view of the store. If that wrote nothing, the answer
//! is ready. Else the transaction goes into the next commit, and the answer is
//! given when it is durable. There is no state beside the store but the keys
//! that open it, so a decision can be made again at any time.

mod authority;
mod background;
mod callers;
mod decide;
mod lifecycle;
mod options;
mod path;
mod pipeline;
mod quotas;
mod replica;
mod transact;

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use plimsoll::Mode;
use plimsoll::backlog::BacklogGate;
use plimsoll::capacity::CapacityGate;
use plimsoll_store::Store;

use crate::audit::Broker;
use crate::barrier::{Barrier, KeyStatus};
use crate::crypto_pool::CryptoPool;
use crate::decoded::DecodedCache;
use crate::error::VaultError;
use crate::idempotency::Kept;
use crate::policy::AclCache;
use crate::seal::{Progress, SEAL_CONFIG_KEY, SealConfig};
use crate::token::TokenService;
use crate::token::Ttls;
use crate::vault::callers::Callers;
use crate::vault::quotas::Quotas;

pub(crate) use crate::vault::authority::Authority;
pub(crate) use crate::vault::decide::Effect;
pub(crate) use crate::vault::lifecycle::Initialized;

pub use crate::vault::callers::KnownCaller;
pub use crate::vault::lifecycle::DevKeys;
pub use crate::vault::options::{AdmitLate, Clock, VaultOptions, Windows};
pub use crate::vault::quotas::LeaseQuota;
pub use crate::vault::replica::{OwnSeal, Recipient};

/// The secrets server without its faces.
pub struct Vault {
    store: Arc<dyn Store>,
    options: VaultOptions,
    barrier: Arc<Barrier>,
    progress: Mutex<Progress>,
    /// Held while the seal is opened or closed: one after the other.
    sealing: tokio::sync::Mutex<()>,
    decoded: DecodedCache,
    acls: AclCache,
    callers: Callers,
    pool: CryptoPool,
    /// Leases that ought to have ended.
    backlog: Arc<BacklogGate>,
    audit: Broker,
    quotas: Quotas,
    /// Answers that are kept for whoever asks again.
    kept: Kept,
    /// The keys behind tokens, while unsealed.
    tokens: ArcSwapOption<TokenService>,
    /// While unsealed.
    cluster_id: ArcSwapOption<String>,
    /// Wakes the background work.
    work: tokio::sync::Notify,
    /// Writes go to a primary.
    following: AtomicBool,
    /// The revision of the keyring that is in use.
    refreshed: AtomicU64,
    /// The revision of the window that was announced last.
    window: AtomicU64,
}

impl core::fmt::Debug for Vault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Vault").field("sealed", &self.is_sealed()).finish_non_exhaustive()
    }
}

/// What `sys/seal-status` and `sys/health` tell.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// `shamir` or `static`.
    pub seal_type: &'static str,
    /// Whether there is anything to unseal.
    pub initialized: bool,
    /// Whether it is closed.
    pub sealed: bool,
    /// Shares that unseal; 0 before the initialisation.
    pub threshold: u64,
    /// Shares there are.
    pub shares: u64,
    /// Shares given so far.
    pub progress: u64,
    /// Identifies the attempt to unseal.
    pub nonce: String,
    /// Shares are of the recovery key; the seal opens by itself.
    pub recovery_seal: bool,
    /// The server's version.
    pub version: String,
    /// While unsealed.
    pub cluster_name: Option<String>,
    /// While unsealed.
    pub cluster_id: Option<String>,
    /// The kind of storage.
    pub storage_type: String,
}

impl Vault {
    /// A vault on a store: sealed, unless it has a static key that opens it.
    ///
    /// # Errors
    /// The store cannot be read, or the static key is not the one that the
    /// store was initialised with, or there are no threads to be had.
    pub fn open(store: Arc<dyn Store>, options: VaultOptions) -> Result<Arc<Self>, VaultError> {
        let pool = CryptoPool::new(options.crypto_workers, options.gate_clock)?;
        let following = AtomicBool::new(options.following);
        let vault = Arc::new(Self {
            store,
            options,
            barrier: Arc::default(),
            progress: Mutex::default(),
            sealing: tokio::sync::Mutex::default(),
            decoded: DecodedCache::default(),
            acls: AclCache::default(),
            callers: Callers::default(),
            pool,
            backlog: Arc::new(BacklogGate::new(Mode::Enforce)),
            audit: Broker::default(),
            quotas: Quotas::default(),
            kept: Kept::default(),
            tokens: ArcSwapOption::empty(),
            cluster_id: ArcSwapOption::empty(),
            work: tokio::sync::Notify::new(),
            following,
            refreshed: AtomicU64::new(0),
            window: AtomicU64::new(0),
        });
        vault.auto_unseal()?;
        Ok(vault)
    }

    /// The state of the seal.
    pub fn status(&self) -> Status {
        let sealed = self.is_sealed();
        let status = Status {
            seal_type: if self.options.auto_unseal.is_some() { "static" } else { "shamir" },
            sealed,
            version: self.options.version.clone(),
            storage_type: self.options.storage_type.clone(),
            ..Status::default()
        };
        let Ok(Some(config)) = self.seal_config() else { return status };
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            seal_type: config.seal_type(),
            initialized: true,
            threshold: config.shares.threshold.into(),
            shares: config.shares.shares.into(),
            progress: progress.count() as u64,
            nonce: progress.nonce().to_owned(),
            recovery_seal: config.static_key_id.is_some(),
            cluster_name: (!sealed).then(|| self.options.cluster_name.clone()),
            cluster_id: (!sealed).then_some(config.cluster_id),
            ..status
        }
    }

    /// Whether it is closed.
    pub fn is_sealed(&self) -> bool {
        self.barrier.is_sealed()
    }

    /// That of [`Status`], for whoever asks with every request.
    pub fn cluster_id(&self) -> Option<Arc<String>> {
        self.cluster_id.load_full()
    }

    /// What is known of a token that was seen valid within the last minute,
    /// for fairness and precedence; no more than a look into a table.
    pub fn caller(&self, token: &str) -> Option<KnownCaller> {
        self.callers.get(token, (self.options.clock)())
    }

    /// The gate in front of the threads that hash passwords.
    pub const fn crypto_gate(&self) -> &CapacityGate {
        self.pool.gate()
    }

    /// The gate in front of new leases.
    pub const fn lease_gate(&self) -> &Arc<BacklogGate> {
        &self.backlog
    }

    /// Lets the files of audit devices be opened anew: they were moved away.
    pub fn reopen_audit_files(&self) {
        self.audit.reopen();
    }

    pub(crate) const fn ttls(&self) -> Ttls {
        self.options.ttls()
    }

    pub(crate) const fn audit(&self) -> &Broker {
        &self.audit
    }

    pub(crate) const fn acls(&self) -> &AclCache {
        &self.acls
    }

    pub(crate) const fn has_static_key(&self) -> bool {
        self.options.auto_unseal.is_some()
    }

    pub(crate) fn key_status(&self) -> Result<KeyStatus, VaultError> {
        self.barrier.key_status()
    }

    pub(crate) fn seal_config(&self) -> Result<Option<SealConfig>, VaultError> {
        if let Some(own) = self.own_seal()? {
            return SealConfig::decode(&own.config()?).map(Some);
        }
        let entry = self.store.view().get(SEAL_CONFIG_KEY.as_bytes())?;
        entry.map(|entry| SealConfig::decode(&entry.value)).transpose()
    }
}
