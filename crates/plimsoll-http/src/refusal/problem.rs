//! Refusals as RFC 9457 problem details.

use bytes::Bytes;
use serde_json::json;

use crate::refusal::{Face, Refusal, Told};

/// Registered for a temporary lack of capacity by the RateLimit header fields
/// draft (draft-ietf-httpapi-ratelimit-headers).
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// `application/problem+json`, for any HTTP client.
#[derive(Clone, Debug, Default)]
pub struct ProblemFace {
    /// Where people find out more.
    pub status_page: Option<String>,
}

impl Face for ProblemFace {
    fn content_type(&self) -> &'static str {
        "application/problem+json"
    }

    fn body(&self, told: &Told) -> Bytes {
        let status = told.refusal.status();
        let mut body = json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": told.refusal.message(),
            "executed": false,
        });
        if let Refusal::Overloaded(rejection) = &told.refusal {
            body["type"] = REDUCED_CAPACITY.into();
            body["gate"] = rejection.gate.name().into();
            body["reason"] = rejection.reason.name().into();
            body["retry_after_ms"] = told.retry_after_ms().into();
        }
        if let Some(page) = &self.status_page {
            body["status_page"] = page.as_str().into();
        }
        body.to_string().into()
    }

    fn status_page(&self) -> Option<&str> {
        self.status_page.as_deref()
    }
}
