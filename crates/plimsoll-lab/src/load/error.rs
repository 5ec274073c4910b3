//! Why a load could not be driven.

use std::io;

/// Why a load could not be driven at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The address is not one.
    #[error("address {address:?}: {reason}")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Options that do not go together.
    #[error("{0}")]
    Options(String),
    /// The server did not take a preparing request.
    #[error("preparing the server: {method} {path} was answered with {status}: {body}")]
    SetUp {
        /// The request's method.
        method: &'static str,
        /// Its path.
        path: String,
        /// The answer's status.
        status: u16,
        /// The answer's body, shortened.
        body: String,
    },
    /// The server could not be reached while it was prepared.
    #[error("preparing the server: {method} {path}: {source}")]
    Unreachable {
        /// The request's method.
        method: &'static str,
        /// Its path.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused the generator something it needs.
    #[error("the load generator: {0}")]
    Io(#[from] io::Error),
    /// The generator panicked.
    #[error("the load generator failed")]
    Generator,
}
