//! The secondary's end of a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;

use crate::backup::Outgoing;
use crate::replication::api::ApiError;
use crate::replication::credentials::{Certified, PRIMARY_NAME, client_config};
use crate::replication::wire::PROTOCOL;

/// For a connection to stand.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Between pings, and for the answer to one.
const PING: Duration = Duration::from_secs(2);
const PING_TIME_MAX: Duration = Duration::from_secs(4);
/// In flight on one stream: the round trip times the rate of a fast disk.
const WINDOW_BYTES: u32 = 8 << 20;
/// Of an answer that is kept in memory.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Names the secondary in each request.
pub(super) const SECONDARY_HEADER: &str = "x-plimsoll-secondary";

/// Says what the secondary speaks, in each request.
pub(super) const PROTOCOL_HEADER: &str = "x-plimsoll-protocol";

pub(super) type Sender = http2::SendRequest<Outgoing>;

/// A connection was not made: nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the primary at {address}: {why}")]
pub(super) struct Unreachable {
    address: String,
    why: String,
}

/// Where the primary is, and how to get in.
pub(crate) struct Link {
    address: String,
    id: String,
    config: Arc<ClientConfig>,
    /// Runs the connection.
    handle: Handle,
    /// Kept for short requests.
    kept: tokio::sync::Mutex<Option<Sender>>,
}

impl core::fmt::Debug for Link {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(
        address: &str,
        ca: &str,
        id: &str,
        own: &Certified,
        handle: Handle,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            address: address.to_owned(),
            id: id.to_owned(),
            config: Arc::new(client_config(ca, own)?),
            handle,
            kept: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// A connection of its own.
    pub(super) async fn open(&self) -> Result<Sender, Unreachable> {
        let unreachable = |why: String| Unreachable { address: self.address.clone(), why };
        match tokio::time::timeout(CONNECT_TIME_MAX, self.connect()).await {
            Ok(connected) => connected.map_err(|error| unreachable(error.to_string())),
            Err(_) => Err(unreachable("no answer in time".to_owned())),
        }
    }

    async fn connect(&self) -> Result<Sender, Box<dyn core::error::Error + Send + Sync>> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(PRIMARY_NAME)?;
        let tls = TlsConnector::from(Arc::clone(&self.config)).connect(name, socket).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(2 * WINDOW_BYTES)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING_TIME_MAX)
            .handshake(TokioIo::new(tls))
            .await?;
        self.handle.spawn(connection);
        Ok(sender)
    }

    /// The connection that is kept, or a new one. Nothing was sent if there is none.
    pub(super) async fn ready(&self) -> Result<Sender, Unreachable> {
        let mut kept = self.kept.lock().await;
        if let Some(sender) = &*kept {
            let mut sender = sender.clone();
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let sender = self.open().await?;
        *kept = Some(sender.clone());
        Ok(sender)
    }

    /// A request of the cluster's own.
    pub(super) fn request(&self, method: Method, path: &str, body: Outgoing) -> Request<Outgoing> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        if let Ok(uri) = format!("https://{PRIMARY_NAME}{path}").parse() {
            *request.uri_mut() = uri;
        }
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            request.headers_mut().insert(SECONDARY_HEADER, id);
        }
        let protocol = HeaderValue::from_static(PROTOCOL);
        request.headers_mut().insert(PROTOCOL_HEADER, protocol);
        request
    }
}

/// The answer's body, if it is not too long.
pub(super) async fn whole(body: Incoming) -> Option<Bytes> {
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    body.map(http_body_util::Collected::to_bytes).ok()
}

/// What an answer that is no success says.
pub(super) async fn said(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let body = whole(response.into_body()).await.unwrap_or_default();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = body["errors"][0].as_str().unwrap_or("the primary did not say why");
    (status, text.to_owned())
}
