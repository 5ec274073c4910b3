//! What a proxy runs on. Nothing of it is needed but the upstream's URL.
//!
//! Parsed, not validated: a [`Config`] that exists can be run.

mod file;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use plimsoll::Mode;
use plimsoll_http::identity::Forwarding;
use plimsoll_listener::TlsConfig;

use crate::route::Rule;
use crate::upstream::{UpstreamOptions, UpstreamUrl};

/// What a proxy runs on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listeners: Vec<ListenerOptions>,
    /// Where health and metrics answer, on a thread of their own.
    pub health_listen: Option<SocketAddr>,
    /// The server behind.
    pub upstream: UpstreamOptions,
    /// What the gates do with their verdicts.
    pub protection: Mode,
    /// Which requests go to which gate, before what is known of the upstream's kind.
    pub rules: Vec<Rule>,
    /// Which proxies in front of this one are believed.
    pub forwarding: Forwarding,
    /// A header that names whose request it is. Only for a header that clients cannot
    /// set themselves.
    pub flow_header: Option<HeaderName>,
    /// Where people find out more when they are refused.
    pub status_page: Option<String>,
    /// `trace` to `error`; the log filter's syntax.
    pub log_level: Option<String>,
}

/// One address for clients.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// The address.
    pub address: SocketAddr,
    /// Certificate and key; `None` for plain HTTP.
    pub tls: Option<TlsConfig>,
    /// How long a client may be waited for in all while it sends a body; each 16 KiB
    /// that came buy it a second more.
    pub body_time_max: Duration,
}

impl ListenerOptions {
    /// Plain HTTP, and the 30 s for a body that Vault gives.
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None, body_time_max: Duration::from_secs(30) }
    }
}

/// The file is not one that a proxy can be run from. One line.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct ConfigError {
    /// Which file.
    pub path: PathBuf,
    /// What about it.
    pub message: String,
}

/// Beside Vault's own 8200, so that both fit on one machine.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8100);

impl Config {
    /// Everything at its default.
    pub fn new(upstream: UpstreamUrl) -> Self {
        Self {
            listeners: vec![ListenerOptions::plain(DEFAULT_ADDRESS)],
            health_listen: None,
            upstream: UpstreamOptions::new(upstream),
            protection: Mode::Enforce,
            rules: Vec::new(),
            forwarding: Forwarding::default(),
            flow_header: None,
            status_page: None,
            log_level: None,
        }
    }

    /// Reads a file. `upstream` takes the place of the file's own address.
    ///
    /// # Errors
    /// It cannot be read, is neither HCL nor JSON, has a key that nobody knows or a
    /// value that makes no sense.
    pub fn load(path: &Path, upstream: Option<&UpstreamUrl>) -> Result<Self, ConfigError> {
        let error = |message: String| ConfigError { path: path.to_owned(), message };
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        file::parse(&text, upstream).map_err(error)
    }
}
