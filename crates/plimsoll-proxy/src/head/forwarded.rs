//! Where a request came from, for the upstream: `Forwarded` (RFC 7239) and the older
//! `X-Forwarded-*`, which is what Vault and most others read.

use core::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST_OF: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

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
        for name in [&FORWARDED, &FOR, &HOST_OF, &PROTO, &REAL_IP] {
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
