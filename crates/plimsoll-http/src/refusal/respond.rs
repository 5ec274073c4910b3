//! From a refusal to a response.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LINK, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::refusal::ratelimit::write_rate_limit;
use crate::refusal::{Refusal, Told};

/// Milliseconds, for clients to which Retry-After's whole seconds are too coarse.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Fields of most refusals.
const FIELDS_USUAL: usize = 6;

/// A refusal as one kind of client reads it.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The body's media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// Stands in the extensions of a response to a request that the server refused for
/// its own sake: whatever the request was charged elsewhere is to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unexecuted;

/// How refusals look to one kind of client.
pub trait Face: Send + Sync + 'static {
    /// The body, for a request with these headers.
    fn render(&self, told: &Told, headers: &HeaderMap) -> Rendered;

    /// Where people find out more, for `Link: rel="status"` (RFC 8631).
    fn status_page(&self) -> Option<&str> {
        None
    }
}

/// The response that `face` gives to a request with `headers`. `unread` closes
/// the connection after the answer: the rest of the request's body is still on its
/// way, and reading it only to throw it away would cost what was refused to save.
pub fn respond<B: From<Bytes>>(
    face: &dyn Face,
    headers: &HeaderMap,
    refusal: impl Into<Refusal>,
    unread: bool,
) -> Response<B> {
    Told::new(refusal.into()).respond(face, headers, unread)
}

impl Told {
    /// As [`respond`], for a wait that is drawn already.
    pub fn respond<B: From<Bytes>>(
        mut self,
        face: &dyn Face,
        headers: &HeaderMap,
        unread: bool,
    ) -> Response<B> {
        let own_page = match &self.refusal {
            Refusal::Closed { plan, .. } => plan.status_page.as_deref(),
            _ => None,
        };
        self.status_page = own_page.or_else(|| face.status_page()).map(str::to_owned);
        let Rendered { content_type, body } = face.render(&self, headers);
        let mut response = Response::new(B::from(body));
        *response.status_mut() = self.refusal.status();
        let headers = response.headers_mut();
        headers.reserve(FIELDS_USUAL);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let (Some(s), Some(ms)) = (self.retry_after_s(), self.retry_after_ms()) {
            headers.insert(RETRY_AFTER, HeaderValue::from(s));
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(ms));
        }
        if let Some(page) = &self.status_page
            && let Ok(link) = HeaderValue::try_from(["<", page, ">; rel=\"status\""].concat())
        {
            headers.insert(LINK, link);
        }
        if let Refusal::Throttled(throttled) = &self.refusal {
            write_rate_limit(headers, &throttled.allowances);
        }
        if unread {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if matches!(
            self.refusal,
            Refusal::Overloaded(_) | Refusal::NoSpace(_) | Refusal::Closed { .. }
        ) {
            response.extensions_mut().insert(Unexecuted);
        }
        response
    }
}
