//! Requests sent until they succeed or it is time to give up.
//!
//! [`Retry`] is what a client shares: the policy, the budget and the lines in
//! which held requests stand. Its clones share them too; make one for each server
//! you talk to. [`Retry::run`] takes one request through its attempts, whatever
//! sends them; [`RetryLayer`](crate::RetryLayer) does so for tower services.

mod asked;
mod line;
mod run;
#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::rules::budget::Budget;
use crate::rules::policy::Policy;
use crate::rules::throttle::Throttle;

pub use self::asked::{Asked, Kept, Patience, Reply};
pub use self::run::{Attempt, Attempts, RetryError};

use self::line::Line;

/// What all requests to one server share. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Retry(Arc<Shared>);

struct Shared {
    policy: Policy,
    begin: Instant,
    purse: Mutex<Purse>,
    /// A held write does not hold reads, which the server may well serve.
    reads: Line,
    writes: Line,
    calls: AtomicU64,
}

#[derive(Default)]
struct Purse {
    budget: Budget,
    throttle: Option<Throttle>,
}

impl Retry {
    /// A full budget, and nobody held.
    pub fn new(policy: Policy) -> Self {
        let purse = Purse { budget: Budget::default(), throttle: policy.throttle };
        Self(Arc::new(Shared {
            policy,
            begin: Instant::now(),
            purse: Mutex::new(purse),
            reads: Line::default(),
            writes: Line::default(),
            calls: AtomicU64::new(0),
        }))
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Retry tokens left, of [`TOKENS_MAX`](crate::TOKENS_MAX).
    pub fn budget_tokens(&self) -> u32 {
        self.purse().budget.tokens()
    }

    fn now(&self) -> Duration {
        self.0.begin.elapsed()
    }

    fn purse(&self) -> MutexGuard<'_, Purse> {
        // Numbers only: there is no half-done change that a panic could leave.
        self.0.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Retry {
    /// [`Policy::default`].
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}
