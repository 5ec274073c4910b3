//! Errors as clients see them, and why an operator should look.

use core::time::Duration;

use plimsoll::{Gate, Reason, Rejection};
use plimsoll_store::StoreError;

/// Why a request was not answered with what it asked for. The message is what
/// the client reads: it never carries a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// 400: the request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// 403: no token, a bad one, or no policy that allows it.
    #[error("{0}")]
    Denied(String),
    /// 404: nothing there. Empty for Vault's empty list of errors.
    #[error("{0}")]
    NotFound(String),
    /// 405: the path does not support the operation.
    #[error("1 error occurred:\n\t* unsupported operation\n\n")]
    Unsupported,
    /// 412: a compare-and-set or a required state did not hold.
    #[error("{0}")]
    Precondition(String),
    /// 413: larger than an entry may be.
    #[error("{0}")]
    TooLarge(String),
    /// A secondary cannot write: the primary is to be asked. Nothing was executed.
    #[error("this server is a secondary")]
    Following,
    /// 422: an Idempotency-Key that was used for something else.
    #[error("this Idempotency-Key was used for a different request")]
    KeyReused,
    /// 429: a limit on the number of leases.
    #[error("1 error occurred:\n\t* request path {path:?}: lease count quota exceeded\n\n")]
    LeaseQuota {
        /// What was asked.
        path: String,
        /// The quota's name.
        quota: String,
    },
    /// 503: sealed.
    #[error("Vault is sealed")]
    Sealed,
    /// 501: not initialised.
    #[error("Vault is not initialized")]
    Uninitialized,
    /// 503: refused by a gate; nothing was executed.
    #[error("overloaded, try again later")]
    Rejected(Rejection),
    /// 500, code `outcome_unknown`: it may or may not have happened.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// 500: our fault. The details are for the log, not for the client.
    #[error("internal error")]
    Internal(String),
}

impl VaultError {
    /// 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// 403 with Vault's own words.
    pub fn permission_denied() -> Self {
        Self::Denied("permission denied".to_owned())
    }

    /// 404 without words.
    pub const fn not_found() -> Self {
        Self::NotFound(String::new())
    }

    /// The HTTP status that stands for it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) => 400,
            Self::Denied(_) => 403,
            Self::NotFound(_) => 404,
            Self::Unsupported => 405,
            Self::Precondition(_) => 412,
            Self::TooLarge(_) => 413,
            Self::KeyReused => 422,
            Self::LeaseQuota { .. } => 429,
            Self::Uninitialized => 501,
            Self::Sealed | Self::Following | Self::Rejected(_) => 503,
            Self::OutcomeUnknown(_) | Self::Internal(_) => 500,
        }
    }
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Rejected(rejection) => Self::Rejected(rejection),
            StoreError::OutcomeUnknown(why) => Self::OutcomeUnknown(why.to_string()),
            // Nothing was executed, and the keys do not keep changing for ever.
            StoreError::Conflict => Self::Rejected(Rejection {
                gate: Gate::Write,
                reason: Reason::Displaced,
                retry_after: Duration::from_secs(1),
            }),
            StoreError::Following => Self::Following,
            // Nothing of it was taken in, and the queue drains.
            StoreError::BackgroundFull { .. } => Self::Rejected(Rejection {
                gate: Gate::Write,
                reason: Reason::Full,
                retry_after: Duration::from_secs(1),
            }),
            StoreError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_did_not_take_in_is_a_refusal_and_no_failure() {
        for error in [StoreError::Conflict, StoreError::BackgroundFull { items_max: 7 }] {
            let refused = VaultError::from(error.clone());
            assert!(matches!(refused, VaultError::Rejected(_)), "{error}: {refused:?}");
            assert_eq!(refused.status(), 503, "{error}");
        }
    }
}
