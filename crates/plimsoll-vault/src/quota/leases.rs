//! How many leases there are, to the last one.
//!
//! A quota has one counter, which the transaction that makes a lease reads and
//! writes. Of two logins in one batch the second finds that the counter has moved
//! and is decided again, against the first: so no more get through than are allowed,
//! without a lock and however many are under way.
//!
//! Leases that were there before the quota are counted in the background, in the
//! order of their keys. The counter says how far that has got: a lease behind that
//! point is counted by whoever makes or ends it, one ahead of it will be found.
//! Either writes the counter, so that a lease made while its page is being counted
//! makes the count be done again.
//!
//! A lease counts for every quota in whose scope it is; it is refused by the most
//! specific.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;
use crate::lease::index::LEASES;
use crate::quota::entry::{LeaseCount, LeaseCounts, Quota as _};
use crate::token::entry::{TokenEntry, id_key};

/// Where the counters are.
const COUNTERS: &str = "sys/quotas/leases/";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Counter {
    leases: u64,
    /// All leases up to this one are in it; `None`: all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counted_to: Option<String>,
}

impl Counter {
    /// Whether this lease is for its maker to count.
    fn has_passed(&self, lease: &str) -> bool {
        self.counted_to.as_deref().is_none_or(|counted| lease <= counted)
    }
}

fn key(quota: &LeaseCount) -> String {
    format!("{COUNTERS}{:016x}", quota.id)
}

/// Begins to count for a new quota.
pub(super) fn begin(context: &mut Context<'_>, quota: &LeaseCount) -> Result<(), VaultError> {
    context.put(&key(quota), &Counter { leases: 0, counted_to: Some(String::new()) })
}

/// The quota is gone.
pub(super) fn forget(context: &mut Context<'_>, quota: &LeaseCount) {
    context.delete(&key(quota));
}

/// Leases counted so far.
pub(crate) fn count(context: &mut Context<'_>, quota: &LeaseCount) -> Result<u64, VaultError> {
    Ok(context.get::<Counter>(&key(quota))?.unwrap_or_default().leases)
}

/// Whether leases that were there before the quota are still being counted: until
/// then it holds for those that are.
pub(super) fn is_counting(
    context: &mut Context<'_>,
    quota: &LeaseCount,
) -> Result<bool, VaultError> {
    let counter: Option<Counter> = context.get(&key(quota))?;
    Ok(counter.is_some_and(|counter| counter.counted_to.is_some()))
}

/// Whether a token may be made by a request to `path`, whatever its kind: a batch
/// token has no lease, but making one is no way around the quota.
pub(crate) fn check(
    context: &mut Context<'_>,
    path: &str,
    role: Option<&str>,
) -> Result<(), VaultError> {
    let quotas = LeaseCounts::read(context)?;
    let covering = quotas.iter().filter(|(_, quota)| quota.scope.covers(path, role));
    let Some((name, quota)) = covering.max_by_key(|(_, quota)| quota.scope.precedence()) else {
        return Ok(());
    };
    if count(context, quota)? < quota.max_leases {
        return Ok(());
    }
    Err(VaultError::LeaseQuota { path: path.to_owned(), quota: name.clone() })
}

/// A lease was made in this transaction.
pub(crate) fn added(
    context: &mut Context<'_>,
    entry: &TokenEntry,
    hash: &str,
) -> Result<(), VaultError> {
    change(context, entry, hash, |leases| leases + 1)
}

/// A lease ends in this transaction.
pub(crate) fn removed(
    context: &mut Context<'_>,
    entry: &TokenEntry,
    hash: &str,
) -> Result<(), VaultError> {
    change(context, entry, hash, |leases| leases.saturating_sub(1))
}

fn change(
    context: &mut Context<'_>,
    entry: &TokenEntry,
    hash: &str,
    by: impl Fn(u64) -> u64,
) -> Result<(), VaultError> {
    let quotas = LeaseCounts::read(context)?;
    let role = role(entry);
    for (_, quota) in quotas.iter().filter(|(_, quota)| quota.scope.covers(&entry.path, role)) {
        let key = key(quota);
        let Some(mut counter) = context.get::<Counter>(&key)? else { continue };
        if counter.has_passed(&entry.lease_id(hash)) {
            counter.leases = by(counter.leases);
        }
        context.put(&key, &counter)?;
    }
    Ok(())
}

/// The role that a token was made for.
fn role(entry: &TokenEntry) -> Option<&str> {
    let meta = entry.meta.as_ref()?;
    meta.get("role_name").or_else(|| meta.get("username")).map(String::as_str)
}

/// Counts a page of the leases that were there before their quota. How many items it
/// was; 0 means that all are counted.
pub(crate) fn step(context: &mut Context<'_>, items_max: usize) -> Result<usize, VaultError> {
    let quotas = LeaseCounts::read(context)?;
    for (_, quota) in quotas.iter() {
        let key = key(quota);
        let Some(mut counter) = context.get::<Counter>(&key)? else { continue };
        let Some(counted_to) = counter.counted_to.take() else { continue };
        let page = context.keys(LEASES, &counted_to, items_max)?;
        for lease in &page {
            counter.leases += u64::from(is_covered(context, quota, lease)?);
        }
        if page.len() == items_max {
            counter.counted_to = page.last().cloned();
        }
        context.put(&key, &counter)?;
        return Ok(page.len() + 1);
    }
    Ok(0)
}

fn is_covered(
    context: &mut Context<'_>,
    quota: &LeaseCount,
    lease: &str,
) -> Result<bool, VaultError> {
    let Some((path, hash)) = lease.rsplit_once("/h") else { return Ok(false) };
    if quota.scope().role.is_empty() {
        return Ok(quota.scope.covers(path, None));
    }
    let entry = context.get::<TokenEntry>(&id_key(hash))?;
    Ok(entry.is_some_and(|entry| quota.scope.covers(path, role(&entry))))
}
