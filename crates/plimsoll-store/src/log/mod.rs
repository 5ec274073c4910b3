//! The log: what makes an acknowledged write survive.
//!
//! Transactions are written in groups, each with one header, one checksum and
//! one sync; `docs/log-format.md` has the bytes, what is assumed of the disk and
//! why recovery is right. The segments are written with zeros before they are
//! used and used again afterwards, because an overwrite of allocated space needs
//! no journal commit of the file system: a sync costs a third of what it costs
//! at the end of a growing file.

mod group;
mod history;
mod recovery;
mod segment;
mod segments;
mod writer;

pub(crate) use crate::log::group::{
    Group, GroupBuilder, GroupHeader, encoded_bytes, group_len, parse_group, stored_len, txns,
};
pub use crate::log::history::History;
pub(crate) use crate::log::history::TxnDigest;
pub use crate::log::recovery::Damage;
pub(crate) use crate::log::recovery::{Position, RecoverError, Recovered, recover};
pub(crate) use crate::log::segment::{Segment, has_log};
pub(crate) use crate::log::segments::Segments;
pub(crate) use crate::log::writer::{AppendError, Log};

/// Groups and segment headers start at multiples of this many bytes: the
/// largest unit that a disk writes at once, so that no write touches a group
/// that was acknowledged before.
pub(crate) const BLOCK_BYTES: usize = 4096;
