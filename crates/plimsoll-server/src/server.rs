//! Wiring: what is opened, in which order, and how it ends.

use core::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use plimsoll::headroom::HeadroomGate;
use plimsoll::write::Admission;
use plimsoll::{Class, Demand, Timestamp};
use plimsoll_daemon::{Signal, Signals};
use plimsoll_http::body::BodyLimits;
use plimsoll_http::door::DoorLayer;
use plimsoll_http::identity::IdentityLayer;
use plimsoll_http::refusal::{Face, VaultFace};
use plimsoll_http::vault::is_administration;
use plimsoll_http::{Flows, Vouched};
use plimsoll_listener::{BindError, Listener, ListenerConfig, PeerAddr, TlsReloader};
use plimsoll_store::disk::{Delays, Disk, RealDisk, SlowDisk};
use plimsoll_store::{LogStore, OpenError, OpenOptions, Store};
use plimsoll_vault::{AdmitLate, InvalidStaticKey, StaticKey, Vault, VaultError, VaultOptions};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer;

use crate::classify::VaultRoutes;
use crate::config::{Config, ConfigError, ListenerOptions};
use crate::dev::SlowDiskControl;
use crate::gates::Gates;
use crate::health::Health;
use crate::health_listener;
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use crate::service::{Api, Open, Shared};
use crate::space::Space;

