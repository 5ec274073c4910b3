//! Where a request came from, for the upstream: `Forwarded` (RFC 7239) and the older
//! `X-Forwarded-*`, which is what Vault and most others read.

use core::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST_OF: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// How their names begin, and those of others that nobody has written down.
const FAMILY: &[u8] = b"x-forwarded-";

/// The connection on which a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// Its other end.
    pub(crate) peer: IpAddr,
    /// The peer is a proxy that is believed: what it says is passed on, with the
    /// peer added. What anybody else claims about itself is replaced.
    pub(crate) trusted: bool,
    /// It came by TLS.
    pub(crate) tls: bool,
}

impl Origin {
    /// Of what the proxy asks on its own account.
    pub(crate) const ITSELF: Self =
        Self { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), trusted: false, tls: false };
}

pub(super) fn tell(headers: &mut HeaderMap, origin: &Origin) {
    if !origin.trusted {
        let claims: Vec<_> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
        for name in claims {
            headers.remove(name);
        }
    }
    let host = headers.get(HOST).cloned();
    let proto = if origin.tls { "https" } else { "http" };
    let mut element = match origin.peer {
        IpAddr::V4(peer) => format!("for={peer}"),
        // Colons and brackets only in quotes (RFC 7239 4).
        IpAddr::V6(peer) => format!("for=\"[{peer}]\""),
    };
    if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()) {
        // Parsed as an authority before: there is no quote in it. Writing to a String
        // cannot fail.
        let _ = write!(element, ";host=\"{host}\"");
    }
    let _ = write!(element, ";proto={proto}");
    append(headers, FORWARDED, &element);
    append(headers, FOR, &origin.peer.to_string());
    headers.entry(PROTO).or_insert(HeaderValue::from_static(proto));
    if let Some(host) = host {
        headers.entry(HOST_OF).or_insert(host);
    }
}

/// Whether a field says where a request came from, in one of the many ways: by which port,
/// over TLS, with which certificate. Some servers take `_` for `-`.
fn is_claim(name: &HeaderName) -> bool {
    let dashed = |byte| if byte == b'_' { b'-' } else { byte };
    let name = name.as_str().bytes().map(dashed);
    [&b"forwarded"[..], b"x-real-ip"]
        .into_iter()
        .any(|known| name.clone().eq(known.iter().copied()))
        || name.take(FAMILY.len()).eq(FAMILY.iter().copied())
}

/// Adds to a list, in one line: some read the last line only, some the first.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let earlier = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok());
    let mut list = earlier.collect::<Vec<_>>();
    let joined = if list.is_empty() {
        HeaderValue::from_str(element)
    } else {
        list.push(element);
        HeaderValue::from_str(&list.join(", "))
    };
    if let Ok(joined) = joined {
        headers.insert(name, joined);
    }
}
