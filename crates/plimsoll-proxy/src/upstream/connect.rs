//! Connections to the upstream: TCP or TLS, all of it within one time limit.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{
    FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream,
};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tower::Service;

/// How often the system asks whether an idle upstream is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What is connected.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

type BoxError = Box<dyn core::error::Error + Send + Sync>;

/// Connects within a limit of time, the TLS handshake included: an upstream that
/// accepts and then hangs is as late as one that does not accept.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    scheme: SchemeConnector,
    time_max: Duration,
}

#[derive(Clone, Debug)]
enum SchemeConnector {
    Http(HttpConnector),
    Https(HttpsConnector<HttpConnector>),
}

impl Connector {
    pub(super) fn plain(time_max: Duration) -> Self {
        Self { scheme: SchemeConnector::Http(tcp(time_max)), time_max }
    }

    pub(super) fn tls(
        tls: ClientConfig,
        server_name: Option<ServerName<'static>>,
        time_max: Duration,
    ) -> Self {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
        let builder = match server_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => builder,
        };
        Self {
            scheme: SchemeConnector::Https(builder.enable_http1().wrap_connector(tcp(time_max))),
            time_max,
        }
    }
}

fn tcp(time_max: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Requests are written whole; waiting to coalesce them only adds latency.
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    // Shared by the addresses of a name: one that swallows everything leaves time for
    // the next.
    tcp.set_connect_timeout(Some(time_max));
    tcp
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.scheme {
            SchemeConnector::Http(tcp) => tcp.poll_ready(context).map_err(Into::into),
            SchemeConnector::Https(tls) => tls.poll_ready(context),
        }
    }

    fn call(&mut self, upstream: Uri) -> Self::Future {
        let time_max = self.time_max;
        match &mut self.scheme {
            SchemeConnector::Http(tcp) => {
                let connecting = tcp.call(upstream);
                Box::pin(in_time(
                    time_max,
                    async move { Ok(MaybeHttpsStream::Http(connecting.await?)) },
                ))
            }
            SchemeConnector::Https(tls) => Box::pin(in_time(time_max, tls.call(upstream))),
        }
    }
}

async fn in_time<T>(
    time_max: Duration,
    connecting: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "connecting took too long");
    tokio::time::timeout(time_max, connecting).await.map_err(|_| late())?
}
