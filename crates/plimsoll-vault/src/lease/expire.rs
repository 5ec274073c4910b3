//! The background work: ending what has expired or was revoked in bulk.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;
use crate::lease::index::{EXPIRIES, LEASES, expiry_key, move_expiry, parse_expiry};
use crate::token::entry::{TokenEntry, id_key, millis};
use crate::token::revoke;

/// Prefixes whose leases are still to be revoked, in hexadecimal.
const PREFIXES: &str = "sys/lease-revoke/";

/// An intent to revoke all leases below a prefix that existed when it was made.
#[derive(Debug, Serialize, Deserialize)]
struct PrefixRevocation {
    /// A creation path with a slash at its end.
    prefix: String,
    /// Later logins are not meant.
    before_ms: u64,
    /// How far it got: all up to this lease are done.
    after: String,
}

/// One chunk of the background work: at most about `items_max` tokens and the
/// like. Returns how many it were; after 0 there is nothing to do for now. Bulk revocations and expiry share the chunk, so that neither
/// starves the other.
///
/// # Errors
/// The store failed.
pub fn step(cx: &mut Context<'_>, items_max: usize) -> Result<usize, VaultError> {
    let share = items_max.div_ceil(3);
    let mut items = revoke::step(cx, share)?;
    items += prefix_step(cx, share)?;
    items += expiry_step(cx, items_max.saturating_sub(items))?;
    Ok(items)
}

/// How long ago the first lease that is still in the index was due; zero if none is:
/// what the gate of new leases looks at.
///
/// # Errors
/// The store failed.
pub fn late(cx: &Context<'_>) -> Result<Duration, VaultError> {
    let oldest = due(cx, 1)?.pop();
    Ok(oldest.map_or(Duration::ZERO, |(at_ms, _)| {
        Duration::from_millis(millis(cx.now()).saturating_sub(at_ms))
    }))
}

fn due(cx: &Context<'_>, count_max: usize) -> Result<Vec<(u64, String)>, VaultError> {
    let now_ms = millis(cx.now());
    let mut names = cx.keys(EXPIRIES, "", count_max)?;
    // Sorted by time; a name that cannot be read sorts anywhere and is skipped.
    names.retain(|name| parse_expiry(name).is_some_and(|(at_ms, _)| at_ms <= now_ms));
    let parsed = names.iter().filter_map(|name| parse_expiry(name));
    Ok(parsed.map(|(at_ms, hash)| (at_ms, hash.to_owned())).collect())
}

fn expiry_step(cx: &mut Context<'_>, items_max: usize) -> Result<usize, VaultError> {
    let due = due(cx, items_max)?;
    for (at_ms, hash) in &due {
        match cx.get::<TokenEntry>(&id_key(hash))? {
            Some(mut entry) if !entry.is_expired(cx.now()) => {
                // Renewed since: once per lease's end, not once per renewal.
                move_expiry(cx, &mut entry, hash)?;
                cx.put(&id_key(hash), &entry)?;
            }
            Some(entry) => revoke::erase(cx, hash, &entry)?,
            None => {}
        }
        cx.delete(&expiry_key(*at_ms, hash));
    }
    Ok(due.len())
}

/// Revokes the leases below `prefix`, which ends with a slash: as many as
/// `items_max` at once, the rest in the background.
pub(crate) fn revoke_prefix(
    cx: &mut Context<'_>,
    prefix: &str,
    items_max: usize,
) -> Result<(), VaultError> {
    let mut revocation = PrefixRevocation {
        prefix: prefix.to_owned(),
        before_ms: millis(cx.now()),
        after: String::new(),
    };
    if revoke_some(cx, &mut revocation, items_max)? == items_max {
        cx.put(&prefix_key(prefix), &revocation)?;
    }
    Ok(())
}

fn prefix_step(cx: &mut Context<'_>, items_max: usize) -> Result<usize, VaultError> {
    let Some(name) = cx.keys(PREFIXES, "", 1)?.pop() else { return Ok(0) };
    let key = format!("{PREFIXES}{name}");
    let Some(mut revocation) = cx.get::<PrefixRevocation>(&key)? else { return Ok(0) };
    let items = revoke_some(cx, &mut revocation, items_max)?;
    if items < items_max {
        cx.delete(&key);
        return Ok(items + 1);
    }
    cx.put(&key, &revocation)?;
    Ok(items)
}

/// How many leases it looked at: fewer than `items_max` if those were all.
fn revoke_some(
    cx: &mut Context<'_>,
    revocation: &mut PrefixRevocation,
    items_max: usize,
) -> Result<usize, VaultError> {
    let names = cx.keys(&format!("{LEASES}{}", revocation.prefix), &revocation.after, items_max)?;
    for name in &names {
        let Some((_, hash)) = name.rsplit_once('/').or(Some(("", name))) else { continue };
        let Some(hash) = hash.strip_prefix('h') else { continue };
        let Some(entry) = cx.get::<TokenEntry>(&id_key(hash))? else { continue };
        if entry.created_ms <= revocation.before_ms {
            revoke::tree(cx, hash)?;
        }
    }
    if let Some(last) = names.last() {
        revocation.after.clone_from(last);
    }
    Ok(names.len())
}

fn prefix_key(prefix: &str) -> String {
    format!("{PREFIXES}{}", hex::encode(prefix))
}
