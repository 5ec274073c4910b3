//! Where the load goes.

use std::net::{SocketAddr, ToSocketAddrs};

use http::Uri;

use super::LoadError;

/// A server's address, resolved once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address to connect to.
    pub addr: SocketAddr,
    /// What goes into the `Host` header.
    pub host: String,
}

impl Target {
    /// Resolves `http://host:port`.
    ///
    /// # Errors
    /// It is something else, or the name is unknown.
    pub fn resolve(address: &str) -> Result<Self, LoadError> {
        let error = |reason: &str| LoadError::Address {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let uri: Uri = address.parse().map_err(|_| error("not of the form http://host:port"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(error("the load generator speaks plain http only")),
            _ => return Err(error("not of the form http://host:port")),
        }
        let authority = uri.authority().ok_or_else(|| error("it names no host"))?;
        let port = authority.port_u16().unwrap_or(80);
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let addr = (name, port)
            .to_socket_addrs()
            .map_err(|source| error(&source.to_string()))?
            .next()
            .ok_or_else(|| error("the name has no address"))?;
        Ok(Self { addr, host: authority.to_string() })
    }
}
