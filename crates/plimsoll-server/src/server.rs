//! Wiring: what is opened, in which order, and how it ends.

use core::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use plimsoll::capacity::{CapacityGate, InvalidCapacity};
use plimsoll::cpu::{CpuGate, InvalidCpuGate};
use plimsoll::headroom::HeadroomGate;
use plimsoll::{Gate, Mode};
use plimsoll_daemon::{Signal, Signals};
use plimsoll_http::door::Turns;
use plimsoll_http::identity::IdentityLayer;
use plimsoll_http::limits::{HeaderLimits, HeaderLimitsLayer};
use plimsoll_http::maintenance::Maintenance;
use plimsoll_http::refusal::{Face, Negotiated, VaultFace};
use plimsoll_listener::{BindError, Listener, ListenerConfig, PeerAddr, TlsReloader};
use plimsoll_store::disk::Delays;
use plimsoll_store::{Clock, OpenError};
use plimsoll_vault::{InvalidStaticKey, StaticKey, VaultError};
use rustix::process::Resource;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer;

use crate::config::{Config, ConfigError, DEFAULT_ADDRESS, ListenerOptions};
use crate::connections::Connections;
use crate::gates::MachineGates;
use crate::health_listener;
use crate::maintenance::{self, FromFile, STATUS_PATH};
use crate::options::ServerOptions;
use crate::probe::Probe;
use crate::replication::Replication;
use crate::space::Space;
use crate::stack::{Builder, Front, Stacks};

/// Reads under way at a time. They take turns at the processors, so more of them would
/// wait for a disk or an audit device that answers no more.
const READS_MAX: u64 = 1024;

/// Bodies, what they become when they are decoded, and large answers that are not sent
/// yet. A body may exist twice for an instant, while it grows or is encrypted.
const BODIES_BYTES_MAX: u64 = 128 << 20;

/// Open connections of all listeners: 64 KiB of each may wait in a buffer.
const CONNECTIONS_MAX: u64 = 20_000;

/// Files that are not connections: the log, the tables, audit devices, secondaries.
const FILES_OWN: u64 = 512;

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
    /// A limit that no gate can be built with.
    #[error(transparent)]
    Capacity(#[from] InvalidCapacity),
    /// No processor to run on.
    #[error(transparent)]
    Processors(#[from] InvalidCpuGate),
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
    stacks: Arc<Stacks>,
    maintenance: Maintenance,
    window: FromFile,
    addresses: Vec<SocketAddr>,
    health_address: Option<SocketAddr>,
    dev_keys: Option<DevKeys>,
    certificates: Vec<TlsReloader>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    health: Option<JoinHandle<()>>,
    replication: JoinHandle<()>,
    /// Those that look at the disk and at the processors, and what ends them when it is
    /// dropped.
    watchers: Vec<(JoinHandle<()>, Sender<()>)>,
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
        raise_file_limit();
        let config = &options.config;
        let seal = config.static_seal.as_ref();
        let static_key = seal.map(|seal| StaticKey::new(&seal.key_id, &seal.key)).transpose()?;
        let gates = machine_gates(options)?;
        let gate_clock = Clock::start();
        let places = Connections::new(gates.connections.clone(), gate_clock);
        let listeners = config
            .listeners
            .iter()
            .map(|listener| Ok((bind(listener, &places)?, listener)))
            .collect::<Result<Vec<_>, BindError>>()?;
        let health_listener =
            config.health_listen.map(|at| Listener::bind(ListenerConfig::new(at))).transpose()?;

        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::listen()?
        };
        let face: Arc<dyn Face> =
            Arc::new(Negotiated(VaultFace { status_page: Some(status_page(config)) }));
        let maintenance = Maintenance::default();
        let window = FromFile::default();
        window.take_over(config.maintenance.as_ref(), &maintenance, || Ok(()));
        let builder = Builder {
            config: config.clone(),
            static_key,
            metrics: Arc::default(),
            in_flight: Arc::default(),
            face: Arc::clone(&face),
            key_vaults: config.key_vaults.clone(),
            maintenance: maintenance.clone(),
            following: Arc::default(),
            gates: gates.clone(),
            clock: gate_clock,
            cpu_cost: options.cpu_cost,
            delays: delays(options),
        };
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let stacks =
            Stacks::open(builder, runtime.handle().clone(), tasks.clone(), shutdown.clone())?;
        let space = Space {
            directory: config.data_dir.clone(),
            gate: Arc::clone(&gates.disk),
            stacks: Arc::clone(&stacks),
        };
        space.look();
        let dev_keys = match &options.dev {
            None => None,
            Some(dev) => {
                let vault = Arc::clone(&stacks.current().shared.vault);
                let made = vault.initialize_dev(dev.root_token.as_deref());
                let keys = runtime.block_on(made)?;
                Some(DevKeys { root_token: keys.root_token, unseal_key: keys.unseal_key })
            }
        };

        stacks.start_background();
        let replicating = Arc::<OnceLock<_>>::default();
        let addresses: Vec<_> =
            listeners.iter().map(|(listener, _)| listener.local_addr()).collect();
        let certificates =
            listeners.iter().filter_map(|(listener, _)| listener.tls_reloader()).collect();
        for (index, (listener, options)) in listeners.into_iter().enumerate() {
            let front = Front::new(Arc::clone(&stacks), Arc::clone(&replicating), index);
            let serving = serve(listener, options, front, Arc::clone(&face), shutdown.clone());
            tasks.spawn_on(serving, runtime.handle());
        }
        tasks.close();
        let api_address = addresses.first().copied().unwrap_or(DEFAULT_ADDRESS);
        let (replication, replication_thread) = Replication::start(
            &stacks,
            &config.data_dir,
            config.cluster_address,
            api_address,
            runtime.handle().clone(),
            shutdown.clone(),
        )?;
        let _ = replicating.set(replication);
        let health_address = health_listener.as_ref().map(Listener::local_addr);
        let health = health_listener
            .map(|listener| health_listener::spawn(listener, Arc::clone(&stacks), shutdown.clone()))
            .transpose()?;
        let probe = Probe::new(gates.cpu.gate().clone(), gate_clock, runtime.handle())?;
        let watchers = vec![
            watch("plimsoll-space", move |stop| space.watch(stop))?,
            watch("plimsoll-probe", move |stop| probe.run(stop))?,
        ];
        Ok(Self {
            runtime,
            signals: Some(signals),
            stacks,
            maintenance,
            window,
            addresses,
            health_address,
            dev_keys,
            certificates,
            tasks,
            shutdown,
            health,
            replication: replication_thread,
            watchers,
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
        maintenance::announce_drain(&self.maintenance);
        self.shutdown.cancel();
        self.runtime.block_on(self.tasks.wait());
        if self.health.is_some_and(|health| health.join().is_err()) {
            tracing::error!("the health thread panicked");
        }
        if self.replication.join().is_err() {
            tracing::error!("the thread of replication panicked");
        }
        for (thread, stop) in self.watchers {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("a thread that watches panicked");
            }
        }
        // Tasks hold the store; the runtime goes first, the store last.
        drop(self.runtime);
        drop(self.stacks);
    }

    /// Takes over what can change while running: the mode, the window of maintenance and
    /// the certificates. What cannot be read changes nothing.
    fn reload(&self, config_file: Option<&std::path::Path>) {
        for certificate in &self.certificates {
            if let Err(error) = certificate.reload() {
                tracing::error!(%error, "certificate not reloaded");
            }
        }
        let shared = Arc::clone(&self.stacks.current().shared);
        // Whoever rotates log files renames them and sends the signal.
        shared.vault.reopen_audit_files();
        let Some(path) = config_file else { return };
        match Config::load(path) {
            Ok(config) => {
                let stored = || shared.vault.announce_window();
                self.window.take_over(config.maintenance.as_ref(), &self.maintenance, stored);
                let mode = config.protection.mode;
                shared.gates.protect(config.protection);
                tracing::info!(protection = mode.name(), "configuration reloaded");
            }
            Err(error) => tracing::error!(%error, "configuration not reloaded"),
        }
    }
}

