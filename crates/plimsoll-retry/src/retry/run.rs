//! One request, from its first attempt to its last.

use core::fmt;
use core::time::Duration;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use http::StatusCode;
use tokio::time::{sleep_until, timeout_at};

use super::line::later;
use super::{Asked, Reply, Retry};
use crate::rules::call::{Call, GaveUp};
use crate::rules::safety::Failure;

/// What an attempt is told.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// What is left of the request's patience.
    pub remaining: Duration,
}

/// What a request took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempts {
    /// How often it was sent.
    pub count: u32,
    /// From when it was asked to its end, waits included.
    pub elapsed: Duration,
    /// The last answer's status, if any attempt was answered.
    pub status: Option<StatusCode>,
    /// Why it was not tried again, if it failed.
    pub gave_up: Option<GaveUp>,
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} attempt{plural} in {:.1} s", self.count, self.elapsed.as_secs_f64())?;
        self.gave_up.map_or(Ok(()), |reason| write!(f, ", {reason}"))
    }
}

/// A request without an answer to show for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError<E> {
    /// The last attempt failed without an answer.
    #[error("{source} ({attempts})")]
    Failed {
        /// How.
        source: E,
        /// What it took.
        attempts: Attempts,
    },
    /// No attempt was answered, or the answer is gone since.
    #[error("no answer ({attempts})")]
    NoAnswer {
        /// What it took, and why it was given up.
        attempts: Attempts,
    },
}

impl<E> RetryError<E> {
    /// What the request took.
    pub const fn attempts(&self) -> &Attempts {
        match self {
            Self::Failed { attempts, .. } | Self::NoAnswer { attempts } => attempts,
        }
    }
}

/// What is left of a failed attempt while the next one is waited for.
type Last<T, E> = Option<Result<T, E>>;

impl Retry {
    /// Sends a request until it succeeds or it is time to give up. The last answer
    /// is an answer, whatever its status: [`Attempts::gave_up`] tells.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn run<T, E, F>(
        &self,
        asked: Asked,
        mut send: impl FnMut(Attempt) -> F,
    ) -> Result<(T, Attempts), RetryError<E>>
    where
        T: Reply,
        F: Future<Output = Result<T, E>>,
    {
        let shared = &*self.0;
        let begun = self.now();
        let patience = asked.patience.unwrap_or(shared.policy.patience);
        let deadline = begun.saturating_add(patience);
        let mut call = Call { begun, deadline, attempts: 0, paid: 0, once: asked.once };
        let number = shared.calls.fetch_add(1, Ordering::Relaxed);
        let line = if asked.read { &shared.reads } else { &shared.writes };
        let deadline_at = later(shared.begin, deadline);
        let mut last = None;
        let mut status = None;
        loop {
            let in_line = line.pass(number, shared.begin, shared.policy.held_requests_max);
            let pass = match timeout_at(deadline_at, in_line).await {
                Ok(Ok(pass)) => pass,
                Ok(Err(reason)) => return self.end(&call, status, last, Some(reason)),
                Err(_) => return self.end(&call, status, last, Some(GaveUp::PatienceSpent)),
            };
            if !self.throttle_admits() {
                return self.end(&call, status, last, Some(GaveUp::Throttled));
            }
            call.attempts += 1;
            let remaining = deadline.saturating_sub(self.now());
            let attempt = Attempt { number: call.attempts, remaining };
            let Ok(result) = timeout_at(deadline_at, send(attempt)).await else {
                return self.end(&call, status, None, Some(GaveUp::PatienceSpent));
            };
            let answered = result.as_ref().ok().map(Reply::status);
            status = answered.or(status);
            let Some(failure) = failure(answered, asked.conditional) else {
                pass.served();
                self.succeeded(&call, answered);
                return self.end(&call, status, Some(result), None);
            };
            let next = self.next_attempt(&call, failure, result.as_ref().ok());
            let held = shared.policy.hold
                && failure == Failure::Overloaded
                && asked.once != Some(GaveUp::NotInCharge);
            if held {
                pass.refused(next);
            } else {
                drop(pass);
            }
            if let Err(reason) = self.may_retry(&mut call, next, failure) {
                return self.end(&call, status, Some(result), Some(reason));
            }
            last = kept(result);
            if !held {
                sleep_until(later(shared.begin, next)).await;
            }
        }
    }

    fn next_attempt<T: Reply>(&self, call: &Call, failure: Failure, reply: Option<&T>) -> Duration {
        let hint = reply.and_then(|reply| reply.retry_after(wall_clock()));
        let wait = self.0.policy.wait(failure, call.attempts, hint, rand::random());
        self.now().saturating_add(wait)
    }

    fn may_retry(&self, call: &mut Call, next: Duration, failure: Failure) -> Result<(), GaveUp> {
        call.may_retry(next, failure, &self.0.policy, &mut self.purse().budget)
    }

    fn throttle_admits(&self) -> bool {
        let now = self.now();
        let admit = |throttle: &mut crate::Throttle| throttle.admit(now, rand::random());
        self.purse().throttle.as_mut().is_none_or(admit)
    }

    fn succeeded(&self, call: &Call, status: Option<StatusCode>) {
        let now = self.now();
        let mut purse = self.purse();
        if !status.is_some_and(|status| status.is_server_error()) {
            purse.budget.succeeded(call.paid);
        }
        if let Some(throttle) = &mut purse.throttle {
            throttle.accepted(now);
        }
    }

    fn end<T, E>(
        &self,
        call: &Call,
        status: Option<StatusCode>,
        last: Last<T, E>,
        gave_up: Option<GaveUp>,
    ) -> Result<(T, Attempts), RetryError<E>> {
        let elapsed = self.now().saturating_sub(call.begun);
        let attempts = Attempts { count: call.attempts, elapsed, status, gave_up };
        match last {
            Some(Ok(reply)) => Ok((reply, attempts)),
            Some(Err(source)) => Err(RetryError::Failed { source, attempts }),
            None => Err(RetryError::NoAnswer { attempts }),
        }
    }
}

fn failure(answered: Option<StatusCode>, conditional: bool) -> Option<Failure> {
    answered.map_or(Some(Failure::Broken), |status| Failure::of(status, conditional))
}

/// Errors are kept, and those answers that hold nothing back.
fn kept<T: Reply, E>(result: Result<T, E>) -> Last<T, E> {
    let keep = result.as_ref().map_or(true, Reply::is_kept);
    keep.then_some(result)
}

#[expect(clippy::disallowed_methods, reason = "dates in Retry-After need the wall clock")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
