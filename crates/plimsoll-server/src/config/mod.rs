//! The configuration file: Vault's, in HCL or JSON.
//!
//! Parsed, not validated: a [`Config`] that exists can be run. What Vault knows
//! and this server has no use for (`ui`, `disable_mlock`, ...) is accepted, so that
//! an existing file works; what nobody knows is an error that names it.

mod file;
mod key_vault;
mod protection;
#[cfg(test)]
mod tests;
mod values;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_http::identity::Forwarding;
use plimsoll_listener::TlsConfig;
use plimsoll_vault::MaintenanceRecord;
use serde_json::{Map, Value};

pub use crate::config::protection::Protection;
pub use crate::quotas::KeyVault;

/// What a server runs on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listeners: Vec<ListenerOptions>,
    /// Where health, readiness and metrics answer, on their own thread.
    pub health_listen: Option<SocketAddr>,
    /// Where secondaries connect, once this is a primary; the port after that of the
    /// first listener unless given.
    pub cluster_address: Option<SocketAddr>,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// What the gates do with their verdicts.
    pub protection: Protection,
    /// Named in health and seal status.
    pub cluster_name: String,
    /// For tokens and leases that ask for nothing.
    pub default_lease_ttl: Duration,
    /// For tokens and leases that ask for too much.
    pub max_lease_ttl: Duration,
    /// Where people find out more when they are refused; the server's own `/status`
    /// unless set.
    pub status_page: Option<String>,
    /// A window that is announced from the start, until another one is.
    pub maintenance: Option<FileWindow>,
    /// `trace` to `error`; the log filter's syntax.
    pub log_level: Option<String>,
    /// Unseals by itself with this key.
    pub static_seal: Option<StaticSeal>,
    /// Key Vault's throttling of some mounts.
    pub key_vaults: Arc<[KeyVault]>,
    /// The advertised address, for `sys/leader`.
    pub api_addr: Option<String>,
}

/// One address for clients.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// The address.
    pub address: SocketAddr,
    /// Certificate and key; `None` for plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Bytes beyond which a request is refused with 413.
    pub request_bytes_max: u64,
    /// Time for the last byte of a body to arrive.
    pub body_time_max: Duration,
    /// Metrics without a token.
    pub unauthenticated_metrics: bool,
    /// Requests in flight without a token.
    pub unauthenticated_in_flight: bool,
    /// Proxies that may say for whom they ask.
    pub forwarding: Forwarding,
}

impl ListenerOptions {
    /// Plain HTTP with Vault's limits.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            request_bytes_max: 32 << 20,
            body_time_max: Duration::from_secs(30),
            unauthenticated_metrics: false,
            unauthenticated_in_flight: false,
            forwarding: Forwarding::default(),
        }
    }
}

/// `seal "static"`: a key that machines have at hand.
#[derive(Clone, Debug)]
pub struct StaticSeal {
    /// Named in the seal's records, so that a wrong key is noticed.
    pub key_id: String,
    /// `file:///...`, base64 or hex of 32 bytes.
    pub key: String,
}

/// The file is not one that a server can be run from. One line.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct ConfigError {
    /// Which file.
    pub path: PathBuf,
    /// What about it.
    pub message: String,
}

/// Where Vault listens.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8200);

/// Vault's 768 hours.
const LEASE_TTL: Duration = Duration::from_secs(768 * 3600);

/// A window in a file.
#[derive(Clone, Debug)]
pub struct FileWindow {
    /// As it stands there, to tell whether it has changed.
    pub(crate) block: Map<String, Value>,
    /// The window.
    pub record: MaintenanceRecord,
}

impl Config {
    /// A server with everything at its default, keeping its data in `data_dir`.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            listeners: vec![ListenerOptions::plain(DEFAULT_ADDRESS)],
            health_listen: None,
            cluster_address: None,
            data_dir,
            protection: Protection::default(),
            cluster_name: "plimsoll".to_owned(),
            default_lease_ttl: LEASE_TTL,
            max_lease_ttl: LEASE_TTL,
            status_page: None,
            maintenance: None,
            log_level: None,
            static_seal: None,
            key_vaults: Arc::default(),
            api_addr: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is neither HCL nor JSON, has a key that nobody knows or a
    /// value that makes no sense.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let error = |message: String| ConfigError { path: path.to_owned(), message };
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        Self::parse(&text).map_err(error)
    }

    /// Parses a file's text.
    ///
    /// # Errors
    /// As [`Config::load`], without the path.
    pub fn parse(text: &str) -> Result<Self, String> {
        file::parse(text)
    }
}