/// Why a server did not start, or ended. One line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The data directory cannot be made or entered.
    #[error("{}: {error}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// An address or a certificate.
    #[error(transparent)]
    Listener(#[from] BindError),
    /// The key that unseals.
    #[error("seal \"static\": {0}")]
    Seal(#[from] InvalidStaticKey),
    /// The vault.
    #[error("vault: {0}")]
    Vault(VaultError),
    /// Threads or sockets.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl From<VaultError> for ServerError {
    fn from(error: VaultError) -> Self {
        // To an operator, the details; to clients they are never shown.
        match error {
            VaultError::Internal(why) => Self::Vault(VaultError::Invalid(why)),
            other => Self::Vault(other),
        }
    }
}

/// What dev mode tells the person who started it.
#[derive(Clone, Debug)]
pub struct DevKeys {
    /// The root token.
    pub root_token: String,
    /// The one unseal key.
    pub unseal_key: String,
}

/// A server that runs.
pub struct Server {
    runtime: Runtime,
    /// Listened to before anybody is told that the server runs.
    signals: Option<Signals>,
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    health_address: Option<SocketAddr>,
    dev_keys: Option<DevKeys>,
    certificates: Vec<TlsReloader>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    health: Option<JoinHandle<()>>,
    space: JoinHandle<()>,
    /// Dropped to end the thread that looks at the disk.
    space_stop: Sender<()>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// Opens everything and starts serving.
    ///
    /// Keys are read and addresses bound before the data directory is touched, so
    /// that a bad key or a port in use changes nothing.
    ///
    /// # Errors
    /// Whatever is missing, in one line.
    pub fn start(options: &ServerOptions) -> Result<Self, ServerError> {
        let config = &options.config;
        let seal = config.static_seal.as_ref();
        let static_key = seal.map(|seal| StaticKey::new(&seal.key_id, &seal.key)).transpose()?;
        let listeners = config
            .listeners
            .iter()
            .map(|listener| Ok((bind(listener)?, listener)))
            .collect::<Result<Vec<_>, BindError>>()?;
        let health_listener =
            config.health_listen.map(|at| Listener::bind(ListenerConfig::new(at))).transpose()?;

        let metrics = Arc::new(Metrics::default());
        let (disk, delays) = disk(options)?;
        let mut open = OpenOptions::on(disk);
        open.mode = config.protection;
        open.observer = Arc::clone(&metrics) as _;
        let store = Arc::new(LogStore::open(open)?);
        let disk_gate = Arc::new(disk_gate(options));
        let space = Space {
            directory: config.data_dir.clone(),
            gate: Arc::clone(&disk_gate),
            store: Arc::clone(&store),
        };
        space.look();

        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::listen()?
        };
        let shared = {
            let _entered = runtime.enter();
            Arc::new(assemble(config, static_key, store, disk_gate, metrics, delays)?)
        };
        let dev_keys = match &options.dev {
            None => None,
            Some(dev) => {
                let made = shared.vault.initialize_dev(dev.root_token.as_deref());
                let keys = runtime.block_on(made)?;
                Some(DevKeys { root_token: keys.root_token, unseal_key: keys.unseal_key })
            }
        };

        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let background =
            Arc::clone(&shared.vault).run_background(shutdown.clone().cancelled_owned());
        tasks.spawn_on(background, runtime.handle());
        let addresses = listeners.iter().map(|(listener, _)| listener.local_addr()).collect();
        let certificates =
            listeners.iter().filter_map(|(listener, _)| listener.tls_reloader()).collect();
        for (listener, options) in listeners {
            let serving = serve(listener, options, &shared, shutdown.clone());
            tasks.spawn_on(serving, runtime.handle());
        }
        tasks.close();
        let health_address = health_listener.as_ref().map(Listener::local_addr);
        let health = health_listener
            .map(|listener| health_listener::spawn(listener, Arc::clone(&shared), shutdown.clone()))
            .transpose()?;
        let (space_stop, stopped) = channel();
        let space = std::thread::Builder::new()
            .name("plimsoll-space".to_owned())
            .spawn(move || space.watch(&stopped))?;
        Ok(Self {
            runtime,
            signals: Some(signals),
            shared,
            addresses,
            health_address,
            dev_keys,
            certificates,
            tasks,
            shutdown,
            health,
            space,
            space_stop,
        })
    }

    /// Where clients connect, with the ports the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where health answers.
    pub const fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// Dev mode's keys.
    pub const fn dev_keys(&self) -> Option<&DevKeys> {
        self.dev_keys.as_ref()
    }

    /// Serves until SIGTERM or SIGINT, rereading `config_file` on SIGHUP, then
    /// finishes what was accepted.
    pub fn run(mut self, config_file: Option<PathBuf>) {
        let mut signals = self.signals.take();
        self.runtime.block_on(async {
            while let Some(signals) = &mut signals {
                match signals.next().await {
                    Signal::End => break,
                    Signal::Reload => self.reload(config_file.as_deref()),
                }
            }
        });
        tracing::info!("finishing what was accepted");
        self.stop();
    }

    /// Stops accepting, finishes what was accepted, closes the store.
    pub fn stop(self) {
        self.shutdown.cancel();
        self.runtime.block_on(self.tasks.wait());
        if self.health.is_some_and(|health| health.join().is_err()) {
            tracing::error!("the health thread panicked");
        }
        drop(self.space_stop);
        if self.space.join().is_err() {
            tracing::error!("the thread that looks at the disk panicked");
        }
        // Tasks hold the store; the runtime goes first, the store last.
        drop(self.runtime);
        drop(self.shared);
    }

    /// Takes over what can change while running: the mode and the certificates.
    /// What cannot be read changes nothing.
    fn reload(&self, config_file: Option<&std::path::Path>) {
        for certificate in &self.certificates {
            if let Err(error) = certificate.reload() {
                tracing::error!(%error, "certificate not reloaded");
            }
        }
        // Whoever rotates log files renames them and sends the signal.
        self.shared.vault.reopen_audit_files();
        let Some(path) = config_file else { return };
        match Config::load(path) {
            Ok(config) => {
                self.shared.gates.set_mode(config.protection);
                tracing::info!(protection = config.protection.name(), "configuration reloaded");
            }
            Err(error) => tracing::error!(%error, "configuration not reloaded"),
        }
    }
}

fn bind(options: &ListenerOptions) -> Result<Listener, BindError> {
    let mut config = ListenerConfig::new(options.address);
    config.tls.clone_from(&options.tls);
    Listener::bind(config)
}

type Opened = (Arc<dyn Disk>, Option<Arc<Delays>>);

fn disk(options: &ServerOptions) -> Result<Opened, ServerError> {
    let path = &options.config.data_dir;
    let real =
        RealDisk::new(path).map_err(|error| ServerError::DataDir { path: path.clone(), error })?;
    // In dev mode the disk can be slowed down later, so it is always wrapped.
    if options.dev.is_none() && options.slow_disk.is_none() {
        return Ok((Arc::new(real), None));
    }
    let spec = options.slow_disk.unwrap_or_default();
    let delays = Delays::new(spec.sync, spec.item);
    Ok((Arc::new(SlowDisk::new(Arc::new(real), Arc::clone(&delays))), Some(delays)))
}

