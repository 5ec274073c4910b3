//! Shipping: the committed groups of one store, in order, into another.
//!
//! The primary's end is a [`LogReader`]: it starts after any revision that the log
//! still holds, reads the files until it has caught up and then the last groups out
//! of memory, where the committer leaves them. It never holds up a commit: whoever
//! reads too slowly falls back to the files, and whoever falls behind those has to
//! begin with a snapshot.
//!
//! The follower's end is [`LogStore::follow`](crate::LogStore::follow): its committer
//! writes what it is handed into a log of its own, several groups of the primary in
//! one of its own where it has to catch up, and passes no gate. Revisions and the rolling
//! digest are the primary's; sequences, segments and checksums are its own. It
//! compares the digest after every group: when it differs, the two were not told the
//! same, and nothing of it is applied.

mod follow;
mod reader;
mod shipment;
mod tail;

pub use crate::ship::follow::FollowError;
pub use crate::ship::reader::{LogReader, ReadLogError};
pub use crate::ship::shipment::Shipment;

pub(crate) use crate::ship::follow::{Followed, Inbox};
pub(crate) use crate::ship::tail::Tail;

#[cfg(test)]
mod tests;
