//! The server behind: how it is reached, asked and understood.
//!
//! # Nothing is retried
//! A proxy that repeats requests multiplies an overload and may do twice what was to
//! be done once. There is one repetition that is none: a pooled connection may turn
//! out to be closed when it is taken, and then hyper hands the request back untouched,
//! *not one byte of it written*; it goes to another connection. A connection that the
//! upstream closes while a request is on its way is a 502: nobody knows what has been
//! done. To make that race rare, idle connections are closed before the upstream
//! would close them: Vault waits five minutes, the impatient among the others five
//! seconds.

mod connect;
mod error;
mod kind;
mod pool;
mod waiting;
mod wire;

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use plimsoll_listener::{ClientTls, TlsError};
use rustls::pki_types::ServerName;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::body::{Download, Upload, UploadState};
use crate::head::{self, Origin, Target};
use crate::upstream::connect::Connector;
use crate::upstream::error::FailureLog;
use crate::upstream::kind::{HEALTH_BYTES_MAX, KnownKind};
use crate::upstream::pool::Pool;
use crate::upstream::waiting::Waiting;
use crate::upstream::wire::{Unanswered, Wire};

pub(crate) use crate::upstream::error::UpstreamError;
pub use crate::upstream::kind::{ConfiguredKind, UnknownKind, UpstreamKind};

pub(crate) use crate::upstream::kind::HEALTH_PATH;
pub(crate) use crate::upstream::pool::Lease;
pub(crate) use crate::upstream::waiting::Lasts;
pub(crate) use crate::upstream::wire::asleep;

/// The largest head of an answer, as of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header fields of an answer.
const HEADERS_MAX: usize = 100;
/// How often an upstream that does not answer is asked what it is.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How long it may take to say so.
const PROBE_TIME_MAX: Duration = Duration::from_secs(5);

/// Where the upstream is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// `http://host:port` or `https://host:port`.
    pub url: UpstreamUrl,
    /// What kind of server it is.
    pub kind: ConfiguredKind,
    /// What `Host` says there; the client's own if `None`.
    pub host: Option<HeaderValue>,
    /// Authorities and client certificate, for an `https` upstream.
    pub tls: ClientTls,
    /// The name in its certificate, if not the URL's.
    pub tls_server_name: Option<ServerName<'static>>,
    /// Time to connect, TLS included.
    pub connect_time_max: Duration,
    /// Time for an answer to begin, and between two pieces of it.
    pub answer_time_max: Duration,
}

/// An upstream's URL: a scheme, a host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(Uri);

/// The text is not such a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an upstream: expected http://HOST:PORT or https://HOST:PORT, without a path")]
pub struct InvalidUrl(String);

impl core::str::FromStr for UpstreamUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let invalid = || InvalidUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let known = uri.scheme().is_some_and(|s| [Scheme::HTTP, Scheme::HTTPS].contains(s));
        let host = uri.authority().is_some_and(|at| {
            // http takes a port that is none for no port.
            let port = at.as_str() == at.host() || at.port_u16().is_some_and(|port| port > 0);
            !at.host().is_empty() && !at.as_str().contains('@') && port
        });
        let plain = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
        (known && host && plain).then_some(Self(uri)).ok_or_else(invalid)
    }
}

impl UpstreamUrl {
    /// Whether TLS is spoken there.
    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

impl UpstreamOptions {
    /// An upstream with nothing known but its URL. 90 s for an answer to begin is how
    /// long Vault itself gives a request.
    pub fn new(url: UpstreamUrl) -> Self {
        Self {
            url,
            kind: ConfiguredKind::default(),
            host: None,
            tls: ClientTls::default(),
            tls_server_name: None,
            connect_time_max: Duration::from_secs(5),
            answer_time_max: Duration::from_secs(90),
        }
    }
}

/// The server behind.
pub(crate) struct Upstream {
    /// Where connections lead.
    url: Uri,
    connector: Connector,
    http: Builder,
    pool: Arc<Pool>,
    /// What requests say about that.
    target: Target,
    kind: KnownKind,
    /// Nobody need ask for it.
    kind_is_configured: bool,
    answer_time_max: Duration,
    failures: FailureLog,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Reads certificates; connects to nobody yet.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(crate) fn new(options: &UpstreamOptions) -> Result<Self, TlsError> {
        let url = options.url.0.clone();
        let time_max = options.connect_time_max;
        let connector = if options.url.is_https() {
            Connector::tls(options.tls.load()?, options.tls_server_name.clone(), time_max)
        } else {
            Connector::plain(time_max)
        };
        let mut http = Builder::new();
        http.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
        Ok(Self {
            target: Target { authority: authority(&url), host: options.host.clone() },
            url,
            connector,
            http,
            pool: Arc::default(),
            kind: KnownKind::new(options.kind.0),
            kind_is_configured: options.kind.0.is_some(),
            answer_time_max: options.answer_time_max,
            failures: FailureLog::default(),
        })
    }

    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) const fn answer_time_max(&self) -> Duration {
        self.answer_time_max
    }

