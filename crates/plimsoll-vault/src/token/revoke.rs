//! The end of a token.
//!
//! A decision must be bounded, a token's descendants are not. So a revocation
//! removes one entry, which makes every descendant invalid at once (see
//! [`super::authenticate`]), and leaves an intent under `sys/token/revoke/`;
//! [`step`] then removes the descendants, a chunk at a time, in the background.
//!
//! If the children are to live on, the entry stays and says so until each of
//! them has been made an orphan. Nothing can be added below a revoked token, as
//! that compares its entry: what a step sees below it is all there is.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;
use crate::lease::index;
use crate::token::entry::{
    CHILDREN, CUBBYHOLES, REVOCATIONS, TokenEntry, TokenState, child_key, id_key, revocation_key,
};

/// What is still to be done below a revoked token.
#[derive(Debug, Serialize, Deserialize)]
struct Revocation {
    /// Its children live on.
    leaves_orphans: bool,
}

/// Revokes a token and all its descendants. Nothing happens if there is none.
pub(crate) fn tree(cx: &mut Context<'_>, hash: &str) -> Result<(), VaultError> {
    let Some(entry) = cx.get::<TokenEntry>(&id_key(hash))? else { return Ok(()) };
    if entry.state == TokenState::LeavesOrphans {
        return Ok(());
    }
    erase(cx, hash, &entry)
}

/// Revokes a token alone: its children become orphans.
pub(crate) fn leaving_orphans(
    cx: &mut Context<'_>,
    hash: &str,
    mut entry: TokenEntry,
) -> Result<(), VaultError> {
    if !entry.has_children {
        return erase(cx, hash, &entry);
    }
    unlink(cx, hash, &entry)?;
    entry.state = TokenState::LeavesOrphans;
    entry.indexed_ms = None;
    cx.put(&id_key(hash), &entry)?;
    cx.put(&revocation_key(hash), &Revocation { leaves_orphans: true })
}

/// Removes a token, and notes what it leaves.
pub(crate) fn erase(
    cx: &mut Context<'_>,
    hash: &str,
    entry: &TokenEntry,
) -> Result<(), VaultError> {
    unlink(cx, hash, entry)?;
    cx.delete(&id_key(hash));
    if entry.has_children || !cx.keys(&cubbyhole(hash), "", 1)?.is_empty() {
        cx.put(&revocation_key(hash), &Revocation { leaves_orphans: false })?;
    }
    Ok(())
}

fn unlink(cx: &mut Context<'_>, hash: &str, entry: &TokenEntry) -> Result<(), VaultError> {
    index::remove(cx, entry, hash)?;
    if let Some(parent) = &entry.parent {
        cx.delete(&child_key(parent, hash));
    }
    Ok(())
}

fn cubbyhole(hash: &str) -> String {
    format!("{CUBBYHOLES}{hash}/")
}

/// Works on the intents: at most `items_max` tokens, cubbyhole entries and
/// intents. How many it were; 0 means that nothing is left to do.
pub(crate) fn step(cx: &mut Context<'_>, items_max: usize) -> Result<usize, VaultError> {
    let mut items = 0;
    for hash in cx.keys(REVOCATIONS, "", items_max)? {
        if items >= items_max {
            break;
        }
        items += revocation_step(cx, &hash, items_max - items)?;
    }
    Ok(items)
}

fn revocation_step(
    cx: &mut Context<'_>,
    hash: &str,
    items_max: usize,
) -> Result<usize, VaultError> {
    let Some(revocation) = cx.get::<Revocation>(&revocation_key(hash))? else { return Ok(0) };
    let children_prefix = format!("{CHILDREN}{hash}/");
    let children = cx.keys(&children_prefix, "", items_max)?;
    for child in &children {
        match cx.get::<TokenEntry>(&id_key(child))? {
            Some(entry) if revocation.leaves_orphans => make_orphan(cx, child, entry)?,
            Some(entry) => erase(cx, child, &entry)?,
            None => {}
        }
        cx.delete(&child_key(hash, child));
    }
    let mut items = children.len();
    if items < items_max {
        let kept = cubbyhole(hash);
        let names = cx.keys(&kept, "", items_max - items)?;
        for name in &names {
            cx.delete(&format!("{kept}{name}"));
        }
        items += names.len();
    }
    if items < items_max {
        if revocation.leaves_orphans {
            cx.delete(&id_key(hash));
        }
        cx.delete(&revocation_key(hash));
        items += 1;
    }
    Ok(items)
}

fn make_orphan(cx: &mut Context<'_>, hash: &str, mut entry: TokenEntry) -> Result<(), VaultError> {
    entry.parent = None;
    cx.put(&id_key(hash), &entry)
}
