//! What can go wrong with an upstream, in the words of RFC 9209.

use core::error::Error;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use rustls::AlertDescription;
use tokio::time::Instant;

/// Why there is no answer of the upstream's.
///
/// It says nothing to clients that the upstream's operator would not publish: no
/// addresses, no system messages. Those are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Nobody listens there.
    #[error("the upstream refused the connection")]
    Refused,
    /// Its name or its address leads nowhere.
    #[error("the upstream cannot be reached")]
    Unreachable,
    /// No connection in time.
    #[error("no connection to the upstream in time")]
    ConnectTimeout,
    /// Its certificate is not one to trust, or it wants another one of ours.
    #[error("the upstream's TLS handshake failed")]
    Tls,
    /// It closed the connection before it answered.
    #[error("the upstream closed the connection before it answered")]
    Terminated,
    /// What it sent is not HTTP.
    #[error("the upstream's answer is not HTTP")]
    Garbage,
    /// The answer did not begin in time.
    #[error("the upstream did not answer in time")]
    Late,
}

impl UpstreamError {
    /// Every kind, in the order of their counters.
    pub(crate) const ALL: [Self; 7] = [
        Self::Refused,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Terminated,
        Self::Garbage,
        Self::Late,
    ];

    /// 502, or 504 where time ran out.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::ConnectTimeout | Self::Late => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// The error type registered for `Proxy-Status` (RFC 9209 2.3).
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Refused => "connection_refused",
            Self::Unreachable => "destination_unavailable",
            Self::ConnectTimeout => "connection_timeout",
            Self::Tls => "tls_protocol_error",
            Self::Terminated => "connection_terminated",
            Self::Garbage => "http_protocol_error",
            Self::Late => "http_response_timeout",
        }
    }

    /// Whether the upstream cannot have seen the request: then a retry is safe.
    pub(crate) const fn nothing_sent(self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable | Self::ConnectTimeout | Self::Tls)
    }

    /// On a connection.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if error.is_parse() || error.is_parse_too_large() {
            Self::Garbage
        } else if sources(error).any(refuses_us) {
            Self::Tls
        } else {
            Self::Terminated
        }
    }

    /// On the way to one.
    pub(super) fn of_connect(error: &(dyn Error + 'static)) -> Self {
        for source in sources(error) {
            if source.is::<rustls::Error>() {
                return Self::Tls;
            }
            match source.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => return Self::Refused,
                Some(io::ErrorKind::TimedOut) => return Self::ConnectTimeout,
                // In the middle of the handshake.
                Some(
                    io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe,
                ) => return Self::Tls,
                _ => {}
            }
        }
        Self::Unreachable
    }
}

/// Whether an upstream does not want our certificate, or wants one. Over TLS 1.3 it says so
/// after the handshake as we see it, but before it has read a request.
fn refuses_us(error: &(dyn Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRequired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate
        ))
    )
}

/// How often the log tells of the same kind of failure.
const NOTE_INTERVAL: Duration = Duration::from_secs(10);

/// Tells the operator why there is no answer. An upstream that is gone fails every
/// request, so of each kind one in a while is told.
#[derive(Debug, Default)]
pub(super) struct FailureLog(Mutex<[Option<Instant>; UpstreamError::ALL.len()]>);

impl FailureLog {
    pub(super) fn note(&self, kind: UpstreamError, cause: &(dyn Error + 'static)) -> UpstreamError {
        if self.is_due(kind) {
            tracing::warn!(error = cause, token = kind.token(), "no answer from the upstream");
        }
        kind
    }

    fn is_due(&self, kind: UpstreamError) -> bool {
        let now = Instant::now();
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut noted[kind as usize];
        let due = last.is_none_or(|last| now - last >= NOTE_INTERVAL);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// An error and everything below it; what an io::Error wraps is hidden from its `source`.
fn sources<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    core::iter::successors(Some(error), |&error: &&'e (dyn Error + 'static)| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_of_our_certificate_means_that_nothing_was_read() {
        let says = |alert| {
            let alert = rustls::Error::AlertReceived(alert);
            sources(&io::Error::new(io::ErrorKind::InvalidData, alert)).any(refuses_us)
        };
        assert!(says(AlertDescription::CertificateRequired));
        assert!(says(AlertDescription::UnknownCA));
        assert!(!says(AlertDescription::BadRecordMac));
        assert!(!says(AlertDescription::InternalError));
    }
}
