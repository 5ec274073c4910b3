//! Which proxies are believed, and how far.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use crate::identity::hops::{ForwardedHeader, HOPS_MAX, Hop};

/// Which proxies may say for whom they ask. By default none.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    proxies: Vec<IpNet>,
    header: ForwardedHeader,
    hop_skips: Option<usize>,
    reject_not_present: bool,
    reject_not_authorized: bool,
}

/// Not an address, nor a block of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a block like 10.0.0.0/8")]
pub struct InvalidProxy(String);

/// Why a request is refused for what it says about its origin. All are 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardingError {
    /// The header must be there and is not.
    #[error("missing x-forwarded-for header and configured to reject when not present")]
    NotPresent,
    /// The header is there, but not from a proxy.
    #[error(
        "client address not authorized for x-forwarded-for and configured to reject connection"
    )]
    NotAuthorized,
    /// More hops to skip than there are.
    #[error(
        "malformed x-forwarded-for configuration or request, hops to skip ({skips}) would skip \
         before earliest chain link (chain length {hops})"
    )]
    TooFewHops {
        /// To be skipped.
        skips: usize,
        /// In the header.
        hops: usize,
    },
    /// The entry that counts is not an address, or there are too many entries.
    #[error("malformed x-forwarded-for header: expected at most {HOPS_MAX} addresses")]
    Malformed,
}

impl Forwarding {
    /// Believes connections from these addresses and blocks. What they say is
    /// followed to the right-most hop that is not one of them.
    ///
    /// # Errors
    /// One of them is neither.
    pub fn by_proxies<'t>(
        proxies: impl IntoIterator<Item = &'t str>,
    ) -> Result<Self, InvalidProxy> {
        let proxies = proxies.into_iter().map(block).collect::<Result<_, _>>()?;
        Ok(Self { proxies, ..Self::default() })
    }

    /// Reads this header instead of `X-Forwarded-For`.
    #[must_use]
    pub const fn in_header(mut self, header: ForwardedHeader) -> Self {
        self.header = header;
        self
    }

    /// Takes the hop this far from the right, 0 being the right-most, whoever it
    /// is. Right where clients live in the same blocks as the proxies.
    #[must_use]
    pub const fn skipping(mut self, hops: usize) -> Self {
        self.hop_skips = Some(hops);
        self
    }

    /// Refuses requests without the header, instead of taking the peer for the
    /// client.
    #[must_use]
    pub const fn reject_not_present(mut self, reject: bool) -> Self {
        self.reject_not_present = reject;
        self
    }

    /// Refuses requests with the header that do not come from a proxy, instead of
    /// ignoring the header.
    #[must_use]
    pub const fn reject_not_authorized(mut self, reject: bool) -> Self {
        self.reject_not_authorized = reject;
        self
    }

    /// The client's address.
    ///
    /// # Errors
    /// The header is not acceptable.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, ForwardingError> {
        if self.proxies.is_empty() {
            return Ok(peer);
        }
        if !headers.contains_key(self.header.name()) {
            return if self.reject_not_present {
                Err(ForwardingError::NotPresent)
            } else {
                Ok(peer)
            };
        }
        if !self.is_proxy(peer) {
            return if self.reject_not_authorized {
                Err(ForwardingError::NotAuthorized)
            } else {
                Ok(peer)
            };
        }
        let hops = self.header.hops(headers).ok_or(ForwardingError::Malformed)?;
        match self.hop_skips {
            Some(skips) => self.skip(peer, &hops, skips),
            None => self.follow(peer, &hops),
        }
    }

    fn skip(&self, peer: IpAddr, hops: &[&str], skips: usize) -> Result<IpAddr, ForwardingError> {
        let hop = hops.iter().rev().nth(skips);
        let hop = hop.ok_or(ForwardingError::TooFewHops { skips, hops: hops.len() })?;
        match self.header.read(hop) {
            Hop::Address(address) => Ok(address),
            Hop::Unknown => Ok(peer),
            Hop::Malformed => Err(ForwardingError::Malformed),
        }
    }

    /// From the right as long as those who speak are believed; where one does not
    /// know whom it asks for, it stands for its clients itself.
    fn follow(&self, peer: IpAddr, hops: &[&str]) -> Result<IpAddr, ForwardingError> {
        let mut client = peer;
        for hop in hops.iter().rev() {
            match self.header.read(hop) {
                Hop::Address(address) => client = address,
                Hop::Unknown => return Ok(client),
                Hop::Malformed => return Err(ForwardingError::Malformed),
            }
            if !self.is_proxy(client) {
                break;
            }
        }
        Ok(client)
    }

    /// Whether this is a proxy that is believed.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|block| block.contains(&address))
    }
}

fn block(text: &str) -> Result<IpNet, InvalidProxy> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| InvalidProxy(text.to_owned()))
}
