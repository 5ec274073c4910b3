//! What kind of server the upstream is.
//!
//! A Vault has routes that are known. Whether the upstream is one is asked of it
//! once: `GET /v1/sys/health` is unauthenticated, answers on sealed and standby
//! nodes too, and nobody else answers it with these fields.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use serde::Deserialize;

/// Where a Vault tells how it is.
pub(crate) const HEALTH_PATH: &str = "/v1/sys/health";
/// More of that answer is not read.
pub(super) const HEALTH_BYTES_MAX: usize = 64 * 1024;

/// What kind of server the upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamKind {
    /// Any HTTP server: reads and writes are told apart by their methods.
    Http,
    /// Vault, OpenBao, or whatever has their API.
    Vault,
}

impl UpstreamKind {
    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Vault => "vault",
        }
    }
}

/// A kind as configured: `vault`, `http`, or `auto` to ask the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredKind(pub Option<UpstreamKind>);

/// The text was none of `auto`, `vault`, `http`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of upstream {0:?}: expected auto, vault or http")]
pub struct UnknownKind(String);

impl FromStr for ConfiguredKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "auto" => Ok(Self(None)),
            "vault" => Ok(Self(Some(UpstreamKind::Vault))),
            "http" => Ok(Self(Some(UpstreamKind::Http))),
            _ => Err(UnknownKind(text.to_owned())),
        }
    }
}

/// The kind as far as it is known: any HTTP server until it has been asked.
#[derive(Debug, Default)]
pub(super) struct KnownKind(AtomicU8);

impl KnownKind {
    pub(super) fn new(kind: Option<UpstreamKind>) -> Self {
        let known = Self::default();
        if let Some(kind) = kind {
            known.set(kind);
        }
        known
    }

    pub(super) fn get(&self) -> Option<UpstreamKind> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(UpstreamKind::Http),
            2 => Some(UpstreamKind::Vault),
            _ => None,
        }
    }

    pub(super) fn set(&self, kind: UpstreamKind) {
        let known = match kind {
            UpstreamKind::Http => 1,
            UpstreamKind::Vault => 2,
        };
        self.0.store(known, Ordering::Relaxed);
    }
}

/// What an answer to [`HEALTH_PATH`] says about who gave it.
pub(super) fn recognise(body: &[u8]) -> UpstreamKind {
    #[derive(Deserialize)]
    struct Health {
        #[serde(rename = "initialized")]
        _initialized: bool,
        #[serde(rename = "sealed")]
        _sealed: bool,
        #[serde(rename = "standby")]
        _standby: bool,
    }
    match serde_json::from_slice::<Health>(body) {
        Ok(_) => UpstreamKind::Vault,
        Err(_) => UpstreamKind::Http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_is_recognised_by_its_health() {
        let sealed = br#"{"initialized":true,"sealed":true,"standby":true,"version":"2.7.2"}"#;
        assert_eq!(recognise(sealed), UpstreamKind::Vault);
        for other in [&b"ok"[..], b"", b"{}", br#"{"sealed":false}"#, b"<html>", b"[true]"] {
            assert_eq!(recognise(other), UpstreamKind::Http);
        }
    }
}
