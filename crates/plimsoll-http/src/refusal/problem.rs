//! Refusals as RFC 9457 problem details.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::refusal::{Face, Refusal, Rendered, Told};

/// Registered by the RateLimit header fields draft
/// (draft-ietf-httpapi-ratelimit-headers).
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
/// From the same draft.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// `application/problem+json`, for any HTTP client.
#[derive(Clone, Debug, Default)]
pub struct ProblemFace {
    /// Where people find out more.
    pub status_page: Option<String>,
}

impl Face for ProblemFace {
    fn render(&self, told: &Told, _: &HeaderMap) -> Rendered {
        let status = told.refusal.status();
        let mut body = told.details();
        if let Value::Object(problem) = json!({
            "type": kind(&told.refusal),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": told.refusal.message(),
        }) {
            body.extend(problem);
        }
        if let Refusal::Throttled(throttled) = &told.refusal {
            body.insert("violated-policies".to_owned(), json!([throttled.quota]));
        }
        Rendered {
            content_type: "application/problem+json",
            body: Value::Object(body).to_string().into(),
        }
    }

    fn status_page(&self) -> Option<&str> {
        self.status_page.as_deref()
    }
}

/// `about:blank`: no more than the status says.
const fn kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Overloaded(_) => REDUCED_CAPACITY,
        Refusal::Throttled(_) => QUOTA_EXCEEDED,
        _ => "about:blank",
    }
}
