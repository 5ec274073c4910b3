//! The accept loop and the drain.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use crate::{
    BindError, ListenerConfig, ListenerStats, Place, Places, TlsError, TlsReloader,
    connection::{self, BoxError, Shared},
    places::Limit,
    stats::Counters,
    workers::{Occupied, Worker},
};

/// The pause after a failed accept; doubles with each failure in a row.
const ACCEPT_RETRY_MS_MIN: u64 = 10;
/// The longest pause after a failed accept.
const ACCEPT_RETRY_MS_MAX: u64 = 1_000;
/// How often the log says that the connection limit is reached.
const LIMIT_REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// How often a place is asked for although no connection has closed: those who give
/// them out may have changed their mind.
const PLACE_RETRY: Duration = Duration::from_secs(1);

/// A bound socket, ready to serve.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    local_addr: SocketAddr,
    config: ListenerConfig,
    tls: Option<TlsReloader>,
    counters: Arc<Counters>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that were still open at the drain limit and were cut.
    pub aborted: usize,
}

impl Listener {
    /// Loads the certificate, binds and listens. Needs no runtime.
    ///
    /// Clients may connect from here on; they are accepted by [`serve`](Self::serve).
    ///
    /// # Errors
    /// The address cannot be had, or the certificate is unusable.
    pub fn bind(mut config: ListenerConfig) -> Result<Self, BindError> {
        config.limits = config.limits.sane();
        let tls = config.tls.clone().map(TlsReloader::load).transpose()?;
        let socket = listen(config.addr, config.limits.backlog_connections_max)
            .map_err(|source| BindError::new(config.addr, source))?;
        let local_addr =
            socket.local_addr().map_err(|source| BindError::new(config.addr, source))?;
        Ok(Self { socket, local_addr, config, tls, counters: Arc::default() })
    }

    /// The address in use, with the port the system chose if it did.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Whether it serves TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The handle that reloads the certificate; `None` on plain TCP.
    pub fn tls_reloader(&self) -> Option<TlsReloader> {
        self.tls.clone()
    }

    /// Reads certificate and key again.
    ///
    /// # Errors
    /// What is wrong with which file, or that there is no TLS here.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.tls.as_ref().ok_or(TlsError::NotConfigured)?.reload()
    }

    /// A function that reads the counters, to be kept by whoever reports them.
    pub fn stats(&self) -> impl Fn() -> ListenerStats + Send + Sync + Clone + use<> {
        let counters = Arc::clone(&self.counters);
        move || counters.snapshot()
    }

    /// Accepts and serves until `shutdown`, then drains.
    ///
    /// Every request carries [`PeerAddr`](crate::PeerAddr) and [`Place`] in its extensions.
    /// The service is cloned once per connection and once per request. Must be
    /// called within a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// The socket could not be handed to the runtime. Accepting itself never
    /// fails for good: it is tried again.
    pub async fn serve<S, B>(self, service: S, shutdown: CancellationToken) -> io::Result<Drained>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let limits = self.config.limits;
        let shared = Arc::new(Shared {
            limits,
            http: connection::http_builder(&limits),
            tls: self.tls,
            counters: self.counters,
            drain: shutdown.clone(),
            abort: CancellationToken::new(),
        });
        let mut acceptor = Acceptor {
            socket: TcpListener::from_std(self.socket)?,
            places: self
                .config
                .places
                .unwrap_or_else(|| Arc::new(Limit::new(limits.connections_max))),
            closed: Arc::default(),
            counters: Arc::clone(&shared.counters),
            retry_ms: ACCEPT_RETRY_MS_MIN,
            limit_reported: None,
        };
        let here = || Arc::from([Worker::new(Handle::current())]);
        let workers = self.config.workers.unwrap_or_else(here);
        let connections = TaskTracker::new();
        loop {
            let (socket, peer, place) = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = acceptor.accept() => accepted,
            };
            let worker = Worker::idlest(&workers);
            let open = acceptor.open(place.clone(), worker.occupy());
            let (shared, service) = (Arc::clone(&shared), service.clone());
            let Ok(socket) = socket.into_std() else { continue };
            let serving = async move {
                let _open = open;
                match TcpStream::from_std(socket) {
                    Ok(socket) => connection::serve(&shared, socket, peer, place, service).await,
                    Err(error) => {
                        Counters::add(&shared.counters.accept_errors);
                        tracing::warn!(%error, "cannot serve");
                    }
                }
            };
            connections.spawn_on(serving, &worker.runtime);
        }
        // New clients are refused by the kernel from here on.
        drop(acceptor);
        Ok(drain(&connections, &shared).await)
    }
}

