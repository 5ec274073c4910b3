//! Quotas on their way to whoever counts requests, and what is told about them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use plimsoll_store::Revision;
use serde_json::{Map, Value};

use crate::backend::Prepared;
use crate::error::VaultError;
use crate::mounts::{Routes, Target};
use crate::quota::{self, LeaseCounts, QuotaConfig, RateLimits, Rules, leases};
use crate::request::{Operation, Request};
use crate::vault::Vault;

/// What is in memory of quotas.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    rules: ArcSwap<Rules>,
    /// The revisions of what was compiled last. One compilation at a time, so that the
    /// latest stays.
    compiled: Mutex<[Revision; 2]>,
    /// Refusals by lease count, by the quota's name.
    lease_violations: Mutex<HashMap<String, u64>>,
}

impl Quotas {
    /// The server was sealed: nobody knows what the quotas are.
    pub(super) fn clear(&self) {
        *self.compiled.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
        self.rules.store(Arc::default());
    }

    pub(super) fn lease_quota_violated(&self, quota: &str) {
        let mut violations = self.lease_violations.lock().unwrap_or_else(PoisonError::into_inner);
        *violations.entry(quota.to_owned()).or_default() += 1;
    }
}

/// A limit on leases, as metrics show it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeaseQuota {
    /// Its name.
    pub name: String,
    /// Leases there are.
    pub count: u64,
    /// Leases there may be.
    pub max: u64,
    /// Requests it has refused since the start.
    pub violations: u64,
}

impl Vault {
    /// The rate limits in force.
    pub fn quota_rules(&self) -> Guard<Arc<Rules>> {
        self.quotas.rules.load()
    }

    /// The limits on leases and how far they are used.
    ///
    /// # Errors
    /// Sealed, or the store failed.
    pub fn lease_quotas(&self) -> Result<Vec<LeaseQuota>, VaultError> {
        let violations = self.quotas.lease_violations.lock();
        let violations = violations.unwrap_or_else(PoisonError::into_inner).clone();
        self.glance(|context| {
            let quotas = LeaseCounts::read(context)?;
            let described = quotas.iter().map(|(name, quota)| {
                let violations = violations.get(name).copied().unwrap_or_default();
                let (count, max) = (leases::count(context, quota)?, quota.max_leases);
                Ok(LeaseQuota { name: name.clone(), count, max, violations })
            });
            described.collect()
        })
    }

    /// The role that a login asks for, if it does; told by its path and body, before
    /// anybody knows whether it will be granted.
    pub fn login_role(&self, path: &str, body: Map<String, Value>) -> Option<String> {
        if self.is_sealed() {
            return None;
        }
        let request = Request {
            operation: Operation::Write,
            path: path.to_owned(),
            data: body,
            query: Default::default(),
            token: None,
            remote: core::net::Ipv4Addr::UNSPECIFIED.into(),
            id: String::new(),
        };
        self.glance(|context| {
            let routes = Routes::read(context).ok()?;
            let (entry, rest) = routes.route(path)?;
            let Some(Target::Engine(engine)) = entry.target() else { return None };
            if !engine.is_login(rest) {
                return None;
            }
            let nothing = Prepared::Nothing;
            let mut call = self.call(context, &request, entry, rest, None, &nothing);
            engine.login_role(&mut call).ok().flatten()
        })
    }

    pub(super) fn reconcile_quotas(&self) -> Result<(), VaultError> {
        let mut compiled = self.quotas.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let (revisions, limits, config) = self.glance(|context| {
            let revisions = quota::revisions(context)?;
            let limits = RateLimits::read(context)?;
            Ok::<_, VaultError>((revisions, limits, QuotaConfig::read(context)?))
        })?;
        if revisions == *compiled && !self.quotas.rules.load().is_empty() {
            return Ok(());
        }
        *compiled = revisions;
        let before = self.quotas.rules.load();
        self.quotas.rules.store(Arc::new(Rules::compile(&limits, &config, &before)));
        Ok(())
    }
}
