//! A snapshot: all of the state at one revision, as a file or a stream.
//!
//! It is taken while the store works and waits for nobody: first what is in memory,
//! which is let go of as soon as it is written, then the database as of its last
//! checkpoint, whose pages stay where they are for as long as they are read. Nothing
//! is decrypted: entries are written as they are kept.
//!
//! The file is a gzip'd tar archive, as operators of Vault and its clients know it:
//!
//! | file | holds |
//! |---|---|
//! | `meta.json` | format, revision, rolling digest of the log at that revision |
//! | `state/00000001`, ... | entries; each key once, in no order |
//! | `summary.json` | keys, bytes, digest of all entries |
//! | `SHA256SUMS` | of everything before |
//! | `SHA256SUMS.sealed` | the sums once more, in a form that only the cluster can make |
//!
//! Whoever reads one believes nothing before the sums at its end: a restore builds a
//! directory aside and gives it its name last.

mod archive;
mod format;
mod read;
mod restore;
mod write;

pub use crate::snapshot::format::{Meta, SnapshotError, Summary};
pub use crate::snapshot::read::{Entries, SnapshotReader};
pub use crate::snapshot::restore::{restore, restore_dir};
pub use crate::snapshot::write::SnapshotSource;

#[cfg(test)]
mod tests;