/// Waits for the connections, then cuts what is left.
async fn drain(connections: &TaskTracker, shared: &Shared) -> Drained {
    connections.close();
    let in_time = timeout(shared.limits.drain(), connections.wait()).await.is_ok();
    let aborted = if in_time { 0 } else { connections.len() };
    shared.abort.cancel();
    connections.wait().await;
    Drained { aborted }
}

/// A place among the open connections, given back when the connection ends.
struct Open {
    place: Option<Place>,
    _occupied: Occupied,
    closed: Arc<Notify>,
    counters: Arc<Counters>,
}

impl Drop for Open {
    fn drop(&mut self) {
        Counters::add(&self.counters.closed);
        // Before anybody asks whether there is one.
        self.place.take();
        self.closed.notify_one();
    }
}

struct Acceptor {
    socket: TcpListener,
    places: Arc<dyn Places>,
    /// Told whenever a connection has closed.
    closed: Arc<Notify>,
    counters: Arc<Counters>,
    retry_ms: u64,
    limit_reported: Option<Instant>,
}

impl Acceptor {
    /// The next connection, once there is a place for it.
    async fn accept(&mut self) -> (TcpStream, SocketAddr, Place) {
        loop {
            match self.socket.accept().await {
                Ok((socket, peer)) => {
                    self.retry_ms = ACCEPT_RETRY_MS_MIN;
                    let place = self.place().await;
                    Counters::add(&self.counters.accepted);
                    return (socket, peer, place);
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => self.pause_after(&error).await,
            }
        }
    }

    async fn place(&mut self) -> Place {
        let mut waited = false;
        loop {
            if let Some(place) = self.places.take() {
                return place;
            }
            if !waited {
                waited = true;
                Counters::add(&self.counters.limit_reached);
                self.report_limit();
            }
            // A close since it was asked is remembered.
            let _ = timeout(PLACE_RETRY, self.closed.notified()).await;
        }
    }

    fn open(&self, place: Place, occupied: Occupied) -> Open {
        let (closed, counters) = (Arc::clone(&self.closed), Arc::clone(&self.counters));
        Open { place: Some(place), _occupied: occupied, closed, counters }
    }

    /// At the limit each close is followed by an accept and the limit again:
    /// one line in a while is enough.
    fn report_limit(&mut self) {
        let now = Instant::now();
        if self.limit_reported.is_none_or(|last| now - last >= LIMIT_REPORT_INTERVAL) {
            self.limit_reported = Some(now);
            tracing::warn!("connection limit reached: accepting again when one closes");
        }
    }

    /// Out of file descriptors or memory: the socket stays readable, so trying
    /// again at once would only burn the core that has to free some.
    async fn pause_after(&mut self, error: &io::Error) {
        Counters::add(&self.counters.accept_errors);
        tracing::warn!(%error, retry_ms = self.retry_ms, "cannot accept");
        sleep(Duration::from_millis(self.retry_ms)).await;
        self.retry_ms = (self.retry_ms * 2).min(ACCEPT_RETRY_MS_MAX);
    }
}

/// Whether accept reports the fate of one connection and not of the listener.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn listen(addr: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // A restart must not wait for the old connections' TIME_WAIT; on Linux this
    // never lets two listeners share a port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}
