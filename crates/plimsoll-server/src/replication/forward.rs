//! What a secondary cannot answer itself goes to the primary, as the client sent it.
//!
//! The primary's door is the only one it meets: one request, one ticket. Until it is
//! handed to a connection nothing has happened, and the client may try again. From
//! then on only the primary knows what became of it: when its answer is lost, the
//! answer here is that the outcome is unknown.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Full;
use serde_json::json;

use crate::backup::Outgoing;
use crate::face::{HttpResponse, json_response};
use crate::replication::client::whole;
use crate::replication::status::Following;

/// Names the client of a forwarded request.
pub(super) const CLIENT_HEADER: &str = "x-plimsoll-client";
/// On top of the client's patience, for the way there and back.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);

/// Between two neighbours only, or set anew.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("x-forwarded-for"),
];

/// Passes a request on and gives the primary's answer.
pub(crate) async fn forward(
    following: &Following,
    parts: &Parts,
    body: Bytes,
    client: IpAddr,
    patience: Duration,
) -> HttpResponse {
    let Some(link) = following.link.load_full() else {
        return unreachable("replication is not connected");
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = link.request(parts.method.clone(), path, Outgoing::Whole(Full::new(body)));
    copy(&parts.headers, request.headers_mut());
    if let Ok(client) = HeaderValue::from_str(&client.to_string()) {
        request.headers_mut().insert(CLIENT_HEADER, client);
    }
    let mut sender = match link.ready().await {
        Ok(sender) => sender,
        Err(error) => return unreachable(&error.to_string()),
    };
    let exchange = async {
        let response = sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        Some((head, whole(body).await?))
    };
    // Whoever gave up waiting is gone; the request may be under way all the same.
    match tokio::time::timeout(patience + ROUND_TRIP_MAX, exchange).await {
        Ok(Some((head, body))) => {
            let mut response = HttpResponse::new(Full::new(body));
            *response.status_mut() = head.status;
            copy(&head.headers, response.headers_mut());
            response
        }
        Ok(None) | Err(_) => outcome_unknown(),
    }
}

fn copy(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if !HOP_BY_HOP.contains(name) && !name.as_str().starts_with("x-plimsoll-") {
            to.append(name, value.clone());
        }
    }
}

fn unreachable(why: &str) -> HttpResponse {
    let body = json!({
        "errors": [format!("{why}; nothing was executed")],
        "code": "primary_unreachable",
        "executed": false,
    });
    let mut response = json_response(StatusCode::SERVICE_UNAVAILABLE, &body);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn outcome_unknown() -> HttpResponse {
    let error = "the outcome is unknown: the primary's answer was lost, and the request may or \
                 may not have been executed";
    let body = json!({ "errors": [error], "code": "outcome_unknown" });
    json_response(StatusCode::INTERNAL_SERVER_ERROR, &body)
}
