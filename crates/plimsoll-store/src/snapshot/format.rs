//! What is in a snapshot, field by field, and what can be wrong with one.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::log::History;
use crate::store::{Entry, Key, Revision, StoreError};

pub(super) const META_FILE: &str = "meta.json";
pub(super) const STATE_DIR: &str = "state/";
pub(super) const SUMMARY_FILE: &str = "summary.json";
pub(super) const SUMS_FILE: &str = "SHA256SUMS";
pub(super) const SEALED_SUMS_FILE: &str = "SHA256SUMS.sealed";

/// Named in `meta.json`.
pub(super) const FORMAT: &str = "plimsoll-snapshot 1";

/// A file of entries is closed when it is this long; one entry may make it longer.
pub(super) const STATE_FILE_BYTES: usize = 1 << 20;
/// No file of a snapshot is longer.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;

/// Lengths of key and value, revision.
const ROW_HEADER_BYTES: usize = 16;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub(super) format: String,
    /// Of the last transaction that is in it.
    pub revision: Revision,
    /// The rolling digest of the log at that revision, in hexadecimal.
    pub history: String,
}

impl Meta {
    pub(super) fn new(revision: Revision, history: History) -> Self {
        Self { format: FORMAT.to_owned(), revision, history: history.to_string() }
    }

    /// The rolling digest of the log.
    ///
    /// # Errors
    /// The field is not one.
    pub fn history(&self) -> Result<History, SnapshotError> {
        u64::from_str_radix(&self.history, 16)
            .map(History::from_bits)
            .map_err(|_| SnapshotError::altered(META_FILE))
    }
}

/// What was in it, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Entries.
    pub keys: u64,
    /// Of keys and values.
    pub bytes: u64,
    /// Of all entries, whatever their order, in hexadecimal: two stores with the same
    /// digest hold the same.
    pub digest: String,
}

/// What is wrong with a snapshot, or with what is done with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Not one, or of another version.
    #[error("not a snapshot of this version: {0}")]
    Format(String),
    /// It ends too early.
    #[error("the snapshot is cut short")]
    Truncated,
    /// A checksum is not right.
    #[error("the snapshot was altered: {0}")]
    Altered(String),
    /// There is something where it was to be restored.
    #[error("{} holds data already: a snapshot is restored into a fresh directory", .0.display())]
    NotFresh(PathBuf),
    /// A file or a connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The store could not be read or written.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl SnapshotError {
    pub(super) fn altered(what: &str) -> Self {
        Self::Altered(format!("{what} is not what was written"))
    }
}

/// The digest and the counts of a set of entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    keys: u64,
    bytes: u64,
    digest: u64,
}

impl Tally {
    pub(super) fn add(&mut self, key: &[u8], entry: &Entry) {
        self.keys += 1;
        self.bytes += (key.len() + entry.value.len()) as u64;
        // A sum does not depend on the order.
        self.digest = self.digest.wrapping_add(entry_digest(key, entry));
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn summary(&self) -> Summary {
        let digest = format!("{:016x}", self.digest);
        Summary { keys: self.keys, bytes: self.bytes, digest }
    }
}

fn entry_digest(key: &[u8], entry: &Entry) -> u64 {
    let revision = entry.mod_revision.to_le_bytes();
    History::of(&[key, &entry.value, &revision]).to_bits()
}

pub(super) fn push_row(buffer: &mut Vec<u8>, key: &[u8], entry: &Entry) {
    buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&(entry.value.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&entry.mod_revision.to_le_bytes());
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(&entry.value);
}

/// Takes one entry off the front; `None` if there is no whole one.
pub(super) fn take_row(buffer: &mut bytes::Bytes) -> Option<(Key, Entry)> {
    let header: [u8; ROW_HEADER_BYTES] = buffer.get(..ROW_HEADER_BYTES)?.try_into().ok()?;
    let u32_at = |at: usize| {
        let field = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        u32::from_le_bytes(field) as usize
    };
    let (key_bytes, value_bytes) = (u32_at(0), u32_at(4));
    let mut revision = [0; 8];
    revision.copy_from_slice(&header[8..]);
    let end = ROW_HEADER_BYTES.checked_add(key_bytes)?.checked_add(value_bytes)?;
    if buffer.len() < end {
        return None;
    }
    let mut row = buffer.split_to(end).split_off(ROW_HEADER_BYTES);
    let key = row.split_to(key_bytes);
    Some((key, Entry { value: row, mod_revision: Revision::from_le_bytes(revision) }))
}
