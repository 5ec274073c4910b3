//! The retry budget: what keeps retries from becoming the overload.
//!
//! Backoff spreads retries out in time but does not lower their number: while
//! everything fails, three attempts each triple the load for as long as it
//! lasts. A bucket of tokens, filled by success only, does: when it is empty,
//! requests are sent once, and the load of the refused is what was asked.
//!
//! The numbers are those of the AWS SDKs' retry mode "standard", version 2.1:
//! losing an answer costs more than being told to come back, because a server
//! that refuses is still in command of itself.

/// Tokens in a full bucket, with which every client begins.
pub const TOKENS_MAX: u32 = 500;
/// A retry after a refusal: 429 or 503.
pub const REFUSED_COST: u32 = 5;
/// A retry after anything else: a broken connection, 408, 412, 502, 504.
pub const FAILED_COST: u32 = 14;
/// What a success at the first attempt puts in.
pub const SUCCESS_GAIN: u32 = 1;

/// A bucket of retry tokens, shared by the clones of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    tokens: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tokens: TOKENS_MAX }
    }
}

impl Budget {
    /// What is left.
    pub const fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Pays for a retry; false, and nothing is taken, if there is not enough.
    pub fn pay(&mut self, cost: u32) -> bool {
        let left = self.tokens.checked_sub(cost);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }

    /// A request succeeded whose last retry had cost `paid`, 0 if it needed none:
    /// a retry that helped is given back.
    pub fn succeeded(&mut self, paid: u32) {
        self.tokens = self.tokens.saturating_add(paid.max(SUCCESS_GAIN)).min(TOKENS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_refusals_in_vain_empty_it() {
        let mut budget = Budget::default();
        assert_eq!((0..1_000).filter(|_| budget.pay(REFUSED_COST)).count(), 100);
        assert_eq!(budget.tokens(), 0);
    }

    #[test]
    fn a_retry_that_helped_costs_nothing_and_success_refills() {
        let mut budget = Budget::default();
        assert!(budget.pay(FAILED_COST));
        budget.succeeded(FAILED_COST);
        assert_eq!(budget, Budget::default());
        while budget.pay(REFUSED_COST) {}
        for _ in 0..4 {
            budget.succeeded(0);
        }
        assert!(!budget.pay(REFUSED_COST));
        budget.succeeded(0);
        assert!(budget.pay(REFUSED_COST));
    }

    #[test]
    fn it_never_holds_more_than_it_began_with() {
        let mut budget = Budget::default();
        budget.succeeded(u32::MAX);
        assert_eq!(budget.tokens(), TOKENS_MAX);
    }
}
