//! The client, as everything behind the layer sees it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderName};

/// Where Vault's clients put their token.
pub(crate) const VAULT_TOKEN: HeaderName = HeaderName::from_static("x-vault-token");

/// Headers in which credentials come.
pub(crate) const CREDENTIALS: [HeaderName; 2] = [VAULT_TOKEN, AUTHORIZATION];

/// Whose request it is, as far as the connection and its headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
    /// The other end of the connection: the client, or the last proxy.
    pub peer: IpAddr,
    /// A credential came with the request. Nobody has checked it.
    pub has_credential: bool,
}

impl Client {
    /// Of a request that passed the layer. Without one, or on a socket that has
    /// no addresses, all clients are the unspecified address: one and the same.
    pub fn of(extensions: &Extensions) -> Self {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        extensions.get().copied().unwrap_or(Self {
            address: nobody,
            peer: nobody,
            has_credential: false,
        })
    }

    /// What one client is given by its provider: see [`network`].
    pub fn network(&self) -> IpAddr {
        network(self.address)
    }
}

/// An IPv4 address, or the /64 of an IPv6 address: within its /64 a client can
/// have as many addresses as it likes.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}
