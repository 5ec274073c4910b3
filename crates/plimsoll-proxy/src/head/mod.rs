//! Heads of requests and responses on their way through.
//!
//! Request smuggling lives from two readers who understand one head in two ways.
//! So nothing is passed on as it came: the listener parses a request completely
//! (an obs-fold, a bad Content-Length or a broken chunk never gets here), this
//! module refuses what could still be read twice, and the client writes a new head
//! with framing of its own.
//!
//! All of it is pure: heads in, heads out.

mod authority;
mod forwarded;
mod hop;
#[cfg(test)]
mod tests;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, UPGRADE, VIA};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode, Uri, Version, response};

pub(crate) use self::forwarded::Origin;

/// Proxies of this kind that a request may have passed; more of them are a loop.
const HOPS_MAX: usize = 8;
/// Header fields of a request, in whichever version of HTTP.
const FIELDS_MAX: usize = 100;
/// How this proxy calls itself in `Via` and `Proxy-Status`.
pub(crate) const PSEUDONYM: &str = "plimsoll";

/// Why a head is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    /// 400: whose request it is could be read in two ways.
    #[error("the request names its host {0}")]
    Host(&'static str),
    /// 400: where its body ends could be read in two ways.
    #[error("the request announces the length of its body twice or in no valid way")]
    Length,
    /// 501: the upstream would take it for another body than it is.
    #[error("the request's body has a transfer coding that is not chunked")]
    Coding,
    /// 431: over HTTP/1.1 the listener counts them.
    #[error("the request has more than {FIELDS_MAX} header fields")]
    Fields,
    /// 400: neither a path nor a URI.
    #[error("the request target is neither a path nor an http or https URI")]
    Target,
    /// 501: a question to the proxy itself, which answers none.
    #[error("the method is not passed on")]
    Method,
    /// 501: another protocol on this connection.
    #[error("upgrades are not passed on: connect to the upstream directly")]
    Upgrade,
    /// 508: the request has been here before.
    #[error("the request goes round in circles: this proxy is its own upstream")]
    Loop,
}

impl BadHead {
    /// Its status code.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Host(_) | Self::Length | Self::Target => StatusCode::BAD_REQUEST,
            Self::Fields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Coding | Self::Method | Self::Upgrade => StatusCode::NOT_IMPLEMENTED,
            Self::Loop => StatusCode::LOOP_DETECTED,
        }
    }
}

/// What requests say about where they are sent.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What `Host` says for clients that say nothing, of HTTP/1.0.
    pub(crate) authority: HeaderValue,
    /// What `Host` says there; `None` for what the client said.
    pub(crate) host: Option<HeaderValue>,
}

/// Brings a request's head to the one form that is passed on, all but where it goes
/// ([`direct`]), with nothing but a path for its target: what classifies it afterwards
/// sees what the upstream will see.
///
/// # Errors
/// It is refused.
pub(crate) fn normalise(parts: &mut Parts) -> Result<(), BadHead> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(BadHead::Method);
    }
    if parts.method == Method::OPTIONS {
        hop::count_down(&mut parts.headers)?;
    }
    let path = path(parts)?;
    if parts.headers.len() > FIELDS_MAX {
        return Err(BadHead::Fields);
    }
    let host = authority::host(parts)?;
    if wants_upgrade(&parts.headers) {
        return Err(BadHead::Upgrade);
    }
    if hops(&parts.headers) >= HOPS_MAX {
        return Err(BadHead::Loop);
    }
    parts.uri = Uri::from(path);
    let headers = &mut parts.headers;
    if !hop::is_chunked_at_most(headers) {
        return Err(BadHead::Coding);
    }
    hop::strip(headers);
    if !has_one_length(headers) {
        return Err(BadHead::Length);
    }
    // The listener has answered it, or will when the body is asked for.
    headers.remove(EXPECT);
    join_cookies(headers);
    match host {
        Some(host) => drop(headers.insert(HOST, host)),
        None => drop(headers.remove(HOST)),
    }
    Ok(())
}

/// Sends a normalised head to `target`, saying where it came from.
pub(crate) fn direct(parts: &mut Parts, target: &Target, origin: &Origin) {
    let via = match parts.version {
        Version::HTTP_10 => "1.0 plimsoll",
        Version::HTTP_2 => "2 plimsoll",
        _ => "1.1 plimsoll",
    };
    parts.version = Version::HTTP_11;
    forwarded::tell(&mut parts.headers, origin);
    parts.headers.append(VIA, HeaderValue::from_static(via));
    match &target.host {
        Some(host) => drop(parts.headers.insert(HOST, host.clone())),
        None => drop(parts.headers.entry(HOST).or_insert_with(|| target.authority.clone())),
    }
}

/// Whether a response can be passed on at all. Nobody has asked for another protocol or
/// coding.
pub(crate) fn is_passable<B>(answer: &Response<B>) -> bool {
    answer.status() != StatusCode::SWITCHING_PROTOCOLS && hop::is_chunked_at_most(answer.headers())
}

/// Brings a response's head to the form that is passed on.
pub(crate) fn answer(parts: &mut response::Parts) {
    hop::strip(&mut parts.headers);
    if !has_one_length(&parts.headers) {
        // The same one twice. The listener says it once.
        parts.headers.remove(CONTENT_LENGTH);
    }
    // What the client hears is the listener's HTTP, not the upstream's.
    parts.version = Version::HTTP_11;
}

/// What a server is asked for, without who it is: a path, or `*` for the server as a whole
/// (RFC 9112 3.2.4).
fn path(parts: &Parts) -> Result<PathAndQuery, BadHead> {
    let path = parts.uri.path_and_query().ok_or(BadHead::Target)?;
    match path.as_str().as_bytes() {
        [b'/', ..] => Ok(path.clone()),
        b"*" if parts.method == Method::OPTIONS => Ok(path.clone()),
        // The path of a URI may be empty.
        [b'?', ..] => format!("/{}", path.as_str()).parse().map_err(|_| BadHead::Target),
        _ => Err(BadHead::Target),
    }
}

/// Whether another protocol is asked for. `h2c` and `TLS/1.2` are what some clients offer
/// with every request and do very well without, so they are only not accepted.
fn wants_upgrade(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(UPGRADE).iter();
    offers.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|offer| {
        let offer = offer.trim_ascii();
        let offer = offer.to_ascii_lowercase();
        !offer.is_empty() && offer != b"h2c" && !offer.starts_with(b"tls/")
    })
}

/// Or none. Over HTTP/1.1 the listener has seen to it; over HTTP/2 a body ends without
/// the field, but the upstream will go by it.
fn has_one_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_number = |length: &HeaderValue| {
        !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit)
    };
    lengths.next().is_none_or(is_number) && lengths.next().is_none()
}

fn hops(headers: &HeaderMap) -> usize {
    let vias = headers.get_all(VIA).iter();
    let hops = vias.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    hops.filter(|hop| hop.trim_ascii().ends_with(PSEUDONYM.as_bytes())).count()
}

/// HTTP/2 clients may send one line for each cookie, HTTP/1.1 servers read one line
/// (RFC 9113 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies = headers.get_all(COOKIE);
    if cookies.iter().nth(1).is_none() {
        return;
    }
    let joined = cookies.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}
