//! Renewals. What its mount and its role allowed when a token was made is in its
//! entry: another `max_lease_ttl` is for the tokens to come.

use crate::context::Context;
use crate::error::VaultError;
use crate::lease::index;
use crate::token::entry::{TokenEntry, id_key, millis};
use crate::token::ttl::{Terms, Ttls, granted_ttl};

/// Moves the end of a token to what its terms grant from now on, and writes it.
pub(crate) fn renew(
    cx: &mut Context<'_>,
    hash: &str,
    entry: &mut TokenEntry,
    increment: u64,
    warnings: &mut Vec<String>,
) -> Result<u64, VaultError> {
    if !entry.renewable || entry.expires_ms.is_none() {
        return Err(VaultError::invalid("lease is not renewable"));
    }
    let now_ms = millis(cx.now());
    let terms = Terms {
        increment,
        period: entry.period,
        explicit_max_ttl: entry.explicit_max_ttl,
        age: now_ms.saturating_sub(entry.created_ms) / 1000,
        ..Terms::default()
    };
    let granted = Ttls { default: entry.ttl, max: entry.max_ttl };
    let ttl = granted_ttl(terms, granted, warnings)?;
    entry.expires_ms = Some(now_ms.saturating_add(ttl * 1000));
    entry.renewed_ms = Some(now_ms);
    index::renewed(cx, entry, hash)?;
    cx.put(&id_key(hash), entry)?;
    Ok(ttl)
}