/// The configured one, or the server's own.
fn status_page(config: &Config) -> String {
    config.status_page.clone().unwrap_or_else(|| STATUS_PATH.to_owned())
}

fn bind(options: &ListenerOptions, places: &Arc<Connections>) -> Result<Listener, BindError> {
    let mut config = ListenerConfig::new(options.address);
    config.tls.clone_from(&options.tls);
    config.places = Some(Arc::clone(places) as _);
    Listener::bind(config)
}

/// In dev mode the disk can be slowed down later.
fn delays(options: &ServerOptions) -> Option<Arc<Delays>> {
    let is_slow = options.dev.is_some() || options.slow_disk.is_some();
    let spec = options.slow_disk.unwrap_or_default();
    is_slow.then(|| Delays::new(spec.sync, spec.item))
}

/// The gates of what belongs to the machine, whichever store is in use.
fn machine_gates(options: &ServerOptions) -> Result<MachineGates, ServerError> {
    let mut protection = options.config.protection.clone();
    if options.cpu_cost.is_some() {
        // Whoever asks for costly requests wants to see what the gate makes of them.
        protection.set(Gate::Cpu, Mode::Enforce);
    }
    // Each gate is given its own when a store stands behind it.
    let mode = protection.mode;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = CpuGate::new(u32::try_from(processors).unwrap_or(u32::MAX), mode)?;
    let disk = match options.disk_floor_bytes {
        Some(floor) => HeadroomGate::with_floor(floor, mode),
        None => HeadroomGate::new(mode),
    };
    Ok(MachineGates {
        cpu: Turns::new(cpu),
        reads: CapacityGate::reads(READS_MAX, mode)?,
        memory: CapacityGate::memory(BODIES_BYTES_MAX, mode)?,
        disk: Arc::new(disk),
        connections: CapacityGate::connections(connections_max(), mode)?,
        protection: Arc::new(ArcSwap::from_pointee(protection)),
    })
}

/// As many files as the system allows: each connection is one, and the usual limit of
/// 1,024 would be reached long before that of the listener.
fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Each is a file, and the server needs some for itself.
fn connections_max() -> u64 {
    let files = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    CONNECTIONS_MAX.min(files.saturating_sub(FILES_OWN)).max(1)
}

/// A thread that runs until the sender is dropped.
fn watch(
    name: &str,
    run: impl FnOnce(&Receiver<()>) + Send + 'static,
) -> std::io::Result<(JoinHandle<()>, Sender<()>)> {
    let (stop, stopped) = channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&stopped))?;
    Ok((thread, stop))
}

fn serve(
    listener: Listener,
    options: &ListenerOptions,
    front: Front,
    face: Arc<dyn Face>,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let headers = HeaderLimitsLayer::new(HeaderLimits::default()).with_face(Arc::clone(&face));
    let identity = IdentityLayer::new(|extensions| Some(extensions.get::<PeerAddr>()?.0.ip()))
        .trusting(options.forwarding.clone())
        .with_face(face);
    let service = headers.layer(identity.layer(front));
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
