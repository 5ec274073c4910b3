//! Making a stack on a directory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::write::Admission;
use plimsoll::{Class, Demand, Gate, Timestamp};
use plimsoll_http::body::BodyLimits;
use plimsoll_http::door::DoorLayer;
use plimsoll_http::idempotency::IdempotencyLayer;
use plimsoll_http::maintenance::Maintenance;
use plimsoll_http::quota::QuotaLayer;
use plimsoll_http::refusal::Face;
use plimsoll_http::vault::is_administration;
use plimsoll_http::{Flows, Vouched};
use plimsoll_store::disk::{Delays, Disk, RealDisk, SlowDisk};
use plimsoll_store::{LogStore, OpenOptions, Store};
use plimsoll_vault::context::UnixTime;
use plimsoll_vault::{AdmitLate, StaticKey, Vault, VaultOptions};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Layer;

use crate::classify::VaultRoutes;
use crate::config::{Config, DEFAULT_ADDRESS, ListenerOptions, Protection};
use crate::dev::SlowDiskControl;
use crate::gates::{Gates, MachineGates};
use crate::health::Health;
use crate::in_flight::InFlight;
use crate::maintenance::{self, Announcer};
use crate::metrics::Metrics;
use crate::quotas::{self, Charged, KeyVault, RoleReader, Roles, VaultQuotas};
use crate::replication::{Following, LOG_RETAIN_BYTES};
use crate::server::ServerError;
use crate::service::{Api, Open, Shared};
use crate::stack::front::OpenService;
use crate::stack::{Role, Stack};

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What every stack of a server has in common.
pub(crate) struct Builder {
    pub(crate) config: Config,
    pub(crate) static_key: Option<StaticKey>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) face: Arc<dyn Face>,
    pub(crate) key_vaults: Arc<[KeyVault]>,
    pub(crate) maintenance: Maintenance,
    /// The primary, if there is one.
    pub(crate) following: Arc<Following>,
    /// Of what belongs to the machine, whichever store is in use.
    pub(crate) gates: MachineGates,
    /// The clock by which all gates count.
    pub(crate) clock: plimsoll_store::Clock,
    /// What a request costs besides, in dev mode.
    pub(crate) cpu_cost: Option<Duration>,
    /// In dev mode: the disk can be slowed down later, so it is always wrapped.
    pub(crate) delays: Option<Arc<Delays>>,
}

impl Builder {
    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Opens the store in `dir`.
    pub(super) fn build(&self, dir: &Path, role: &Role) -> Result<Stack, ServerError> {
        let mut open = OpenOptions::on(self.disk(dir)?);
        open.mode = self.gates.protection.load().of(Gate::Write);
        open.clock = self.clock;
        open.observer = Arc::clone(&self.metrics) as _;
        open.following = matches!(role, Role::Secondary(_));
        // Whether this is a primary is known when it is unsealed: until then, nothing of
        // what a secondary may come back for goes.
        open.log_retain_bytes = if open.following { 0 } else { LOG_RETAIN_BYTES };
        let store = Arc::new(LogStore::open(open)?);
        let shared = Arc::new(self.assemble(&store, role)?);
        let listeners = self.config.listeners.iter();
        let vault = Arc::clone(&shared.vault);
        let policy = Arc::new(VaultQuotas::new(vault, Arc::clone(&self.key_vaults)));
        let (face, clock) = (Arc::clone(&self.face), Arc::clone(&shared.clock));
        let quotas = QuotaLayer::new(quotas::table(), policy, face, clock);
        let once = IdempotencyLayer::new(Arc::clone(&self.face));
        let (vault, face) = (Arc::clone(&shared.vault), Arc::clone(&self.face));
        let closing = maintenance::layer(self.maintenance.clone(), vault, face);
        let service = |listener: &ListenerOptions, quotas: &QuotaLayer| {
            closing.layer(behind_a_door(&shared, listener, quotas, &once))
        };
        let services = listeners.map(|listener| service(listener, &quotas)).collect();
        let charged = QuotaLayer::new(
            quotas::table(),
            Arc::new(Charged),
            Arc::clone(&self.face),
            Arc::clone(&shared.clock),
        );
        let plain = ListenerOptions::plain(DEFAULT_ADDRESS);
        let cluster = service(&plain, &charged);
        Ok(Stack { shared, store, services, cluster, retired: CancellationToken::new() })
    }

    fn disk(&self, dir: &Path) -> Result<Arc<dyn Disk>, ServerError> {
        let real = RealDisk::new(dir)
            .map_err(|error| ServerError::DataDir { path: dir.to_owned(), error })?;
        Ok(match &self.delays {
            None => Arc::new(real),
            Some(delays) => Arc::new(SlowDisk::new(Arc::new(real), Arc::clone(delays))),
        })
    }

