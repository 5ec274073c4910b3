//! Wiring: what is opened, in which order, what a reload replaces, and how it ends.

use core::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use plimsoll::Mode;
use plimsoll_daemon::{Signal, Signals};
use plimsoll_listener::{BindError, Listener, ListenerConfig, TlsError, TlsReloader, Workers};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{Config, ConfigError, ListenerOptions};
use crate::gates::Gates;
use crate::health;
use crate::metrics::Metrics;
use crate::route::Identities;
use crate::service::{Proxy, Settings, Shared};
use crate::upstream::{Upstream, UpstreamUrl};

/// Why a proxy did not start. One line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address or a certificate of our own.
    #[error(transparent)]
    Listener(#[from] BindError),
    /// A file with which the upstream is spoken to.
    #[error("upstream: {0}")]
    Upstream(#[from] TlsError),
    /// Threads or sockets.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Where a configuration came from, to be read again on SIGHUP, and what the command
/// line says over it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file.
    pub file: Option<PathBuf>,
    /// `--upstream`.
    pub upstream: Option<UpstreamUrl>,
    /// `--upstream-kind`.
    pub kind: Option<crate::upstream::ConfiguredKind>,
    /// `--protection`.
    pub protection: Option<Mode>,
}

impl Source {
    /// The configuration as it is now.
    ///
    /// # Errors
    /// The file cannot be used, or nothing names an upstream.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let mut config = match (&self.file, &self.upstream) {
            (Some(file), upstream) => Config::load(file, upstream.as_ref())?,
            (None, Some(upstream)) => Config::new(upstream.clone()),
            (None, None) => {
                let message = "neither an upstream nor a configuration is named".to_owned();
                return Err(ConfigError { path: PathBuf::from("command line"), message });
            }
        };
        config.protection = self.protection.unwrap_or(config.protection);
        config.upstream.kind = self.kind.unwrap_or(config.upstream.kind);
        Ok(config)
    }
}

/// A proxy that runs.
pub struct ProxyServer {
    workers: Workers,
    /// Listened to before anybody is told that the proxy runs.
    signals: Option<Signals>,
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    health_address: Option<SocketAddr>,
    certificates: Vec<TlsReloader>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    health: Option<JoinHandle<()>>,
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyServer").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl ProxyServer {
    /// Starts serving. The upstream need not be there yet.
    ///
    /// # Errors
    /// Whatever is missing, in one line.
    pub fn start(config: &Config) -> Result<Self, ProxyError> {
        let clock = Clock::start();
        let gates = Gates::new(config.protection, clock);
        let settings = settings(config, &gates)?;
        let workers = Workers::start()?;
        let listeners = config
            .listeners
            .iter()
            .map(|options| bind(options, &workers))
            .collect::<Result<Vec<_>, _>>()?;
        let stats =
            listeners.iter().map(|listener| Box::new(listener.stats()) as health::Stats).collect();
        let shared = Arc::new(Shared {
            settings: ArcSwap::from_pointee(settings),
            gates,
            identities: Identities::default(),
            metrics: Metrics::default(),
            clock,
            listeners: stats,
        });
        let health_listener =
            config.health_listen.map(|at| Listener::bind(ListenerConfig::new(at))).transpose()?;

        let signals = {
            let _entered = workers.first().enter();
            Signals::listen()?
        };
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let addresses = listeners.iter().map(Listener::local_addr).collect();
        let certificates = listeners.iter().filter_map(Listener::tls_reloader).collect();
        for (listener, options) in listeners.into_iter().zip(&config.listeners) {
            let (shared, tls) = (Arc::clone(&shared), listener.is_tls());
            let proxy = Proxy { shared, tls, body_time_max: options.body_time_max };
            tasks.spawn_on(serve(listener, proxy, shutdown.clone()), workers.first());
        }
        let health_address = health_listener.as_ref().map(Listener::local_addr);
        let health = health_listener
            .map(|listener| health::spawn(listener, Arc::clone(&shared), shutdown.clone()))
            .transpose()?;
        let server = Self {
            workers,
            signals: Some(signals),
            shared,
            addresses,
            health_address,
            certificates,
            tasks,
            shutdown,
            health,
        };
        server.recognise();
        Ok(server)
    }

