//! Refusals as the clients of Azure Key Vault expect them.

use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::refusal::{Face, Rendered, Told};

/// `{"error": {"code": ..., "message": ...}}`, the machine-readable part in
/// `innererror`, where Azure's guidelines put what a service adds of its own.
#[derive(Clone, Debug, Default)]
pub struct AzureFace {
    /// Where people find out more.
    pub status_page: Option<String>,
}

impl Face for AzureFace {
    fn render(&self, told: &Told, _: &HeaderMap) -> Rendered {
        let body = json!({
            "error": {
                "code": code(told.refusal.status()),
                "message": told.refusal.message(),
                "innererror": told.details(),
            }
        });
        let content_type = "application/json; charset=utf-8";
        Rendered { content_type, body: body.to_string().into() }
    }

    fn status_page(&self) -> Option<&str> {
        self.status_page.as_deref()
    }
}

/// The names that Azure's services use.
const fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        StatusCode::TOO_MANY_REQUESTS => "Throttled",
        StatusCode::INSUFFICIENT_STORAGE => "InsufficientStorage",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestBodyTooLarge",
        StatusCode::REQUEST_TIMEOUT => "RequestTimeout",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "RequestHeadersTooLarge",
        StatusCode::GONE => "Gone",
        StatusCode::CONFLICT => "Conflict",
        _ => "BadParameter",
    }
}
