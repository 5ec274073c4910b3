//! Quotas: what operators allow their clients, with Vault's API.
//!
//! A quota has a [scope]: everything, a mount, a path or the paths below a
//! prefix, a role of an auth method. Of all quotas that a request falls under, those
//! of the most specific scope apply, and only they. Several quotas of one scope are
//! several windows ("10 a second and 100 a minute") as long as their intervals
//! differ.
//!
//! - *Rate limits* are kept in the store and counted in memory, by whoever stands in
//!   front of the vault: [`Rules`] is what it needs to know, compiled whenever a
//!   quota changes.
//! - *Lease counts* are counted in the store, in the same transaction as the lease
//!   ([`leases`]), so they are exact however many logins are under way.

mod config;
mod entry;
mod handle;
pub(crate) mod leases;
mod params;
mod rules;
mod scope;

pub(crate) use crate::quota::config::QuotaConfig;
pub(crate) use crate::quota::entry::{LeaseCounts, RateLimits, forget_mount, revisions};
pub(crate) use crate::quota::handle::handle;

pub use crate::quota::entry::GroupBy;
pub use crate::quota::rules::{Rule, Rules, VIOLATIONS_NAME};
