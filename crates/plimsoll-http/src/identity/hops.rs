//! The entries of `X-Forwarded-For` and `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

/// Entries read of a chain of proxies, over all its header lines.
pub(super) const HOPS_MAX: usize = 64;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The header that the proxies maintain. Only one is ever read: a proxy that
/// appends to the one passes the other on as the client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, what nearly every proxy appends to.
    #[default]
    XForwardedFor,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// Its name.
    pub const fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => http::header::FORWARDED,
        }
    }

    /// The entries from left to right, over all lines; `None` if one is no text
    /// or there are too many.
    pub(super) fn hops(self, headers: &HeaderMap) -> Option<Vec<&str>> {
        let mut hops = Vec::new();
        for line in headers.get_all(self.name()) {
            let line = line.to_str().ok()?;
            // A quote that a client leaves open would swallow what the proxy appends.
            if line.matches('"').count() % 2 == 1 {
                return None;
            }
            for hop in unquoted_split(line, ',') {
                if hops.len() == HOPS_MAX {
                    return None;
                }
                // RFC 9110 5.6.1: empty list elements are ignored.
                hops.extend(Some(hop.trim()).filter(|hop| !hop.is_empty()));
            }
        }
        Some(hops)
    }

    /// What an entry says.
    pub(super) fn read(self, hop: &str) -> Hop {
        match self {
            Self::XForwardedFor => node(hop),
            Self::Forwarded => {
                let pairs = unquoted_split(hop, ';').filter_map(|pair| pair.split_once('='));
                let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
                nodes.next().map_or(Hop::Unknown, |(_, value)| node(value.trim().trim_matches('"')))
            }
        }
    }
}

/// One entry of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    Address(IpAddr),
    /// The proxy does not know, or will not tell (RFC 7239 6.2 and 6.3).
    Unknown,
    Malformed,
}

/// An address, with or without brackets and port.
fn node(text: &str) -> Hop {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        Hop::Address(address.to_canonical())
    } else if let Ok(socket) = text.parse::<SocketAddr>() {
        Hop::Address(socket.ip().to_canonical())
    } else if text.eq_ignore_ascii_case("unknown") || text.starts_with('_') {
        Hop::Unknown
    } else {
        Hop::Malformed
    }
}

/// Splits at `separator`, but not within double quotes.
fn unquoted_split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}
