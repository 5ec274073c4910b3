//! A refusal with what this client, and no other, is told.

use core::time::Duration;

use plimsoll::Rejection;
use rand::Rng;
use serde_json::{Map, Value, json};

use crate::maintenance;
use crate::refusal::{Refusal, Throttled};

/// The longest Retry-After of an overload: longer ones park clients beyond it.
const OVERLOAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// The Retry-After of a maintenance whose end nobody knows, in seconds.
const OPEN_END_WAIT_S: core::ops::Range<f64> = 60.0..300.0;
/// The most that is added to a wait whose end is known.
const SPREAD_MAX: Duration = Duration::from_secs(60);
/// The least.
const SPREAD_MIN: Duration = Duration::from_secs(1);

/// A refusal and its wait.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Told {
    /// What is refused and why.
    pub refusal: Refusal,
    /// When to come back, if that helps.
    pub retry_after: Option<Duration>,
    /// Where to find out more.
    pub status_page: Option<String>,
}

impl Told {
    /// Draws the wait.
    pub fn new(refusal: Refusal) -> Self {
        let retry_after = wait(&refusal, &mut rand::rng());
        Self { refusal, retry_after, status_page: None }
    }

    /// With exactly this wait, for the same bytes every time.
    pub const fn exactly(refusal: Refusal, retry_after: Option<Duration>) -> Self {
        Self { refusal, retry_after, status_page: None }
    }

    /// [`Told::retry_after`] in milliseconds.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    /// [`Told::retry_after`] in whole seconds (RFC 9110 10.2.3), rounded up, so
    /// never 0: many clients take that for no wait at all.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_ms().map(|ms| ms.div_ceil(1000).max(1))
    }

    /// What programs may want to know, the same in every JSON face.
    pub fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        details.insert("code".to_owned(), self.refusal.code().into());
        details.insert("executed".to_owned(), false.into());
        let more = match &self.refusal {
            Refusal::Overloaded(Rejection { gate, reason, .. })
            | Refusal::NoSpace(Rejection { gate, reason, .. }) => {
                json!({ "gate": gate.name(), "reason": reason.name() })
            }
            Refusal::Throttled(Throttled { quota, .. }) => json!({ "quota": quota }),
            Refusal::Closed { plan, .. } => maintenance::describe(plan),
            _ => Value::Null,
        };
        if let Value::Object(more) = more {
            details.extend(more);
        }
        if let Some(ms) = self.retry_after_ms() {
            details.insert("retry_after_ms".to_owned(), ms.into());
        }
        if let Some(page) = &self.status_page {
            details.insert("status_page".to_owned(), page.as_str().into());
        }
        details
    }
}

/// Everyone told the same second would be back in it.
fn wait(refusal: &Refusal, rng: &mut impl Rng) -> Option<Duration> {
    match refusal {
        // From [d, 2 d): nobody comes before the gate expects to have room.
        Refusal::Overloaded(rejection) => {
            let stretched = rejection.retry_after.mul_f64(rng.random_range(1.0..2.0));
            Some(stretched.min(OVERLOAD_WAIT_MAX))
        }
        Refusal::Throttled(throttled) => Some(spread(throttled.retry_after, rng)),
        Refusal::Closed { plan, .. } if plan.is_for_good() => None,
        Refusal::Closed { remaining: Some(remaining), .. } => Some(spread(*remaining, rng)),
        Refusal::Closed { remaining: None, .. } => {
            Some(Duration::from_secs_f64(rng.random_range(OPEN_END_WAIT_S)))
        }
        _ => None,
    }
}

/// Up to a tenth later, at least a second's worth of difference.
fn spread(wait: Duration, rng: &mut impl Rng) -> Duration {
    let spread = (wait / 10).clamp(SPREAD_MIN, SPREAD_MAX);
    wait.saturating_add(spread.mul_f64(rng.random_range(0.0..1.0)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use plimsoll::{Gate, Reason};
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;
    use crate::maintenance::{Extent, Plan};

    /// The waits of a thousand refusals, in milliseconds.
    fn waits(refusal: &Refusal) -> (u128, u128) {
        let mut rng = SmallRng::seed_from_u64(1);
        let waits = (0..1000).map(|_| wait(refusal, &mut rng).expect("a wait").as_millis());
        waits.fold((u128::MAX, 0), |(min, max), wait| (min.min(wait), max.max(wait)))
    }

    fn rejection(retry_after: Duration) -> Rejection {
        Rejection { gate: Gate::Write, reason: Reason::Full, retry_after }
    }

    fn closed(extent: Extent, remaining: Option<Duration>) -> Refusal {
        let plan = Plan::new(extent, SystemTime::UNIX_EPOCH, None, SystemTime::UNIX_EPOCH);
        Refusal::Closed { plan: Arc::new(plan.expect("valid")), remaining }
    }

    #[test]
    fn waits_are_spread_and_never_shorter_than_the_truth() {
        let s = Duration::from_secs;
        let (min, max) = waits(&Refusal::Overloaded(rejection(s(1))));
        assert!((1000..1100).contains(&min) && (1900..2000).contains(&max), "{min} {max}");
        let (min, max) = waits(&closed(Extent::Full, Some(s(3600))));
        assert!((3_600_000..3_606_000).contains(&min), "{min}");
        assert!((3_654_000..3_660_000).contains(&max), "{max}");
        let (min, max) = waits(&closed(Extent::Full, None));
        assert!((60_000..90_000).contains(&min) && (270_000..300_000).contains(&max));
    }

    #[test]
    fn nobody_is_parked_beyond_an_overload_and_no_length_overflows() {
        assert_eq!(waits(&Refusal::Overloaded(rejection(Duration::from_secs(3600)))).1, 10_000);
        let told = Told::new(closed(Extent::Full, Some(Duration::MAX)));
        assert_eq!(told.retry_after_ms(), Some(u64::MAX));
    }

    #[test]
    fn what_does_not_come_back_has_no_wait() {
        let mut rng = SmallRng::seed_from_u64(1);
        for refusal in [
            closed(Extent::Retired, None),
            Refusal::NoSpace(rejection(Duration::from_secs(1))),
            Refusal::BrokeOff,
        ] {
            assert_eq!(wait(&refusal, &mut rng), None);
        }
    }
}