    /// Where clients connect, with the ports the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where health answers.
    pub const fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// Serves until SIGTERM or SIGINT, rereading `source` on SIGHUP, then finishes
    /// what was accepted, or until it is told a second time.
    pub fn run(mut self, source: &Source) {
        let Some(mut signals) = self.signals.take() else { return };
        while self.workers.first().block_on(signals.next()) == Signal::Reload {
            self.reload(source);
        }
        tracing::info!("finishing what was accepted; the same signal again cuts it");
        self.end(async move { while signals.next().await != Signal::End {} });
    }

    /// Stops accepting and finishes what was accepted.
    pub fn stop(self) {
        self.end(core::future::pending());
    }

    fn end(self, hurry: impl Future<Output = ()>) {
        self.shutdown.cancel();
        self.tasks.close();
        let finished = self.workers.first().block_on(async {
            tokio::select! {
                () = self.tasks.wait() => true,
                () = hurry => false,
            }
        });
        if !finished {
            tracing::warn!("cut what was not finished");
            return;
        }
        if self.health.is_some_and(|health| health.join().is_err()) {
            tracing::error!("the health thread panicked");
        }
    }

    /// Takes over everything but the addresses. What cannot be read changes nothing;
    /// requests under way end as they began.
    pub fn reload(&self, source: &Source) {
        for certificate in &self.certificates {
            if let Err(error) = certificate.reload() {
                tracing::error!(%error, "certificate not reloaded");
            }
        }
        let next = source
            .read()
            .map_err(ProxyError::from)
            .and_then(|config| Ok((settings(&config, &self.shared.gates)?, config.protection)));
        match next {
            Ok((settings, protection)) => {
                settings.upstream.remember(&self.shared.settings.load().upstream);
                self.shared.settings.store(Arc::new(settings));
                self.shared.gates.set_mode(protection);
                self.recognise();
                tracing::info!(protection = protection.name(), "configuration reloaded");
            }
            Err(error) => tracing::error!(%error, "configuration not reloaded"),
        }
    }

    /// Asks the upstream what it is, until it says so.
    fn recognise(&self) {
        let upstream = Arc::clone(&self.shared.settings.load().upstream);
        if upstream.kind_is_configured() {
            return;
        }
        let shutdown = self.shutdown.clone();
        let asking = async move {
            tokio::select! {
                kind = upstream.recognise() => tracing::info!(kind = kind.name(), "upstream"),
                () = shutdown.cancelled() => {}
            }
        };
        self.tasks.spawn_on(asking, self.workers.first());
    }
}

fn settings(config: &Config, gates: &Gates) -> Result<Settings, ProxyError> {
    for gate in config.rules.iter().filter_map(|rule| rule.gate.as_deref()) {
        gates.ensure(gate, config.protection);
    }
    Ok(Settings {
        upstream: Arc::new(Upstream::new(&config.upstream)?),
        rules: config.rules.clone(),
        gates: gates.all(),
        forwarding: config.forwarding.clone(),
        flow_header: config.flow_header.clone(),
        status_page: config.status_page.clone(),
    })
}

fn bind(options: &ListenerOptions, workers: &Workers) -> Result<Listener, BindError> {
    let mut listener = ListenerConfig::new(options.address).with_workers(workers);
    listener.tls.clone_from(&options.tls);
    Listener::bind(listener)
}

async fn serve(listener: Listener, proxy: Proxy, shutdown: CancellationToken) {
    let address = listener.local_addr();
    match listener.serve(proxy, shutdown).await {
        Ok(drained) if drained.aborted > 0 => {
            tracing::warn!(%address, connections = drained.aborted, "cut at the drain limit");
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%address, %error, "the listener ended"),
    }
}