fn disk_gate(options: &ServerOptions) -> HeadroomGate {
    let mode = options.config.protection;
    match options.disk_floor_bytes {
        Some(floor) => HeadroomGate::with_floor(floor, mode),
        None => HeadroomGate::new(mode),
    }
}

fn assemble(
    config: &Config,
    static_key: Option<StaticKey>,
    store: Arc<LogStore>,
    disk: Arc<HeadroomGate>,
    metrics: Arc<Metrics>,
    delays: Option<Arc<Delays>>,
) -> Result<Shared, ServerError> {
    let gate: Arc<dyn Admission> = store.admission();
    let monotonic = store.clock();
    let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || monotonic.now());
    let face = VaultFace { status_page: config.status_page.clone() };

    let mut options = VaultOptions::default();
    options.default_lease_ttl = config.default_lease_ttl;
    options.max_lease_ttl = config.max_lease_ttl;
    options.cluster_name.clone_from(&config.cluster_name);
    options.auto_unseal = static_key;
    let flows = Flows::default();
    options.gate_clock = monotonic;
    options.admit_late = Some(admit_late(&gate, &clock, flows.clone()));
    let vault = Vault::open(Arc::clone(&store) as Arc<dyn Store>, options)?;

    let gates = Gates { write: gate, crypto: vault.crypto_gate().clone(), disk };
    gates.set_mode(config.protection);

    let logins = Arc::new(Vouched::default());
    let routes =
        VaultRoutes::new(Arc::clone(&vault), Arc::clone(&logins), Arc::clone(&clock), flows);
    let health = Health {
        vault: Arc::clone(&vault),
        gates: gates.clone(),
        clock: Arc::clone(&clock),
        storage_fault: Arc::new(move || store.health().err().map(|fault| fault.to_string())),
    };
    let slow_disk =
        delays.map(|delays| SlowDiskControl::new(move |spec| delays.set(spec.sync, spec.item)));
    Ok(Shared {
        vault,
        gates,
        clock,
        routes: Arc::new(routes),
        logins,
        face,
        health,
        metrics,
        in_flight: Arc::default(),
        slow_disk,
    })
}

/// Asks the gate for a request that is past the door: one of the few in the lanes
/// of administration, whose token has been verified by now, or one that writes
/// although its route usually does not.
fn admit_late(
    gate: &Arc<dyn Admission>,
    clock: &Arc<dyn Fn() -> Timestamp + Send + Sync>,
    flows: Flows,
) -> AdmitLate {
    let (gate, clock) = (Arc::clone(gate), Arc::clone(clock));
    Arc::new(move |request, cost| {
        let administration = is_administration(&request.path);
        let class = if administration { Class::Critical } else { Class::Normal };
        let flow = flows.of_address(request.remote);
        gate.admit(clock(), &Demand { class, flow, cost, deadline: None })
    })
}

fn serve(
    listener: Listener,
    options: &ListenerOptions,
    shared: &Arc<Shared>,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let open = Open {
        metrics: options.unauthenticated_metrics,
        in_flight: options.unauthenticated_in_flight,
    };
    let limits =
        BodyLimits { bytes_max: options.request_bytes_max, time_max: options.body_time_max };
    let face: Arc<dyn Face> = Arc::new(shared.face.clone());
    let identity = IdentityLayer::new(|extensions| Some(extensions.get::<PeerAddr>()?.0.ip()))
        .trusting(options.forwarding.clone())
        .with_face(Arc::clone(&face));
    let door = DoorLayer::new(
        shared.gates.of_a_door(),
        Arc::clone(&shared.routes) as _,
        face,
        Arc::clone(&shared.clock),
        limits,
    );
    let service = identity.layer(door.layer(Api { shared: Arc::clone(shared), open }));
    let address = listener.local_addr();
    async move {
        match listener.serve(service, shutdown).await {
            Ok(drained) if drained.aborted > 0 => {
                tracing::warn!(%address, connections = drained.aborted, "cut at the drain limit");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%address, %error, "the listener ended"),
        }
    }
}
