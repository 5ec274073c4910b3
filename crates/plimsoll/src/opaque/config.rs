//! The few numbers an opaque gate is built from.

use core::time::Duration;

/// As many callers as a gate lets in before it knows anything: enough for most upstreams,
/// harmless to the rest.
pub const CALLERS_FEW_MAX: u32 = 64;

/// What an opaque gate is built from. The defaults need no tuning per upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpaqueGateConfig {
    pub(crate) in_flight_max: u32,
    pub(crate) waiting_max: u32,
    pub(crate) patience: Duration,
}

/// A number that no gate can be built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid opaque gate: {0}")]
pub struct InvalidOpaqueGate(&'static str);

impl Default for OpaqueGateConfig {
    /// At most 4,096 requests at the upstream and 4,096 waiting; clients who
    /// usually give up after 5 s.
    fn default() -> Self {
        Self { in_flight_max: 4096, waiting_max: 4096, patience: Duration::from_secs(5) }
    }
}

impl OpaqueGateConfig {
    /// How many requests may ever be at the upstream at once, whatever it seems
    /// to carry.
    ///
    /// # Errors
    /// Zero.
    pub const fn with_in_flight_max(mut self, requests: u32) -> Result<Self, InvalidOpaqueGate> {
        if requests == 0 {
            return Err(InvalidOpaqueGate("one request at least must be let through"));
        }
        self.in_flight_max = requests;
        Ok(self)
    }

    /// How many requests may ever wait, however short the wait.
    #[must_use]
    pub const fn with_waiting_max(mut self, requests: u32) -> Self {
        self.waiting_max = requests;
        self
    }

    /// How long clients usually wait for an answer. A request with a deadline
    /// of its own says better.
    ///
    /// # Errors
    /// Zero.
    pub const fn with_patience(mut self, patience: Duration) -> Result<Self, InvalidOpaqueGate> {
        if patience.is_zero() {
            return Err(InvalidOpaqueGate("the patience must not be zero"));
        }
        self.patience = patience;
        Ok(self)
    }
}
