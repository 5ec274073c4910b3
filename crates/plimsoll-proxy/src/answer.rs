//! Answers of the proxy's own. Each is marked as one by `Proxy-Status` (RFC 9209): an
//! origin server never sends that.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use plimsoll_http::refusal::{Face, ProblemFace, Refusal, VaultFace, respond};
use serde_json::json;

use crate::head::{BadHead, PSEUDONYM};
use crate::upstream::UpstreamError;

/// The error of an overload.
const FULL: &str = "connection_limit_reached";
/// The same as a whole field: written for every request that is too many.
const FULL_STATUS: HeaderValue =
    HeaderValue::from_static("plimsoll; error=connection_limit_reached");

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The form of answers: what the upstream's clients understand.
#[derive(Clone, Debug)]
pub(crate) enum AnswerFace {
    /// `{"errors": [...]}`.
    Vault(VaultFace),
    /// RFC 9457.
    Problem(ProblemFace),
}

/// An answer instead of the upstream's.
#[derive(Clone, Debug)]
pub(crate) enum Own {
    /// A gate refused, or the body did not come as it should.
    Refused(Refusal),
    /// The head cannot be passed on.
    BadHead(BadHead),
    /// The upstream did not answer.
    Failed(UpstreamError),
}

impl From<BadHead> for Own {
    fn from(bad: BadHead) -> Self {
        Self::BadHead(bad)
    }
}

impl AnswerFace {
    /// The answer. `unread` closes the connection after it: the rest of the request's
    /// body is still on its way.
    pub(crate) fn answer<B: From<Bytes>>(&self, own: Own, unread: bool) -> Response<B> {
        let (mut response, error) = match own {
            Own::Refused(refusal) => {
                let error = match refusal {
                    Refusal::Overloaded(_) => FULL,
                    _ => "http_request_error",
                };
                // Whatever the client accepts, it is answered as its upstream would.
                (respond(self.refusals(), &HeaderMap::new(), refusal, unread), error)
            }
            Own::BadHead(bad) => {
                let error =
                    if bad == BadHead::Loop { "proxy_loop_detected" } else { "http_request_error" };
                (self.plain(bad.status(), bad.to_string(), error, true, unread), error)
            }
            Own::Failed(failed) => {
                let (text, error) = (failed.to_string(), failed.token());
                (self.plain(failed.status(), text, error, failed.nothing_sent(), unread), error)
            }
        };
        if let Some(status) = proxy_status(error) {
            response.headers_mut().insert(PROXY_STATUS, status);
        }
        response
    }

    fn refusals(&self) -> &dyn Face {
        match self {
            Self::Vault(face) => face,
            Self::Problem(face) => face,
        }
    }

    /// What no gate said. Whether something was executed is said where it is known.
    fn plain<B: From<Bytes>>(
        &self,
        status: StatusCode,
        text: String,
        code: &str,
        nothing_executed: bool,
        unread: bool,
    ) -> Response<B> {
        let text = if nothing_executed {
            format!("{text}: nothing was executed")
        } else {
            format!("{text}: whether the request was executed is unknown")
        };
        let (content_type, mut body) = match self {
            Self::Vault(_) => ("application/json", json!({ "errors": [text] })),
            Self::Problem(_) => {
                let (title, status) = (status.canonical_reason(), status.as_u16());
                let body = json!({ "title": title, "status": status, "detail": text });
                ("application/problem+json", body)
            }
        };
        body["code"] = code.into();
        if nothing_executed {
            body["executed"] = false.into();
        }
        let mut response = Response::new(B::from(format!("{body}\n").into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if unread {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn proxy_status(error: &str) -> Option<HeaderValue> {
    if error == FULL {
        return Some(FULL_STATUS);
    }
    HeaderValue::from_str(&format!("{PSEUDONYM}; error={error}")).ok()
}
