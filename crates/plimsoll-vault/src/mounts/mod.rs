//! Which engine answers for which path.
//!
//! There are two tables, one for secrets and one for auth methods, each one
//! entry of the store. Whoever decides something reads both, so that a write
//! cannot slip into a mount that is being removed: the removal changes the
//! table, the write's compare is lost, and the decision is made again.

mod entry;
mod table;
#[cfg(test)]
mod tests;
mod unmount;

pub(crate) use crate::mounts::entry::{MountEntry, MountKind, Target};
pub(crate) use crate::mounts::table::{MountTable, Routes, kind_of};
pub(crate) use crate::mounts::unmount::{Unmount, unmount_step};
