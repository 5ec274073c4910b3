//! Refusals as HTTP responses.
//!
//! A refusal says what was refused and by whom, that nothing was executed, and
//! when to come back if that helps. What it *means* is the same for everybody and
//! is decided here: status, headers, a stable code, the details. What it *looks
//! like* is the matter of a [`Face`]: Vault's clients look for `{"errors": [...]}`,
//! Azure's for `{"error": {"code": ...}}`, others for RFC 9457 problem details, and
//! people for a sentence.
//!
//! | status | when | Retry-After |
//! |---|---|---|
//! | 503 | a gate is at its load line | yes: [d, 2 d) around the gate's own estimate |
//! | 503 | maintenance | yes: to the end of the window, or 60-300 s |
//! | 429 | this client is over its quota | yes: until there is room, and a little more |
//! | 507 | no space to store more | no: nobody knows, and it is not to be repeated |
//! | 410 | retired for good | no |
//! | 413, 408, 431, 400 | too large, too slow, malformed | no: the same again would fare no better |
//! | 400, 409, 422 | `Idempotency-Key` | no |
//!
//! A Retry-After is drawn by lot for each refusal: many clients sleep exactly as
//! long as they are told, and would come back together.

mod azure;
mod negotiate;
mod people;
mod problem;
pub mod ratelimit;
mod respond;
mod told;
mod vault;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use plimsoll::{Reason, Rejection};

use crate::body::BodyError;
use crate::identity::ForwardingError;
use crate::limits::HeadersTooLarge;
use crate::maintenance::{self, Plan};
use crate::refusal::ratelimit::Allowance;

pub use crate::refusal::azure::AzureFace;
pub use crate::refusal::negotiate::Negotiated;
pub(crate) use crate::refusal::negotiate::preferred;
pub(crate) use crate::refusal::people::escaped;
pub use crate::refusal::people::{HtmlFace, TextFace};
pub use crate::refusal::problem::ProblemFace;
pub use crate::refusal::respond::{Face, Rendered, Unexecuted, respond};
pub use crate::refusal::told::Told;
pub use crate::refusal::vault::VaultFace;

/// Why a request was not executed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// 503: a gate is at its load line.
    Overloaded(Rejection),
    /// 507: there is no space to store more. Nobody can tell when there will be.
    NoSpace(Rejection),
    /// 429: this client asked too much.
    Throttled(Throttled),
    /// 503, or 410 for what is retired: closed on purpose.
    Closed {
        /// The window.
        plan: Arc<Plan>,
        /// How long it is still in force, if anybody knows.
        remaining: Option<Duration>,
    },
    /// 413: the body is too large.
    TooLarge(BodyError),
    /// 408: the body did not come in time.
    TooSlow(BodyError),
    /// 400: the body broke off.
    BrokeOff,
    /// 431: the headers are too large.
    HeadersTooLarge(HeadersTooLarge),
    /// 400: what the request says of its origin.
    Origin(ForwardingError),
    /// 400, 409, 422: its `Idempotency-Key`.
    Idempotency(IdempotencyError),
}

/// A client that is over one of its quotas.
#[derive(Clone, Debug)]
pub struct Throttled {
    /// The quota's name.
    pub quota: String,
    /// One sentence for people.
    pub message: String,
    /// When there is room again.
    pub retry_after: Duration,
    /// All policies that the request met, first the one it broke.
    pub allowances: Vec<Allowance>,
}

/// What is wrong with an `Idempotency-Key`
/// (draft-ietf-httpapi-idempotency-key-header).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdempotencyError {
    /// 400.
    #[error("the Idempotency-Key header must be one quoted string of 1 to 255 characters")]
    Malformed,
    /// 409.
    #[error("a request with this Idempotency-Key is still in progress")]
    InProgress,
    /// 422.
    #[error("this Idempotency-Key was used for a different request")]
    Reused,
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        match rejection.reason {
            Reason::NoSpace => Self::NoSpace(rejection),
            _ => Self::Overloaded(rejection),
        }
    }
}

impl From<Throttled> for Refusal {
    fn from(throttled: Throttled) -> Self {
        Self::Throttled(throttled)
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

impl From<HeadersTooLarge> for Refusal {
    fn from(error: HeadersTooLarge) -> Self {
        Self::HeadersTooLarge(error)
    }
}

impl From<ForwardingError> for Refusal {
    fn from(error: ForwardingError) -> Self {
        Self::Origin(error)
    }
}

impl From<IdempotencyError> for Refusal {
    fn from(error: IdempotencyError) -> Self {
        Self::Idempotency(error)
    }
}

impl Refusal {
    /// Its status code.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Closed { plan, .. } if plan.is_for_good() => StatusCode::GONE,
            Self::Overloaded(_) | Self::Closed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::HeadersTooLarge(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BrokeOff | Self::Origin(_) => StatusCode::BAD_REQUEST,
            Self::Idempotency(IdempotencyError::Malformed) => StatusCode::BAD_REQUEST,
            Self::Idempotency(IdempotencyError::InProgress) => StatusCode::CONFLICT,
            Self::Idempotency(IdempotencyError::Reused) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// Its stable name, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Overloaded(_) => "overloaded",
            Self::NoSpace(_) => "insufficient_storage",
            Self::Throttled(_) => "quota_exceeded",
            Self::Closed { plan, .. } if plan.is_for_good() => "retired",
            Self::Closed { .. } => "maintenance",
            Self::TooLarge(_) => "content_too_large",
            Self::TooSlow(_) => "content_too_slow",
            Self::BrokeOff => "content_broke_off",
            Self::HeadersTooLarge(_) => "headers_too_large",
            Self::Origin(_) => "origin",
            Self::Idempotency(IdempotencyError::Malformed) => "idempotency_key_malformed",
            Self::Idempotency(IdempotencyError::InProgress) => "idempotency_key_in_progress",
            Self::Idempotency(IdempotencyError::Reused) => "idempotency_key_reused",
        }
    }

    /// One sentence for people.
    pub fn message(&self) -> String {
        match self {
            Self::Overloaded(rejection) => overload_sentence(rejection).concat(),
            Self::NoSpace(rejection) => format!(
                "no space to store more: refused by the {} gate, nothing was executed; reads and \
                 deletes go on",
                rejection.gate.name()
            ),
            Self::Throttled(throttled) => throttled.message.clone(),
            Self::Closed { plan, .. } => maintenance::message(plan),
            Self::TooLarge(error) | Self::TooSlow(error) => error.to_string(),
            Self::BrokeOff => BodyError::BrokeOff.to_string(),
            Self::HeadersTooLarge(error) => error.to_string(),
            Self::Origin(error) => error.to_string(),
            Self::Idempotency(error) => error.to_string(),
        }
    }
}

/// The sentence of an overload, in its parts; none needs to be escaped anywhere.
pub(crate) const fn overload_sentence(rejection: &Rejection) -> [&'static str; 5] {
    let (gate, reason) = (rejection.gate.name(), rejection.reason.name());
    let start = "overloaded, try again later: refused by the ";
    [start, gate, " gate (", reason, "), nothing was executed"]
}
