//! Where leases are found without looking at tokens.
//!
//! ```text
//! sys/expire/<16 hex digits: milliseconds>/<hash>   by when they end
//! sys/lease/<creation path>/h<hash>                 by what made them
//! ```
//!
//! A restart reads neither. A renewal to a later end leaves the first where it
//! is: it comes up early, once, and is moved then; most tokens are renewed many
//! times for each time that happens.

use crate::context::Context;
use crate::error::VaultError;
use crate::quota::leases;
use crate::token::entry::TokenEntry;

/// Leases by their end.
pub(crate) const EXPIRIES: &str = "sys/expire/";
/// Leases by the path that created them.
pub(crate) const LEASES: &str = "sys/lease/";

pub(crate) fn expiry_key(at_ms: u64, hash: &str) -> String {
    format!("{EXPIRIES}{at_ms:016x}/{hash}")
}

pub(crate) fn lease_key(entry: &TokenEntry, hash: &str) -> String {
    format!("{LEASES}{}", entry.lease_id(hash))
}

/// The time and the hash of a name below [`EXPIRIES`].
pub(crate) fn parse_expiry(name: &str) -> Option<(u64, &str)> {
    let (at_ms, hash) = name.split_once('/')?;
    Some((u64::from_str_radix(at_ms, 16).ok()?, hash))
}

/// Indexes a new token. One that never ends has no lease.
pub(crate) fn add(
    cx: &mut Context<'_>,
    entry: &mut TokenEntry,
    hash: &str,
) -> Result<(), VaultError> {
    let Some(expires_ms) = entry.expires_ms else { return Ok(()) };
    cx.put(&lease_key(entry, hash), &())?;
    cx.put(&expiry_key(expires_ms, hash), &())?;
    entry.indexed_ms = Some(expires_ms);
    leases::added(cx, entry, hash)
}

/// Removes a token from both.
pub(crate) fn remove(
    cx: &mut Context<'_>,
    entry: &TokenEntry,
    hash: &str,
) -> Result<(), VaultError> {
    let Some(indexed_ms) = entry.indexed_ms else { return Ok(()) };
    cx.delete(&expiry_key(indexed_ms, hash));
    cx.delete(&lease_key(entry, hash));
    leases::removed(cx, entry, hash)
}

/// After a renewal, before the entry is written: an end that came nearer must
/// be indexed, one that moved away need not.
pub(crate) fn renewed(
    cx: &mut Context<'_>,
    entry: &mut TokenEntry,
    hash: &str,
) -> Result<(), VaultError> {
    if entry.indexed_ms > entry.expires_ms { move_expiry(cx, entry, hash) } else { Ok(()) }
}

/// Puts the index where the end is. The entry is to be written afterwards.
pub(crate) fn move_expiry(
    cx: &mut Context<'_>,
    entry: &mut TokenEntry,
    hash: &str,
) -> Result<(), VaultError> {
    if let Some(indexed_ms) = entry.indexed_ms {
        cx.delete(&expiry_key(indexed_ms, hash));
    }
    if let Some(expires_ms) = entry.expires_ms {
        cx.put(&expiry_key(expires_ms, hash), &())?;
    }
    entry.indexed_ms = entry.expires_ms;
    Ok(())
}
