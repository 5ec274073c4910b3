//! What a vault is told when it is opened.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use plimsoll::maintenance::Plan;
use plimsoll::write::Place;
use plimsoll::{Cost, Rejection};

use crate::context::UnixTime;
use crate::request::Request;
use crate::seal::StaticKey;
use crate::sys::MaintenanceRecord;
use crate::token::Ttls;
use crate::vault::replica::OwnSeal;

/// The time to live of a token or lease for which nobody set one, and the
/// longest: 32 days, as in Vault.
const LEASE_TTL: Duration = Duration::from_secs(768 * 3600);

/// Asks the write gate, at the queue, for a request that turned out to write
/// although its route usually does not.
pub type AdmitLate = Arc<dyn Fn(&Request, Cost) -> Result<Place, Rejection> + Send + Sync>;

/// Enforces what `sys/maintenance` announces.
pub trait Windows: Send + Sync {
    /// The window was announced, or none is any more; also the one that is found when
    /// the vault is opened.
    fn announce(&self, record: Option<&MaintenanceRecord>);

    /// What is announced, by whomever.
    fn announced(&self) -> Option<Plan>;
}

/// Tells the time; tests give another.
pub type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// See the module.
#[derive(Clone)]
#[non_exhaustive]
pub struct VaultOptions {
    /// Time to live of tokens and leases for which nobody set one.
    pub default_lease_ttl: Duration,
    /// The longest time to live.
    pub max_lease_ttl: Duration,
    /// Threads that hash passwords; as many more requests may wait for them. Half
    /// of the cores unless set.
    pub crypto_workers: usize,
    /// The clock by which the gate in front of them counts.
    pub gate_clock: plimsoll_store::Clock,
    /// Shown to clients.
    pub cluster_name: String,
    /// The version shown to clients.
    pub version: String,
    /// The kind of storage shown to clients.
    pub storage_type: String,
    /// Of a secondary: its own seal, in the place of its primary's.
    pub own_seal: Option<OwnSeal>,
    /// Whether writes go to a primary.
    pub following: bool,
    /// Unseals at the start, and encrypts the root key when initialised.
    pub auto_unseal: Option<StaticKey>,
    /// Without it, such requests wait for room like background work.
    pub admit_late: Option<AdmitLate>,
    /// Without it, windows are stored and nobody is refused.
    pub maintenance: Option<Arc<dyn Windows>>,
    /// Answers that are kept for requests with an `Idempotency-Key`, at most: of more,
    /// those next to their end go first.
    pub kept_answers_max: u64,
    /// Tells the time.
    pub clock: Clock,
}

impl fmt::Debug for VaultOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultOptions")
            .field("cluster_name", &self.cluster_name)
            .field("auto_unseal", &self.auto_unseal)
            .finish_non_exhaustive()
    }
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            default_lease_ttl: LEASE_TTL,
            max_lease_ttl: LEASE_TTL,
            crypto_workers: std::thread::available_parallelism().map_or(1, usize::from) / 2,
            gate_clock: plimsoll_store::Clock::start(),
            cluster_name: "plimsoll".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            storage_type: "plimsoll".to_owned(),
            own_seal: None,
            following: false,
            auto_unseal: None,
            admit_late: None,
            maintenance: None,
            kept_answers_max: 262_144,
            clock: Arc::new(|| UnixTime(since_epoch())),
        }
    }
}

impl VaultOptions {
    pub(crate) const fn ttls(&self) -> Ttls {
        Ttls { default: self.default_lease_ttl.as_secs(), max: self.max_lease_ttl.as_secs() }
    }
}

/// A clock before 1970 stands at 1970.
#[expect(clippy::disallowed_methods, reason = "the room that reads the wall clock")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
