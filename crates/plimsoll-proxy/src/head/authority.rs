//! Which host a request is for: said once, or twice the same.

use http::Version;
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, Scheme};

use super::BadHead;

/// The host, from the target where that is a URI (RFC 9112 3.2.2) or from `:authority`
/// (RFC 9113 8.3.1), else from the one `Host`. `None` for a client of HTTP/1.0.
pub(super) fn host(parts: &Parts) -> Result<Option<HeaderValue>, BadHead> {
    if parts.uri.scheme().is_some_and(|scheme| ![Scheme::HTTP, Scheme::HTTPS].contains(scheme)) {
        return Err(BadHead::Target);
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (header, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(BadHead::Host("more than once"));
    }
    let header = header.map(|value| Ok((value, plain(value.as_bytes())?))).transpose()?;
    let Some(target) = parts.uri.authority() else {
        return match header {
            Some((value, _)) => Ok(Some(value.clone())),
            None if parts.version == Version::HTTP_10 => Ok(None),
            None => Err(BadHead::Host("nowhere")),
        };
    };
    let target = plain(target.as_str().as_bytes())?;
    if header.is_some_and(|(_, host)| host != target) {
        return Err(BadHead::Host("in two ways"));
    }
    let value = HeaderValue::from_str(target.as_str());
    value.map(Some).map_err(|_| BadHead::Host("in no valid way"))
}

/// A host and perhaps a port: no user, nothing that only looks like one.
fn plain(bytes: &[u8]) -> Result<Authority, BadHead> {
    let authority = Authority::try_from(bytes).map_err(|_| BadHead::Host("in no valid way"))?;
    if authority.as_str().contains('@') {
        return Err(BadHead::Host("together with a user"));
    }
    let port = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
    if port.split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(BadHead::Host("with a port that is none"));
    }
    Ok(authority)
}
