//! The quotas of a Vault server: those that operators write to `sys/quotas/`, and Key
//! Vault's from the configuration.

mod key_vault;
mod role;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::request::Parts;
use plimsoll::quota::{QuotaTable, Window};
use plimsoll_daemon::metrics::{Measured, Sample};
use plimsoll_http::identity::Client;
use plimsoll_http::quota::{Asked, Named, QuotaPolicy};
use plimsoll_http::vault::{api_path, token};
use plimsoll_vault::Vault;
use plimsoll_vault::quota::{GroupBy, Rule, VIOLATIONS_NAME};
use tokio::sync::Semaphore;

use crate::face::{self, Meter};

pub use crate::quotas::key_vault::KeyVault;
pub(crate) use crate::quotas::key_vault::{KeyVaultOptions, OperationPattern};
pub(crate) use crate::quotas::role::{LoginRole, RoleReader, Roles};

/// Clients that are kept apart, over all quotas.
const CLIENTS_MAX: usize = 1_000_000;
/// Audit entries of refusals under way; more are not waited for.
const AUDITS_MAX: usize = 64;

/// See the module.
pub(crate) struct VaultQuotas {
    vault: Arc<Vault>,
    key_vaults: Arc<[KeyVault]>,
    hasher: RandomState,
    audits: Arc<Semaphore>,
}

/// The counts of all clients of all quotas.
pub(crate) fn table() -> Arc<QuotaTable> {
    Arc::new(QuotaTable::new(CLIENTS_MAX))
}

impl VaultQuotas {
    pub(crate) fn new(vault: Arc<Vault>, key_vaults: Arc<[KeyVault]>) -> Self {
        let audits = Arc::new(Semaphore::new(AUDITS_MAX));
        Self { vault, key_vaults, hasher: RandomState::new(), audits }
    }

    /// What a client has used is kept under the quota and whom it keeps apart.
    fn window(&self, rule: &Rule, parts: &Parts) -> Window {
        let caller =
            || token(&parts.headers).and_then(|token| self.vault.caller(token)).map(|c| c.flow);
        let network = || Client::of(&parts.extensions).network();
        let known = match rule.group_by {
            GroupBy::EntityThenIp | GroupBy::EntityThenNone => caller(),
            GroupBy::Ip | GroupBy::None => None,
        };
        let (limit, key) = match (rule.group_by, known) {
            (_, Some(caller)) => (rule.limit, self.hasher.hash_one((rule.id, 0, caller))),
            (GroupBy::Ip, None) => (rule.limit, self.hasher.hash_one((rule.id, 1, network()))),
            (GroupBy::None, None) => (rule.limit, self.hasher.hash_one((rule.id, 2))),
            (GroupBy::EntityThenIp, None) => {
                (rule.secondary, self.hasher.hash_one((rule.id, 1, network())))
            }
            (GroupBy::EntityThenNone, None) => (rule.secondary, self.hasher.hash_one((rule.id, 2))),
        };
        Window { key, cost: 1, limit }
    }

    /// Tells the audit log, if it wants to know, without waiting for it.
    fn audit(&self, parts: &Parts) {
        let Ok(permit) = Arc::clone(&self.audits).try_acquire_owned() else { return };
        let (remote, meter) = (Client::of(&parts.extensions).address, Meter::unlimited());
        let Ok(request) = face::decode(parts, b"", remote, &meter) else {
            return;
        };
        let vault = Arc::clone(&self.vault);
        tokio::spawn(async move {
            vault.audit_refused(&request, "rate limit quota exceeded").await;
            drop(permit);
        });
    }
}

/// For what a secondary passes on: it has charged its client already.
pub(crate) struct Charged;

impl QuotaPolicy for Charged {
    fn ask(&self, _: &Parts) -> Asked {
        Asked::default()
    }
}

impl QuotaPolicy for VaultQuotas {
    fn ask(&self, parts: &Parts) -> Asked {
        let mut asked = Asked::default();
        let rules = self.vault.quota_rules();
        if rules.is_empty() && self.key_vaults.is_empty() {
            return asked;
        }
        let Some(Ok(path)) = api_path(parts.uri.path()) else { return asked };
        if rules.is_exempt(&path) {
            return asked;
        }
        asked.tells = rules.response_headers();
        let role = parts.extensions.get::<LoginRole>().map(|role| role.0.as_str());
        for rule in rules.matching(&path, role) {
            asked.push(Named::new(Arc::clone(&rule.name)), self.window(rule, parts));
        }
        if let Some(vault) = self.key_vaults.iter().find(|vault| vault.has(&path)) {
            vault.ask(&parts.method, &path, &self.hasher, &mut asked);
        }
        asked.path = Some(path.into_owned());
        asked
    }

    fn refused(&self, parts: &Parts, quota: &str) {
        let rules = self.vault.quota_rules();
        if let Some(rule) = rules.iter().find(|rule| &*rule.name == quota) {
            rule.violated();
        } else if let Some(vault) = self.key_vaults.iter().find(|vault| &*vault.name == quota) {
            vault.violated();
        }
        if rules.audit_logging() {
            self.audit(parts);
        }
    }
}

/// What is told of quotas: Vault's names.
pub(crate) fn samples(vault: &Vault, key_vaults: &[KeyVault]) -> Vec<Sample> {
    let sample = |name: &'static str, quota: &str, value| Sample {
        name,
        labels: vec![("name", quota.to_owned().into())],
        value,
    };
    let rules = vault.quota_rules();
    let rates = rules.iter().map(|rule| (&*rule.name, rule.violations()));
    let key_vaults = key_vaults.iter().map(|vault| (&*vault.name, vault.violations()));
    let violations = rates.chain(key_vaults);
    let mut samples: Vec<Sample> = violations
        .map(|(name, count)| sample(VIOLATIONS_NAME, name, Measured::Counter(count)))
        .collect();
    // Sealed: there is nobody to ask.
    let leases = vault.lease_quotas().unwrap_or_default();
    samples.extend(leases.iter().map(|quota| {
        sample("quota.lease_count.violation", &quota.name, Measured::Counter(quota.violations))
    }));
    samples.extend(leases.iter().map(|quota| {
        sample("quota.lease_count.counter", &quota.name, Measured::Gauge(quota.count as f64))
    }));
    samples.extend(leases.iter().map(|quota| {
        sample("quota.lease_count.max", &quota.name, Measured::Gauge(quota.max as f64))
    }));
    samples
}
