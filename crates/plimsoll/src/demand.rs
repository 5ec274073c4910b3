//! What a request asks of the gates.

use crate::Timestamp;

/// How much a request matters when not everything fits.
///
/// The order is the order of sacrifice: `Low` is displaced first, `Critical`
/// never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Bulk work: expiry, tidy, imports.
    Low,
    /// Everything that has not earned another class.
    Normal,
    /// Requests that keep work already accepted alive: renew, revoke, lookup.
    High,
    /// Seal and unseal, quota and policy administration, replication,
    /// leadership. Never refused, still counted.
    Critical,
}

impl Class {
    /// How many classes there are.
    pub const COUNT: usize = 4;

    /// Every class, the one to sacrifice first in front.
    pub const ALL: [Self; Self::COUNT] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The position in [`Class::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Whose request it is, for fairness: a keyed hash of an identity that an
/// attacker cannot choose. The hash is the caller's; two flows that collide
/// share one share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow(pub u64);

/// What a request takes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Transactions: one for a request, however many keys it writes.
    pub items: u32,
    /// Bytes those transactions add to the log.
    pub bytes: u64,
}

impl Cost {
    /// One transaction of `bytes` bytes.
    pub const fn item(bytes: u64) -> Self {
        Self { items: 1, bytes }
    }
}

/// Everything a gate is told about a request.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// How much it matters.
    pub class: Class,
    /// Whose it is.
    pub flow: Flow,
    /// What it takes.
    pub cost: Cost,
    /// When nobody waits for the answer any more.
    pub deadline: Option<Timestamp>,
}
