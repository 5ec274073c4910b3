//! Answers into HTTP responses.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response as Http, StatusCode};
use http_body_util::Full;
use plimsoll_http::idempotency::Replayed;
use plimsoll_http::refusal::{Face, IdempotencyError, Throttled, respond};
use plimsoll_vault::{AuthResponse, Response, VaultError};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::face::{HttpResponse, Unreadable};

/// After which somebody may have given up a lease: nobody knows.
const LEASE_QUOTA_WAIT: Duration = Duration::from_secs(10);

/// Vault's envelope, in Vault's order.
#[derive(Serialize)]
struct Envelope<'r> {
    request_id: &'r str,
    lease_id: &'static str,
    renewable: bool,
    lease_duration: u64,
    data: Option<&'r Map<String, Value>>,
    wrap_info: Option<()>,
    warnings: Option<&'r [String]>,
    auth: Option<&'r AuthResponse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_type: Option<&'r str>,
}

pub(crate) fn encode(request_id: &str, response: &Response) -> HttpResponse {
    let mut encoded = encoded(response.request_id.as_deref().unwrap_or(request_id), response);
    if response.replayed {
        encoded.extensions_mut().insert(Replayed);
    }
    encoded
}

fn encoded(request_id: &str, response: &Response) -> HttpResponse {
    let status = response.status.and_then(|code| StatusCode::from_u16(code).ok());
    if let Some(raw) = &response.raw {
        return json_response(status.unwrap_or(StatusCode::OK), raw);
    }
    let silent = response.data.is_none() && response.auth.is_none() && response.warnings.is_empty();
    if silent {
        return empty(status.unwrap_or(StatusCode::NO_CONTENT));
    }
    let envelope = Envelope {
        request_id,
        lease_id: "",
        renewable: false,
        lease_duration: response.lease_duration,
        data: response.data.as_ref(),
        wrap_info: None,
        warnings: (!response.warnings.is_empty()).then_some(&response.warnings),
        auth: response.auth.as_ref(),
        mount_type: response.mount_type.as_deref(),
    };
    json_response(status.unwrap_or(StatusCode::OK), &envelope)
}

/// An error as Vault's clients read it. What the operator reads is logged here.
pub(crate) fn error(
    face: &dyn Face,
    headers: &HeaderMap,
    request_id: &str,
    error: &VaultError,
) -> HttpResponse {
    match error {
        VaultError::Rejected(rejection) => respond(face, headers, *rejection, false),
        VaultError::KeyReused => respond(face, headers, IdempotencyError::Reused, false),
        VaultError::LeaseQuota { quota, .. } => {
            let throttled = Throttled {
                quota: quota.clone(),
                message: error.to_string(),
                retry_after: LEASE_QUOTA_WAIT,
                allowances: Vec::new(),
            };
            respond(face, headers, throttled, false)
        }
        VaultError::OutcomeUnknown(why) => {
            tracing::error!(request_id, why, "outcome unknown");
            let body = json!({
                "errors": ["the outcome is unknown: the request may or may not have been executed"],
                "code": "outcome_unknown",
            });
            json_response(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
        VaultError::Internal(why) => {
            tracing::error!(request_id, why, "internal error");
            message(500, "internal error")
        }
        client => message(client.status(), &client.to_string()),
    }
}

/// The answer to what is no request.
pub(crate) fn unreadable(error: &Unreadable) -> HttpResponse {
    message(error.status(), &error.to_string())
}

/// `{"errors": [text]}`, or an empty list.
pub(crate) fn message(status: u16, text: &str) -> HttpResponse {
    let errors: &[&str] = if text.is_empty() { &[] } else { &[text] };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json_response(status, &json!({ "errors": errors }))
}

pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    // Serialising what this module builds cannot fail: every key is a string.
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    with_headers(status, text.into(), Some("application/json"))
}

pub(crate) fn text_response(content_type: &'static str, text: String) -> HttpResponse {
    with_headers(StatusCode::OK, text.into(), Some(content_type))
}

fn empty(status: StatusCode) -> HttpResponse {
    with_headers(status, Bytes::new(), None)
}

fn with_headers(
    status: StatusCode,
    body: Bytes,
    content_type: Option<&'static str>,
) -> HttpResponse {
    let mut response = Http::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}
