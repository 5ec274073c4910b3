//! Renewals.

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
    ttls: Ttls,
    warnings: &mut Vec<String>,
) -> Result<u64, VaultError> {
    if !entry.renewable || entry.expires_ms.is_none() {
        return Err(VaultError::invalid("lease is not renewable"));
    }
    let now_ms = millis(cx.now());
    let terms = Terms {
        increment,
        ttl: entry.ttl,
        period: entry.period,
        max_ttl: entry.max_ttl,
        explicit_max_ttl: entry.explicit_max_ttl,
        age: now_ms.saturating_sub(entry.created_ms) / 1000,
    };
    let ttl = granted_ttl(terms, ttls, warnings)?;
    entry.expires_ms = Some(now_ms.saturating_add(ttl * 1000));
    entry.renewed_ms = Some(now_ms);
    index::renewed(cx, entry, hash)?;
    cx.put(&id_key(hash), entry)?;
    Ok(ttl)
}
