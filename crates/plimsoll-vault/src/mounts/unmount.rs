//! Removing what a mount leaves behind.
//!
//! A mount may hold millions of keys, which no single transaction can delete.
//! So unmounting takes the mount out of its table and commits an intent; from
//! then on nobody can reach the keys or add to them, and background work
//! deletes them in chunks, also after a restart.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;
use crate::mounts::entry::MountEntry;

/// Keys deleted with one transaction.
pub(crate) const UNMOUNT_KEYS_MAX: usize = 512;

const INTENTS: &str = "core/unmount/";

/// The intent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Unmount {
    /// What all keys to delete start with.
    storage: String,
}

impl Unmount {
    /// Commits to deleting everything of a mount that left its table.
    pub(crate) fn intend(context: &mut Context<'_>, entry: &MountEntry) -> Result<(), VaultError> {
        context.put(&format!("{INTENTS}{}", entry.uuid), &Self { storage: entry.storage() })
    }
}

/// The next chunk of the work that was intended; how many keys it was.
pub(crate) fn unmount_step(context: &mut Context<'_>) -> Result<usize, VaultError> {
    let Some(name) = context.keys(INTENTS, "", 1)?.pop() else { return Ok(0) };
    let intent = format!("{INTENTS}{name}");
    let Some(Unmount { storage }) = context.get(&intent)? else { return Ok(0) };
    let keys = context.keys(&storage, "", UNMOUNT_KEYS_MAX)?;
    for key in &keys {
        context.delete(&format!("{storage}{key}"));
    }
    if keys.len() < UNMOUNT_KEYS_MAX {
        // Nobody can add keys any more: every writer compares the table, which
        // changed before the intent could be seen.
        context.delete(&intent);
        return Ok(keys.len() + 1);
    }
    Ok(keys.len())
}
