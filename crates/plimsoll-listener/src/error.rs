//! Why a listener could not start: what the operator reads.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why [`Listener::bind`](crate::Listener::bind) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another process listens there.
    #[error("address {addr} is already in use")]
    InUse {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The system does not allow it (a port below 1024, mostly).
    #[error("not permitted to listen on {addr}")]
    Denied {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// This machine has no such address.
    #[error("address {addr} does not belong to this machine")]
    NotLocal {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// Anything else the system said.
    #[error("cannot listen on {addr}: {source}")]
    Io {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate or the key is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl BindError {
    pub(crate) fn new(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { addr },
            io::ErrorKind::PermissionDenied => Self::Denied { addr },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { addr },
            _ => Self::Io { addr, source },
        }
    }
}

/// Why a certificate, a key or a client CA cannot be used. Names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not PEM, or a section of it is damaged.
    #[error("{} is not valid PEM: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No certificate in the file.
    #[error("{} contains no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No private key in the file that can be used without a passphrase.
    #[error("{} contains no unencrypted private key", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The certificate is damaged or of a kind that TLS cannot use.
    #[error("{} is not a usable certificate: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is damaged or of a kind that TLS cannot use.
    #[error("{} is not a usable private key: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key are not a pair.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// This system trusts nobody, and no authority was named.
    #[error("no certificate authorities: this system has none and no file was named")]
    NoSystemRoots,
    /// The cryptographic library cannot do what is asked.
    #[error("TLS cannot be set up: {reason}")]
    Provider {
        /// Why.
        reason: String,
    },
    /// The listener serves plain TCP: there is nothing to reload.
    #[error("this listener does not serve TLS")]
    NotConfigured,
}
