//! Key Vault's throttling, for mounts that the configuration names.

use core::sync::atomic::{AtomicU64, Ordering};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use plimsoll::quota::{InvalidTariff, KEY_VAULT_CLASSES, OperationClass, Tariff};
use plimsoll_http::quota::{Asked, Named};
use plimsoll_http::refusal::{AzureFace, Face};

/// As the service says it.
const MESSAGE: &str = "Request was not processed because too many requests were received. \
                       Reason: VaultRequestTypeLimitReached";

/// One `key_vault_throttling` block.
#[derive(Clone, Debug)]
pub(crate) struct KeyVaultOptions {
    pub(crate) name: String,
    /// Paths, each with a slash at its end, that make up the vault.
    pub(crate) mounts: Vec<String>,
    /// Vaults of one subscription share five times a vault's limits.
    pub(crate) subscription: String,
    pub(crate) count_rejected: bool,
    pub(crate) interval: Duration,
    /// The class of what matches no pattern.
    pub(crate) default_class: String,
    pub(crate) operations: Vec<OperationPattern>,
    /// Limits beside, or in the place of, the published ones.
    pub(crate) limits: Vec<(String, u32)>,
}

/// Which operations are of a class.
#[derive(Clone, Debug)]
pub(crate) struct OperationPattern {
    pub(crate) class: String,
    /// None is any.
    pub(crate) methods: Vec<String>,
    /// What the path below the mount starts with; none is any.
    pub(crate) paths: Vec<String>,
}

/// A vault with Key Vault's limits, as a `key_vault_throttling` block describes it.
pub struct KeyVault {
    pub(crate) name: Arc<str>,
    mounts: Vec<String>,
    subscription: String,
    tariff: Tariff,
    default_class: OperationClass,
    operations: Vec<(OperationClass, OperationPattern)>,
    face: Arc<dyn Face>,
    violations: AtomicU64,
}

impl core::fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyVault").field("name", &self.name).finish_non_exhaustive()
    }
}

impl KeyVault {
    /// # Errors
    /// What the configuration has wrong.
    pub(crate) fn new(options: KeyVaultOptions) -> Result<Self, String> {
        let published = KEY_VAULT_CLASSES.iter().copied();
        let own = options.limits.iter().map(|(class, limit)| (class.as_str(), *limit));
        let is_own = |class: &str| options.limits.iter().any(|(own, _)| own == class);
        let classes: Vec<(&str, u32)> =
            published.filter(|(class, _)| !is_own(class)).chain(own).collect();
        let wrong = |error: InvalidTariff| error.to_string();
        let tariff = Tariff::new(&classes, options.interval, options.count_rejected);
        let tariff = tariff.map_err(wrong)?;
        let class =
            |name: &str| tariff.class(name).ok_or_else(|| format!("class {name:?} has no limit"));
        let operations = options.operations.into_iter();
        let operations: Result<Vec<_>, String> =
            operations.map(|pattern| Ok((class(&pattern.class)?, pattern))).collect();
        Ok(Self {
            name: options.name.into(),
            default_class: class(&options.default_class)?,
            operations: operations?,
            mounts: options.mounts,
            subscription: options.subscription,
            tariff,
            face: Arc::new(AzureFace::default()),
            violations: AtomicU64::new(0),
        })
    }

    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.mounts.iter().find_map(|mount| path.strip_prefix(mount.as_str()))
    }

    /// Whether a path is in this vault.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.below(path).is_some()
    }

    /// Adds the vault's window and its subscription's.
    pub(crate) fn ask(&self, method: &Method, path: &str, hasher: &RandomState, asked: &mut Asked) {
        let class = self.class(method, self.below(path).unwrap_or_default());
        let named = || Named {
            message: Some(MESSAGE.into()),
            face: Some(Arc::clone(&self.face)),
            ..Named::new(Arc::clone(&self.name))
        };
        let vault = hasher.hash_one(("vault", &self.name));
        let subscription = hasher.hash_one(("subscription", &self.subscription));
        asked.push(named(), self.tariff.vault(class, vault));
        asked.push(named(), self.tariff.subscription(class, subscription));
    }

    /// The class with the longest path that fits.
    fn class(&self, method: &Method, below: &str) -> OperationClass {
        let fitting = self.operations.iter().filter_map(|(class, pattern)| {
            let methods = &pattern.methods;
            let is_method = methods.is_empty() || methods.iter().any(|m| m == method.as_str());
            let paths = pattern.paths.iter().filter(|path| below.starts_with(path.as_str()));
            let longest = paths.map(String::len).max();
            let length = if pattern.paths.is_empty() { Some(0) } else { longest };
            is_method.then_some((length?, *class))
        });
        let best = fitting.max_by_key(|(length, _)| *length);
        best.map_or(self.default_class, |(_, class)| class)
    }

    pub(crate) fn violated(&self) {
        self.violations.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_longest_path_that_fits_tells_the_class() {
        let pattern = |class: &str, methods: &[&str], paths: &[&str]| OperationPattern {
            class: class.to_owned(),
            methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            paths: paths.iter().map(|p| (*p).to_owned()).collect(),
        };
        let vault = KeyVault::new(KeyVaultOptions {
            name: "v".to_owned(),
            mounts: vec!["secret/".to_owned()],
            subscription: "s".to_owned(),
            count_rejected: false,
            interval: Duration::from_secs(10),
            default_class: "other".to_owned(),
            operations: vec![
                pattern("secret_create", &["POST", "PUT"], &["data/"]),
                pattern("rsa_4096_hsm", &[], &["data/keys/"]),
                pattern("mine", &["DELETE"], &[]),
            ],
            limits: vec![("mine".to_owned(), 7)],
        });
        let vault = vault.unwrap();
        let limit =
            |method: Method, path: &str| vault.tariff.operations_max(vault.class(&method, path));
        assert_eq!(limit(Method::GET, "data/a"), 4000);
        assert_eq!(limit(Method::POST, "data/a"), 300);
        assert_eq!(limit(Method::POST, "data/keys/a"), 250);
        assert_eq!(limit(Method::DELETE, "metadata/a"), 7);
        assert!(vault.has("secret/data/a") && !vault.has("kv/a"));
    }
}
