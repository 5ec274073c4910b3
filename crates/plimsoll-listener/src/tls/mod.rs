//! Certificates: loaded at the start, replaced while running.
//!
//! A connection takes the configuration that is current when its handshake
//! begins, so a renewed certificate needs no restart and disturbs nobody. A
//! reload that fails changes nothing: the old certificate goes on serving.

mod load;

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::TlsError;

/// The files that make a TLS listener, all PEM.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key of the leaf: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
    /// The authorities whose certificates clients may present.
    pub client_ca: Option<PathBuf>,
    /// What is asked of clients when `client_ca` is set.
    pub client_auth: ClientAuth,
    /// Refuses TLS 1.2.
    pub tls13_only: bool,
}

impl TlsConfig {
    /// A certificate and its key, no client certificates, TLS 1.2 and 1.3.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            client_ca: None,
            client_auth: ClientAuth::Optional,
            tls13_only: false,
        }
    }

    /// Accepts client certificates of these authorities.
    #[must_use]
    pub fn with_client_ca(mut self, client_ca: impl Into<PathBuf>, auth: ClientAuth) -> Self {
        self.client_ca = Some(client_ca.into());
        self.client_auth = auth;
        self
    }
}

/// What a client of a TLS server is made of: for whoever stands between the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The authorities that may vouch for the server; the system's if `None`.
    pub ca: Option<PathBuf>,
    /// Certificate chain and key to present to a server that asks.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClientTls {
    /// Reads the files. TLS 1.2 and 1.3; no protocol is negotiated yet.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(&self) -> Result<ClientConfig, TlsError> {
        load::client_config(self)
    }
}

/// What is asked of clients when an authority for them is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// A certificate is checked if it is presented.
    Optional,
    /// No certificate, no connection.
    Required,
}

/// Reads certificate and key again; the server calls it on SIGHUP.
///
/// Clones act on the same listener.
#[derive(Clone, Debug)]
pub struct TlsReloader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: TlsConfig,
    current: ArcSwap<ServerConfig>,
}

impl TlsReloader {
    pub(crate) fn load(files: TlsConfig) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(load::server_config(&files)?);
        Ok(Self { shared: Arc::new(Shared { files, current }) })
    }

    /// Replaces certificate, key and client authorities for new connections.
    ///
    /// # Errors
    /// What is wrong with which file; the listener goes on with what it had.
    pub fn reload(&self) -> Result<(), TlsError> {
        let next = load::server_config(&self.shared.files)?;
        self.shared.current.store(Arc::new(next));
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.shared.current.load_full())
    }
}
