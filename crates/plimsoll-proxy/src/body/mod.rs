//! Bodies on their way through: pieces, never the whole.

mod download;
mod upload;

use core::fmt;

pub(crate) use self::download::{Download, Passage, Passing};
pub(crate) use self::upload::{Upload, UploadState};

/// A body that moves so fast holds a place, for the upstream is at work on it. What is
/// slower waits for its client, or for news.
pub(crate) const QUICK_BYTES_PER_SECOND: u64 = 1024 * 1024;

/// Why a body ends before its end. What the client reads is a broken connection: a
/// status has been sent, or nobody is there to read one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokenBody {
    /// The client went away.
    ClientGone,
    /// The client sends too slowly.
    ClientSlow,
    /// The upstream broke off.
    UpstreamBroken,
    /// The upstream stopped in the middle.
    UpstreamLate,
}

impl fmt::Display for BrokenBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientGone => "the client went away",
            Self::ClientSlow => "the client sends too slowly",
            Self::UpstreamBroken => "the upstream broke off",
            Self::UpstreamLate => "the upstream stopped in the middle",
        })
    }
}

impl core::error::Error for BrokenBody {}
