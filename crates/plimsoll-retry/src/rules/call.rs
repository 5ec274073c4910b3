//! One request's way through its attempts.

use core::fmt;
use core::time::Duration;

use super::budget::Budget;
use super::policy::Policy;
use super::safety::Failure;

/// Why a request that failed was not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// [`Policy::attempts_max`] were made.
    AttemptsSpent,
    /// The retry budget, shared with all clones, is empty.
    BudgetSpent,
    /// The patience ended, or would have ended before the next attempt.
    PatienceSpent,
    /// Executing it twice could do harm: an unsafe method without a key.
    NotRepeatable,
    /// Its body cannot be sent again.
    BodySpent,
    /// Too many requests are held back already.
    TooManyHeld,
    /// The server refuses so much that the rest is refused at home.
    Throttled,
    /// Another retry layer is in charge of this request.
    NotInCharge,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttemptsSpent => "no attempts left",
            Self::BudgetSpent => "retry budget spent",
            Self::PatienceSpent => "out of time",
            Self::NotRepeatable => "not safe to repeat",
            Self::BodySpent => "its body cannot be sent again",
            Self::TooManyHeld => "too many requests wait already",
            Self::Throttled => "the server refuses nearly everything",
            Self::NotInCharge => "another retry layer is in charge",
        })
    }
}

/// What is known of a request before it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) begun: Duration,
    /// Nothing is done for it after this.
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
    /// What the last retry cost.
    pub(crate) paid: u32,
    /// Why it may be sent only once, if so.
    pub(crate) once: Option<GaveUp>,
}

impl Call {
    /// Whether to try again at `next` after a failure; pays for it.
    pub(crate) fn may_retry(
        &mut self,
        next: Duration,
        failure: Failure,
        policy: &Policy,
        budget: &mut Budget,
    ) -> Result<(), GaveUp> {
        if let Some(reason) = self.once {
            return Err(reason);
        }
        if self.attempts >= policy.attempts_max {
            return Err(GaveUp::AttemptsSpent);
        }
        if next >= self.deadline {
            return Err(GaveUp::PatienceSpent);
        }
        if policy.budget && !budget.pay(failure.cost()) {
            return Err(GaveUp::BudgetSpent);
        }
        self.paid = failure.cost();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn call(attempts: u32) -> Call {
        Call { begun: Duration::ZERO, deadline: 30 * S, attempts, paid: 0, once: None }
    }

    fn refused(call: &mut Call, next: Duration) -> Result<(), GaveUp> {
        call.may_retry(next, Failure::Overloaded, &Policy::default(), &mut Budget::default())
    }

    #[test]
    fn the_third_attempt_is_the_last() {
        assert_eq!(refused(&mut call(2), S), Ok(()));
        assert_eq!(refused(&mut call(3), S), Err(GaveUp::AttemptsSpent));
    }

    #[test]
    fn nobody_waits_for_an_attempt_beyond_the_deadline() {
        let mut call = call(1);
        assert_eq!(refused(&mut call, 30 * S), Err(GaveUp::PatienceSpent));
        assert_eq!(call.paid, 0);
    }

    #[test]
    fn an_empty_budget_ends_retries_unless_there_is_none() {
        let mut budget = Budget::default();
        while budget.pay(1) {}
        let policy = Policy::default();
        let broken = call(1).may_retry(S, Failure::Broken, &policy, &mut budget);
        assert_eq!(broken, Err(GaveUp::BudgetSpent));
        let unbounded = Policy { budget: false, ..policy };
        assert_eq!(call(1).may_retry(S, Failure::Broken, &unbounded, &mut budget), Ok(()));
    }

    #[test]
    fn what_may_be_sent_once_is_sent_once() {
        let mut call = Call { once: Some(GaveUp::NotRepeatable), ..call(1) };
        assert_eq!(refused(&mut call, S), Err(GaveUp::NotRepeatable));
    }
}
