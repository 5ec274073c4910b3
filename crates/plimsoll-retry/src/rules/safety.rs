//! What may be sent again, and after what.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::budget;

/// `Idempotency-Key`: names a request so that the server does it once, however
/// often it arrives.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How an attempt failed, if another one may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// 503: the server has too much to do; nobody should send for a while.
    Overloaded,
    /// 429: this client has asked too often.
    OverQuota,
    /// 408, 412, 502, 504, or no answer at all.
    Broken,
}

impl Failure {
    /// None: the answer is final. 507 and 501 are, as RFC 4918 and common sense
    /// have it: nothing changes by asking again. So is a 500.
    pub(crate) fn of(status: StatusCode, conditional: bool) -> Option<Self> {
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Some(Self::Overloaded),
            StatusCode::TOO_MANY_REQUESTS => Some(Self::OverQuota),
            // Vault answers 412 when a node has not seen a write yet. To a request
            // that stated a condition it is the answer.
            StatusCode::PRECONDITION_FAILED if conditional => None,
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT => Some(Self::Broken),
            _ => None,
        }
    }

    pub(crate) const fn is_refusal(self) -> bool {
        matches!(self, Self::Overloaded | Self::OverQuota)
    }

    pub(crate) const fn cost(self) -> u32 {
        if self.is_refusal() { budget::REFUSED_COST } else { budget::FAILED_COST }
    }
}

/// Whether a request may be executed twice: by its method (RFC 9110, section 9.2.2,
/// and Vault's `LIST`), or because it carries a key.
pub fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    is_idempotent(method) || headers.contains_key(IDEMPOTENCY_KEY)
}

fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent() || method.as_str() == "LIST"
}

/// Whether a request changes nothing, as far as its method says.
pub(crate) fn is_read(method: &Method) -> bool {
    method.is_safe() || method.as_str() == "LIST"
}

/// Whether a request states a condition of its own.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE]
        .iter()
        .any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_another_attempt_may_help_is_tried_again() {
        let again =
            |status: &u16| Failure::of(StatusCode::from_u16(*status).unwrap(), false).is_some();
        let statuses: Vec<u16> = (200..600).filter(again).collect();
        assert_eq!(statuses, [408, 412, 429, 502, 503, 504]);
    }

    #[test]
    fn a_failed_condition_of_the_clients_own_is_an_answer() {
        assert_eq!(Failure::of(StatusCode::PRECONDITION_FAILED, true), None);
        let headers = HeaderMap::from_iter([(IF_MATCH, "\"x\"".parse().unwrap())]);
        assert!(is_conditional(&headers) && !is_conditional(&HeaderMap::new()));
    }

    #[test]
    fn a_key_makes_an_unsafe_write_repeatable() {
        let none = HeaderMap::new();
        let keyed = HeaderMap::from_iter([(IDEMPOTENCY_KEY, "\"k\"".parse().unwrap())]);
        for method in ["GET", "HEAD", "LIST", "PUT", "DELETE", "OPTIONS"] {
            assert!(is_repeatable(&method.parse().unwrap(), &none), "{method}");
        }
        for method in [Method::POST, Method::PATCH, "LOGIN".parse().unwrap()] {
            assert!(!is_repeatable(&method, &none) && is_repeatable(&method, &keyed), "{method}");
        }
    }
}
