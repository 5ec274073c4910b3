//! Refusals as HTTP responses.
//!
//! A refusal says which gate refused and why, that nothing was executed, and when
//! to come back. What it looks like is the matter of a *face*: Vault's clients
//! look for `{"errors": [...]}`, others for RFC 9457 problem details.

mod problem;
mod vault;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, LINK, RETRY_AFTER};
use http::{HeaderName, Response, StatusCode};
use plimsoll::{Reason, Rejection};
use rand::Rng;

use crate::body::BodyError;
use crate::identity::ForwardingError;

pub use crate::refusal::problem::ProblemFace;
pub use crate::refusal::vault::VaultFace;

/// Milliseconds, for clients to which Retry-After's whole seconds are too coarse.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// The longest Retry-After of an overload: longer ones park clients beyond it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// Why a request was not executed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// 503: a gate is at its load line.
    Overloaded(Rejection),
    /// 507: there is no space to store more. Nobody can tell when there will be.
    NoSpace(Rejection),
    /// 413: the body is too large.
    TooLarge(BodyError),
    /// 408: the body did not come in time.
    TooSlow(BodyError),
    /// 400: the body broke off.
    BrokeOff,
    /// 400: what the request says of its origin.
    Origin(ForwardingError),
}

impl From<ForwardingError> for Refusal {
    fn from(error: ForwardingError) -> Self {
        Self::Origin(error)
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        match rejection.reason {
            Reason::NoSpace => Self::NoSpace(rejection),
            _ => Self::Overloaded(rejection),
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => Self::TooLarge(error),
            BodyError::TooSlow(_) => Self::TooSlow(error),
            BodyError::BrokeOff => Self::BrokeOff,
        }
    }
}

impl Refusal {
    /// Its status code.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BrokeOff | Self::Origin(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// One sentence for people.
    pub fn message(&self) -> String {
        match self {
            Self::Overloaded(rejection) => format!(
                "overloaded, try again later: refused by the {} gate ({}), nothing was executed",
                rejection.gate.name(),
                rejection.reason.name()
            ),
            Self::NoSpace(rejection) => format!(
                "no space to store more: refused by the {} gate, nothing was executed; reads and \
                 deletes go on",
                rejection.gate.name()
            ),
            Self::TooLarge(error) | Self::TooSlow(error) => error.to_string(),
            Self::BrokeOff => BodyError::BrokeOff.to_string(),
            Self::Origin(error) => error.to_string(),
        }
    }
}

/// A refusal with the wait that this client, and no other, is told.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What is refused and why.
    pub refusal: Refusal,
    /// When to come back, if that helps.
    pub retry_after: Option<Duration>,
}

impl Told {
    /// Adds the jitter: everyone told the same second would be back in it. The
    /// wait is drawn from [d, 2 d), so that nobody comes before the time the gate
    /// expects to have room.
    pub fn new(refusal: Refusal) -> Self {
        let retry_after = match &refusal {
            Refusal::Overloaded(rejection) => {
                let stretched = rejection.retry_after.mul_f64(rand::rng().random_range(1.0..2.0));
                Some(stretched.min(RETRY_AFTER_MAX))
            }
            _ => None,
        };
        Self { refusal, retry_after }
    }

    /// [`Told::retry_after`] in milliseconds.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }
}

/// How refusals look to one kind of client.
pub trait Face: Send + Sync + 'static {
    /// The body's media type.
    fn content_type(&self) -> &'static str;

    /// The body.
    fn body(&self, told: &Told) -> Bytes;

    /// Where people find out more, for `Link: rel="status"` (RFC 8631).
    fn status_page(&self) -> Option<&str> {
        None
    }
}

/// The response that `face` gives to a refusal. `unread` closes the connection
/// after the answer: the rest of the request's body is still on its way, and
/// reading it only to throw it away would cost what was refused to save.
pub fn respond<B: From<Bytes>>(face: &dyn Face, refusal: Refusal, unread: bool) -> Response<B> {
    let told = Told::new(refusal);
    let mut response = Response::new(B::from(face.body(&told)));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(face.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(ms) = told.retry_after_ms() {
        // RFC 9110 10.2.3: whole seconds. Rounded up, so never 0.
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000).max(1)));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(ms));
    }
    if let Some(page) = face.status_page()
        && let Ok(link) = HeaderValue::from_str(&format!("<{page}>; rel=\"status\""))
    {
        headers.insert(LINK, link);
    }
    if unread {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
