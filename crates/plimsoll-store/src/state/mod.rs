//! The state behind the log: what reads see, and how it reaches the disk.
//!
//! New writes live in a table in memory. When it is full it is frozen, a new one
//! takes its place, and a thread merges the frozen one into the database in key
//! order; then the log before it is not needed any more. A reader holds one
//! [`Snapshot`] of all three at one revision.

mod base;
mod index;
mod merge;
mod recent;
mod snapshot;
mod table;
mod values;

#[cfg(test)]
mod tests;

pub(crate) use crate::state::base::{Base, BaseEntries, BaseError, Database};
pub(crate) use crate::state::merge::Merge;
pub(crate) use crate::state::snapshot::{Published, Snapshot};
pub(crate) use crate::state::table::{ENTRY_OVERHEAD_BYTES, Table, Version};
