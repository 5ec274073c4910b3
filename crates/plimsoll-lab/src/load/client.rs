//! What a client does with a request that was refused.
//!
//! With a client, what is due is a *logical* request: sent until it succeeds or
//! the client's patience ends. Without one, each request is sent once.

use std::time::Duration;

use clap::ValueEnum;
use http::{HeaderMap, HeaderValue, Method};
use plimsoll_retry::{Asked, Attempt, IDEMPOTENCY_KEY, Policy, Retry, RetryError};
use serde::Serialize;
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::report::Outcome;
use crate::wire::Answer;

/// What a client does with a request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// The crate `plimsoll-retry`, as it ships.
    Polite,
    /// Three attempts at once, and then one every second.
    Naive,
    /// Again at once, for as long as it takes.
    Storm,
}

/// What became of a request, and how often it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) attempts: u32,
}

/// A client without manners: `wait` says how long it waits after so many attempts.
pub(super) async fn insist<F>(
    until: Instant,
    wait: impl Fn(u32) -> Duration,
    mut send: impl FnMut() -> F,
) -> Ended
where
    F: Future<Output = Result<Answer, Outcome>>,
{
    let mut attempts = 0;
    loop {
        attempts += 1;
        let outcome = send().await.map_or_else(|failed| failed, |answer| answer.outcome());
        let next = Instant::now() + wait(attempts);
        if outcome == Outcome::Ok || next >= until {
            return Ended { outcome, attempts };
        }
        sleep_until(next).await;
        // Timers that are due already do not let the others run.
        yield_now().await;
    }
}

/// Three at once, then every second.
pub(super) fn naive(attempts: u32) -> Duration {
    if attempts < 3 { Duration::ZERO } else { Duration::from_secs(1) }
}

/// At once, always.
pub(super) fn storm(_: u32) -> Duration {
    Duration::ZERO
}

/// One client of `plimsoll-retry`.
#[derive(Debug)]
pub(super) struct Polite {
    retry: Retry,
    asked: Asked,
    keyed: bool,
}

impl Polite {
    pub(super) fn new(method: &Method, attempts_max: Option<u32>) -> Self {
        let mut policy = Policy::default();
        policy.attempts_max = attempts_max.unwrap_or(policy.attempts_max);
        let keyed = !plimsoll_retry::is_repeatable(method, &HeaderMap::new());
        let key = keyed.then_some((IDEMPOTENCY_KEY, HeaderValue::from_static("\"\"")));
        let asked = Asked::new(method, &HeaderMap::from_iter(key));
        Self { retry: Retry::new(policy), asked, keyed }
    }

    /// `send` is given the header lines of an attempt.
    pub(super) async fn request<F>(
        &self,
        until: Instant,
        mut send: impl FnMut(String) -> F,
    ) -> Ended
    where
        F: Future<Output = Result<Answer, Outcome>>,
    {
        let key = self.keyed.then(|| format!("idempotency-key: \"{}\"\r\n", Uuid::new_v4()));
        let key = key.unwrap_or_default();
        let asked = self.asked.within(until.saturating_duration_since(Instant::now()));
        let send = |attempt: Attempt| {
            send(format!("{key}prefer: wait={}\r\n", attempt.remaining.as_secs().max(1)))
        };
        match self.retry.run(asked, send).await {
            Ok((answer, attempts)) => Ended { outcome: answer.outcome(), attempts: attempts.count },
            Err(RetryError::Failed { source, attempts }) => {
                Ended { outcome: source, attempts: attempts.count }
            }
            Err(error) => {
                let last = error.attempts().status;
                let outcome = last.map_or(Outcome::Timeout, |s| Outcome::of_status(s.as_u16()));
                Ended { outcome, attempts: error.attempts().count }
            }
        }
    }
}

impl Answer {
    pub(super) fn outcome(&self) -> Outcome {
        Outcome::of_status(self.status)
    }
}
