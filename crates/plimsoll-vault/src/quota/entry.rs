//! What is stored of quotas.

use core::time::Duration;
use std::collections::BTreeMap;

use plimsoll::quota::{InvalidLimit, Limit, WINDOWS_MAX};
use plimsoll_store::Revision;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;
use crate::quota::config::CONFIG_KEY;
use crate::quota::leases;
use crate::quota::scope::Scope;

/// Quotas of a kind at most.
const QUOTAS_MAX: usize = 1000;

/// Windows of one scope, so that there is room for others beside them.
const QUOTAS_PER_SCOPE_MAX: usize = WINDOWS_MAX - 2;

/// Whom a rate limit keeps apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Client addresses.
    #[default]
    Ip,
    /// Nobody: all share one bucket.
    None,
    /// Callers who are known, and the addresses of the others.
    EntityThenIp,
    /// Callers who are known; all others share one bucket.
    EntityThenNone,
}

impl GroupBy {
    pub(crate) const ALL: [Self; 4] =
        [Self::Ip, Self::None, Self::EntityThenIp, Self::EntityThenNone];

    /// As clients write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::None => "none",
            Self::EntityThenIp => "entity_then_ip",
            Self::EntityThenNone => "entity_then_none",
        }
    }

    /// Whether callers who are not known have a rate of their own.
    pub(crate) const fn has_secondary(self) -> bool {
        matches!(self, Self::EntityThenIp | Self::EntityThenNone)
    }
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RateLimit {
    /// Names what was counted for it: another after it was deleted or means
    /// something else.
    pub(crate) id: u64,
    pub(crate) scope: Scope,
    /// As it was asked for; whole requests are counted.
    pub(crate) rate: f64,
    /// Seconds.
    pub(crate) interval: u64,
    /// Seconds; 0 is none.
    pub(crate) block_interval: u64,
    pub(crate) group_by: GroupBy,
    pub(crate) secondary_rate: f64,
}

impl RateLimit {
    /// As the table of clients needs it.
    pub(crate) fn limit(&self, rate: f64) -> Result<Limit, InvalidLimit> {
        let limit = Limit::new(whole(rate), Duration::from_secs(self.interval))?;
        Ok(limit.with_block(Duration::from_secs(self.block_interval)))
    }

    /// Whether what was counted for `other` still counts.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        (&self.scope, self.interval, self.group_by)
            == (&other.scope, other.interval, other.group_by)
    }
}

/// Requests of a rate: at least one, or nothing would ever pass.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
pub(crate) fn whole(rate: f64) -> u32 {
    rate.round().clamp(1.0, f64::from(u32::MAX)) as u32
}

/// A limit on the number of leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseCount {
    /// Names its counter in the store.
    pub(crate) id: u64,
    pub(crate) scope: Scope,
    pub(crate) max_leases: u64,
}

/// What both kinds have.
pub(crate) trait Quota:
    Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
    const TABLE_KEY: &'static str;
    fn scope(&self) -> &Scope;
    /// Whether it and `other` could not both be meant.
    fn is_similar(&self, other: &Self) -> bool;
}

impl Quota for RateLimit {
    const TABLE_KEY: &'static str = "core/quotas/rate-limit";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn is_similar(&self, other: &Self) -> bool {
        (&self.scope, self.interval) == (&other.scope, other.interval)
    }
}

impl Quota for LeaseCount {
    const TABLE_KEY: &'static str = "core/quotas/lease-count";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn is_similar(&self, other: &Self) -> bool {
        self.scope == other.scope
    }
}

/// The quotas of one kind by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent, bound = "Q: Quota")]
pub(crate) struct Quotas<Q: Quota>(BTreeMap<String, Q>);

pub(crate) type RateLimits = Quotas<RateLimit>;
pub(crate) type LeaseCounts = Quotas<LeaseCount>;

impl<Q: Quota> Default for Quotas<Q> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<Q: Quota> Quotas<Q> {
    pub(crate) fn read(context: &mut Context<'_>) -> Result<Self, VaultError> {
        let stored = context.get_shared::<Self>(Q::TABLE_KEY)?;
        Ok(stored.map(|stored| Self::clone(&stored)).unwrap_or_default())
    }

    pub(crate) fn write(&self, context: &mut Context<'_>) -> Result<(), VaultError> {
        context.put(Q::TABLE_KEY, self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Q)> {
        self.0.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Q> {
        self.0.get(name)
    }

    /// Adds a quota, or puts it in the place of the one with its name.
    pub(crate) fn insert(&mut self, name: &str, quota: Q) -> Result<(), VaultError> {
        let others = || self.0.iter().filter(|(other, _)| *other != name);
        if let Some((other, _)) = others().find(|(_, other)| quota.is_similar(other)) {
            return Err(VaultError::invalid(format!(
                "quota rule with similar properties exists under the name {other:?}"
            )));
        }
        if others().filter(|(_, other)| other.scope() == quota.scope()).count()
            >= QUOTAS_PER_SCOPE_MAX
        {
            return Err(VaultError::invalid(format!(
                "no more than {QUOTAS_PER_SCOPE_MAX} quotas for the same path and role"
            )));
        }
        if others().count() >= QUOTAS_MAX {
            return Err(VaultError::invalid(format!("no more than {QUOTAS_MAX} quotas")));
        }
        self.0.insert(name.to_owned(), quota);
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Q> {
        self.0.remove(name)
    }

    fn take_below(&mut self, mount: &str) -> Vec<Q> {
        let all = core::mem::take(&mut self.0);
        let (taken, kept) = all.into_iter().partition(|(_, quota)| quota.scope().mount == mount);
        self.0 = kept;
        let taken: BTreeMap<String, Q> = taken;
        taken.into_values().collect()
    }
}

/// What wrote the rate limits and what holds for all of them last.
pub(crate) fn revisions(context: &mut Context<'_>) -> Result<[Revision; 2], VaultError> {
    Ok([context.revision(RateLimit::TABLE_KEY)?, context.revision(CONFIG_KEY)?])
}

/// Removes the quotas of a mount that is being removed: what is mounted there next
/// is something else.
pub(crate) fn forget_mount(context: &mut Context<'_>, mount: &str) -> Result<(), VaultError> {
    let mut rates = RateLimits::read(context)?;
    if !rates.take_below(mount).is_empty() {
        rates.write(context)?;
    }
    let mut counts = LeaseCounts::read(context)?;
    let gone = counts.take_below(mount);
    if !gone.is_empty() {
        counts.write(context)?;
        gone.iter().for_each(|quota| leases::forget(context, quota));
    }
    Ok(())
}