    fn assemble(&self, store: &Arc<LogStore>, role: &Role) -> Result<Shared, ServerError> {
        let config = &self.config;
        let gate: Arc<dyn Admission> = store.admission();
        let monotonic = store.clock();
        let clock: Clock = Arc::new(move || monotonic.now());

        let mut options = VaultOptions::default();
        options.default_lease_ttl = config.default_lease_ttl;
        options.max_lease_ttl = config.max_lease_ttl;
        options.cluster_name.clone_from(&config.cluster_name);
        options.auto_unseal.clone_from(&self.static_key);
        if let Role::Secondary(replica) = role {
            options.own_seal = Some(replica.seal.clone());
            options.following = true;
            // What expires does so by the primary's clock.
            let following = Arc::clone(&self.following);
            let here = Arc::clone(&options.clock);
            options.clock = Arc::new(move || UnixTime(following.primary_time(here().0)));
        }
        let flows = Flows::default();
        options.gate_clock = monotonic;
        options.admit_late = Some(admit_late(&gate, &clock, flows.clone()));
        options.maintenance = Some(Arc::new(Announcer(self.maintenance.clone())));
        let vault = Vault::open(Arc::clone(store) as Arc<dyn Store>, options)?;

        let crypto = vault.crypto_gate().clone();
        let leases = Arc::clone(vault.lease_gate());
        let gates = Gates { write: gate, crypto, leases, machine: self.gates.clone() };
        gates.protect(Protection::clone(&self.gates.protection.load()));
        let logins = Arc::new(Vouched::default());
        let routes =
            VaultRoutes::new(Arc::clone(&vault), Arc::clone(&logins), Arc::clone(&clock), flows);
        let (fault, at) = (Arc::clone(store), Arc::clone(store));
        let health = Health {
            vault: Arc::clone(&vault),
            gates: gates.clone(),
            clock: Arc::clone(&clock),
            following: Arc::clone(&self.following),
            maintenance: self.maintenance.clone(),
            storage_fault: Arc::new(move || fault.health().err().map(|fault| fault.to_string())),
        };
        let slow_disk = self.delays.clone();
        let slow_disk = slow_disk.map(|delays| {
            SlowDiskControl::new(move |spec| {
                delays.set(spec.sync, spec.item);
                delays.hang(spec.hang);
            })
        });
        Ok(Shared {
            vault,
            gates,
            clock,
            routes: Arc::new(routes),
            logins,
            face: Arc::clone(&self.face),
            health,
            metrics: Arc::clone(&self.metrics),
            in_flight: Arc::clone(&self.in_flight),
            key_vaults: Arc::clone(&self.key_vaults),
            slow_disk,
            following: Arc::clone(&self.following),
            revision: Arc::new(move || at.position().0),
            cpu_cost: self.cpu_cost,
            decoding_aside: Semaphore::new(1),
        })
    }
}

/// The API behind its door, as one listener offers it.
fn behind_a_door(
    shared: &Arc<Shared>,
    options: &ListenerOptions,
    quotas: &QuotaLayer,
    idempotency: &IdempotencyLayer,
) -> OpenService {
    let open = Open {
        metrics: options.unauthenticated_metrics,
        in_flight: options.unauthenticated_in_flight,
    };
    let limits =
        BodyLimits { bytes_max: options.request_bytes_max, time_max: options.body_time_max };
    let door = DoorLayer::new(
        shared.gates.of_a_door(),
        Arc::clone(&shared.routes) as _,
        Arc::clone(&shared.face),
        Arc::clone(&shared.clock),
        limits,
    );
    let (vault, face) = (Arc::clone(&shared.vault), Arc::clone(&shared.face));
    let api = door.layer(Api { shared: Arc::clone(shared), open });
    let inner = quotas.layer(idempotency.layer(api));
    Roles { inner, reader: Arc::new(RoleReader { vault, face, limits }) }
}

/// Asks the gate for a request that is past the door: one of the few in the lanes
/// of administration, whose token has been verified by now, or one that writes
/// although its route usually does not.
fn admit_late(gate: &Arc<dyn Admission>, clock: &Clock, flows: Flows) -> AdmitLate {
    let (gate, clock) = (Arc::clone(gate), Arc::clone(clock));
    Arc::new(move |request, cost| {
        let administration = is_administration(&request.path);
        let class = if administration { Class::Critical } else { Class::Normal };
        let flow = flows.of_address(request.remote);
        gate.admit(clock(), &Demand { class, flow, cost, deadline: None })
    })
}