    /// What it is, as far as that is known.
    pub(crate) fn kind(&self) -> Option<UpstreamKind> {
        self.kind.get()
    }

    /// Sends a request and waits for the head of its answer. Dropping the future
    /// closes the connection, by which the upstream learns that nobody waits.
    ///
    /// A request that has been on its way for a second `lasts`.
    ///
    /// With the answer comes the connection on which its body is yet to come, for whoever
    /// reads it to move; none if all of it is here, or another task moves it.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) async fn send(
        &self,
        mut request: Request<Upload>,
        upload: &UploadState,
        lasts: &mut Lasts<'_>,
    ) -> Result<(Response<Incoming>, Option<Lease>), UpstreamError> {
        let mut waiting = Waiting::new(upload, self.answer_time_max, &self.pool, lasts);
        loop {
            let (kept_since, mut lease) = match self.pool.take() {
                Some((since, lease)) => (Some(since), lease),
                None => (None, self.connect().await?),
            };
            let answer = lease.wire.ask(request, &mut waiting).await;
            match (&answer, kept_since) {
                (Ok(_), Some(_)) => self.pool.answered(waiting.waited().as_secs_f64()),
                (Err(_), Some(since)) if lease.wire.has_ended() => self.pool.closed(since),
                _ => {}
            }
            match answer {
                Ok(answer) if !head::is_passable(&answer) => {
                    return Err(self.failed(UpstreamError::Garbage));
                }
                // The client may go on sending without reading.
                Ok(answer) if lease.is_free() || upload.is_unread() => {
                    lease.give_back();
                    return Ok((answer, None));
                }
                Ok(answer) => return Ok((answer, Some(lease))),
                Err(Unanswered::Unsent(unsent)) if kept_since.is_some() => request = *unsent,
                Err(Unanswered::Unsent(_)) => {
                    return Err(self.failed(UpstreamError::Terminated));
                }
                Err(Unanswered::Late) => return Err(self.failed(UpstreamError::Late)),
                // What the client broke off says nothing about the upstream.
                Err(Unanswered::Failed(error)) if upload.broken().is_some() => {
                    return Err(UpstreamError::of(&error));
                }
                Err(Unanswered::Failed(error)) => {
                    return Err(self.failures.note(UpstreamError::of(&error), &error));
                }
            }
        }
    }

    /// There is no more to say about it than its kind.
    fn failed(&self, kind: UpstreamError) -> UpstreamError {
        self.failures.note(kind, &kind)
    }

    async fn connect(&self) -> Result<Lease, UpstreamError> {
        let connecting = self.connector.clone().oneshot(self.url.clone());
        let stream = connecting
            .await
            .map_err(|error| self.failures.note(UpstreamError::of_connect(&*error), &*error))?;
        let wire = Wire::new(&self.http, stream, self.answer_time_max).await;
        let wire = wire.map_err(|error| self.failures.note(UpstreamError::of(&error), &error))?;
        Ok(self.pool.lease(Box::new(wire)))
    }

    pub(crate) const fn kind_is_configured(&self) -> bool {
        self.kind_is_configured
    }

    /// Takes what was known of the same upstream for true until it is asked again: a
    /// Vault's logins must not share a gate with its writes for that long.
    pub(crate) fn remember(&self, earlier: &Self) {
        let same = self.url.authority() == earlier.url.authority();
        if let (true, None, Some(kind)) = (same, self.kind(), earlier.kind()) {
            self.kind.set(kind);
        }
    }

    /// Asks the upstream what it is until it says so.
    pub(crate) async fn recognise(&self) -> UpstreamKind {
        loop {
            if let Ok(Some(kind)) = timeout(PROBE_TIME_MAX, self.probe()).await {
                self.kind.set(kind);
                return kind;
            }
            sleep(PROBE_INTERVAL).await;
        }
    }

    async fn probe(&self) -> Option<UpstreamKind> {
        let mut parts = Request::get(HEALTH_PATH).body(()).ok()?.into_parts().0;
        head::direct(&mut parts, &self.target, &Origin::ITSELF);
        let (upload, state) = Upload::empty();
        let (answer, lease) =
            self.send(Request::from_parts(parts, upload), &state, &mut || true).await.ok()?;
        let body = Download::passed(answer.into_body(), lease, self.answer_time_max, None);
        let body = Limited::new(body, HEALTH_BYTES_MAX).collect().await;
        // Whoever answers with megabytes is no Vault.
        Some(body.map_or(UpstreamKind::Http, |body| kind::recognise(&body.to_bytes())))
    }
}

/// What `Host` says if nobody says anything else.
fn authority(url: &Uri) -> HeaderValue {
    let authority = url.authority().and_then(|at| HeaderValue::from_str(at.as_str()).ok());
    authority.unwrap_or(HeaderValue::from_static("localhost"))
}
