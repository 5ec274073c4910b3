//! The primary's end: the listener of the cluster, and who is connected.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::replication::api::ApiError;
use crate::replication::credentials::server_config;
use crate::replication::record::Record;
use crate::replication::serve::Connection;
use crate::replication::status::Shipping;
use crate::replication::{LOG_RETAIN_BYTES, Replication};

/// For a secondary to shake hands.
const HANDSHAKE_TIME_MAX: core::time::Duration = core::time::Duration::from_secs(10);
/// Looks for the address to become free.
const BIND_RETRIES: u32 = 10;
/// Of requests on one connection.
const STREAMS_MAX: u32 = 1024;
const WINDOW_BYTES: u32 = 8 << 20;
const PING: core::time::Duration = core::time::Duration::from_secs(2);
const PING_TIME_MAX: core::time::Duration = core::time::Duration::from_secs(4);

/// While this server is a primary.
#[derive(Debug)]
pub(crate) struct Primary {
    /// Where secondaries are told to connect.
    pub(crate) address: String,
    /// Those that are connected.
    shipping: Mutex<Vec<Weak<Shipping>>>,
    /// Ends the connections there are.
    connections: Mutex<CancellationToken>,
    role: CancellationToken,
}

impl Primary {
    pub(crate) fn connected(&self) -> Vec<Arc<Shipping>> {
        let mut shipping = self.shipping.lock().unwrap_or_else(PoisonError::into_inner);
        shipping.retain(|weak| weak.strong_count() > 0);
        shipping.iter().filter_map(Weak::upgrade).collect()
    }

    /// Ends all connections: who may still come back is checked anew.
    pub(super) fn cut(&self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.cancel();
        *connections = self.role.child_token();
    }

    fn connections(&self) -> CancellationToken {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn connect(&self, shipping: &Arc<Shipping>) {
        let mut all = self.shipping.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::downgrade(shipping));
    }
}

impl Replication {
    /// Listens, if the record says that this is a primary.
    pub(super) async fn take_up_primary(self: &Arc<Self>) -> Result<(), ApiError> {
        let stack = self.stacks.current();
        let record = Record::read(&stack.shared.vault)?;
        // Nobody comes back to a server that is no primary: its log is used again.
        stack.store.retain_log(record.as_ref().map_or(0, |_| LOG_RETAIN_BYTES));
        let Some(record) = record else { return Ok(()) };
        let at = self.listen_address();
        let listener = bind(at)
            .await
            .map_err(|error| ApiError::invalid(format!("the cluster address {at}: {error}")))?;
        let bound = listener.local_addr()?;
        let config = Arc::new(server_config(&record.ca)?);
        let address = record.address.unwrap_or_else(|| bound.to_string());
        tracing::info!(%bound, address, "primary: listening for secondaries");
        let (replication, role) = (Arc::clone(self), self.role_token());
        let primary = Arc::new(Primary {
            address,
            shipping: Mutex::default(),
            connections: Mutex::new(role.child_token()),
            role: role.clone(),
        });
        self.following.primary.store(Some(Arc::clone(&primary)));
        self.handle.spawn(async move {
            let accepting = replication.accept(listener, config, primary);
            tokio::select! {
                () = role.cancelled() => {}
                () = accepting => {}
            }
        });
        Ok(())
    }

    /// As configured, or the port beside that of the API, as Vault has it.
    fn listen_address(&self) -> SocketAddr {
        self.cluster_address.unwrap_or_else(|| {
            let mut address = self.api_address;
            address.set_port(address.port().saturating_add(1));
            address
        })
    }

    async fn accept(
        self: &Arc<Self>,
        listener: std::net::TcpListener,
        config: Arc<rustls::ServerConfig>,
        primary: Arc<Primary>,
    ) {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        let acceptor = TlsAcceptor::from(config);
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    let serving =
                        Arc::clone(self).serve(socket, acceptor.clone(), Arc::clone(&primary));
                    self.handle.spawn(async move {
                        if let Err(error) = serving.await {
                            tracing::debug!(%peer, error, "a connection of the cluster ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(super::status::LOOK).await;
                }
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        socket: TcpStream,
        acceptor: TlsAcceptor,
        primary: Arc<Primary>,
    ) -> Result<(), String> {
        let role = primary.connections();
        let _ = socket.set_nodelay(true);
        let tls = tokio::time::timeout(HANDSHAKE_TIME_MAX, acceptor.accept(socket)).await;
        let tls = tls.map_err(|_| "no handshake in time")?.map_err(|error| error.to_string())?;
        let certificate = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = certificate.cloned().ok_or("no certificate")?.into_owned();
        let connection = Arc::new(Connection::new(self, primary, certificate, role.clone()));
        let service = hyper::service::service_fn(move |request| {
            let connection = Arc::clone(&connection);
            async move { Ok::<_, core::convert::Infallible>(connection.answer(request).await) }
        });
        let serving = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(2 * WINDOW_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING_TIME_MAX)
            .serve_connection(TokioIo::new(tls), service);
        tokio::select! {
            () = role.cancelled() => Ok(()),
            served = serving => served.map_err(|error| error.to_string()),
        }
    }
}

/// The listener of a moment ago may not have closed yet.
async fn bind(at: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    for _ in 0..BIND_RETRIES {
        match std::net::TcpListener::bind(at) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(super::status::LOOK).await;
            }
            bound => return bound.and_then(nonblocking),
        }
    }
    std::net::TcpListener::bind(at).and_then(nonblocking)
}

fn nonblocking(listener: std::net::TcpListener) -> std::io::Result<std::net::TcpListener> {
    listener.set_nonblocking(true)?;
    Ok(listener)
}
