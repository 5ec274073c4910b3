//! Azure Key Vault's throttling: operations that weigh differently on one window.
//!
//! Its published limits are transactions in ten seconds by class of operation, for
//! a vault; a subscription has five times as much for all its vaults. The limits
//! are *weighted and enforced on the sum*: of 2,000 HSM operations on RSA-2048 keys
//! or 250 on RSA-4096 keys a client has either, or 248 of the one and 16 of the
//! other. So a vault has one window, and an operation takes the part of it that is
//! the inverse of its limit.

use core::time::Duration;

use crate::quota::limit::{InvalidLimit, Limit, Window};

/// Vaults' worth of a subscription.
pub const SUBSCRIPTION_VAULTS: u32 = 5;

/// Units of a vault's window. Five times as many must fit into 32 bits.
const WINDOW_UNITS: u32 = 1 << 29;

/// The largest limit for which one operation more is sure to be refused, although
/// costs are rounded down to whole units: the root of a fifth of the units.
const CLASS_LIMIT_MAX: u32 = 10_000;

/// The published classes and their limits in ten seconds: per vault and region, as
/// of 2025. `create` is the creation of a key, `secret_create` is collectively
/// "create secret, import certificate, import key".
pub const KEY_VAULT_CLASSES: [(&str, u32); 18] = [
    ("rsa_2048_hsm_create", 10),
    ("rsa_2048_hsm", 2000),
    ("rsa_2048_software_create", 20),
    ("rsa_2048_software", 4000),
    ("rsa_3072_hsm_create", 10),
    ("rsa_3072_hsm", 500),
    ("rsa_3072_software_create", 20),
    ("rsa_3072_software", 1000),
    ("rsa_4096_hsm_create", 10),
    ("rsa_4096_hsm", 250),
    ("rsa_4096_software_create", 20),
    ("rsa_4096_software", 500),
    ("ec_hsm_create", 10),
    ("ec_hsm", 2000),
    ("ec_software_create", 20),
    ("ec_software", 4000),
    ("secret_create", 300),
    ("other", 4000),
];

/// The published interval.
const KEY_VAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Classes and what they cost.
#[derive(Clone, Debug)]
pub struct Tariff {
    classes: Vec<(String, u32)>,
    vault: Limit,
    subscription: Limit,
}

/// A class of a [`Tariff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationClass(usize);

/// A tariff that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTariff {
    /// A class lets nothing pass, or more than can be told apart.
    #[error("class {0:?}: a limit is from 1 to {CLASS_LIMIT_MAX}")]
    Class(String),
    /// The same name twice.
    #[error("class {0:?} is there twice")]
    Repeated(String),
    /// The interval.
    #[error(transparent)]
    Interval(#[from] InvalidLimit),
}

impl Tariff {
    /// So many operations of each class in an `interval`. With `count_rejected`
    /// refused operations are charged too: Key Vault's rule as published until
    /// 2018, while its text of today says that they are not.
    ///
    /// # Errors
    /// See [`InvalidTariff`].
    pub fn new(
        classes: &[(&str, u32)],
        interval: Duration,
        count_rejected: bool,
    ) -> Result<Self, InvalidTariff> {
        for (at, (name, limit)) in classes.iter().enumerate() {
            if !(1..=CLASS_LIMIT_MAX).contains(limit) {
                return Err(InvalidTariff::Class((*name).to_owned()));
            }
            if classes[..at].iter().any(|(other, _)| other == name) {
                return Err(InvalidTariff::Repeated((*name).to_owned()));
            }
        }
        let limit = |vaults: u32| {
            let limit = Limit::new(WINDOW_UNITS * vaults, interval)?;
            Ok::<_, InvalidLimit>(limit.with_count_rejected(count_rejected))
        };
        Ok(Self {
            classes: classes.iter().map(|(name, max)| ((*name).to_owned(), *max)).collect(),
            vault: limit(1)?,
            subscription: limit(SUBSCRIPTION_VAULTS)?,
        })
    }

    /// The published tariff.
    ///
    /// # Errors
    /// None: the table is valid.
    pub fn key_vault(count_rejected: bool) -> Result<Self, InvalidTariff> {
        Self::new(&KEY_VAULT_CLASSES, KEY_VAULT_INTERVAL, count_rejected)
    }

    /// The class with this name.
    pub fn class(&self, name: &str) -> Option<OperationClass> {
        self.classes.iter().position(|(class, _)| class == name).map(OperationClass)
    }

    /// How many operations of a class fit into an interval.
    pub fn operations_max(&self, class: OperationClass) -> u32 {
        // A class of another tariff costs a whole window.
        self.classes.get(class.0).map_or(1, |(_, max)| *max)
    }

    /// An operation's part of its vault's window.
    pub fn vault(&self, class: OperationClass, key: u64) -> Window {
        Window { key, cost: self.cost(class), limit: self.vault }
    }

    /// An operation's part of its subscription's window.
    pub fn subscription(&self, class: OperationClass, key: u64) -> Window {
        Window { key, cost: self.cost(class), limit: self.subscription }
    }

    fn cost(&self, class: OperationClass) -> u32 {
        WINDOW_UNITS / self.operations_max(class)
    }
}
