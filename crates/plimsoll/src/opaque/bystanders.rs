//! Who asks the same upstream at another gate.

use core::time::Duration;
use std::sync::Arc;

use crate::Timestamp;
use crate::sync::{AtomicU64, Ordering};

/// The requests that were at one upstream, through all its gates: what a storm at one of them
/// does to the upstream, those feel too who ask at another. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Bystanders(Arc<Totals>);

#[derive(Debug, Default)]
struct Totals {
    requests: AtomicU64,
    nanos: AtomicU64,
}

impl Bystanders {
    /// One more was there for so long, past all of the gates. Gates count their own.
    pub fn asked(&self, lasting: Duration) {
        let nanos = u64::try_from(lasting.as_nanos()).unwrap_or(u64::MAX);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many, and their seconds.
    fn totals(&self) -> (f64, f64) {
        let [requests, nanos] =
            [&self.0.requests, &self.0.nanos].map(|total| total.load(Ordering::Relaxed) as f64);
        (requests, nanos / 1e9)
    }
}

/// As many requests of its own, at least, a gate reckons with in a window: if a storm is about
/// to begin they will be more, and else it does not matter.
const OWN_MIN: f64 = 64.0;

/// What one of the gates knows of the others.
#[derive(Debug)]
pub(crate) struct Others {
    all: Bystanders,
    window: Duration,
    since: Timestamp,
    /// All of them by then,
    seen: (f64, f64),
    /// and this gate's since.
    own: (f64, f64),
    share: f64,
}

impl Others {
    /// Looks at them whenever so much time has passed.
    pub(crate) fn new(all: Bystanders, window: Duration) -> Self {
        let none = (0.0, 0.0);
        Self { all, window, since: Timestamp::ZERO, seen: none, own: none, share: 0.0 }
    }

    /// The part of all requests of late, 0..=1, that others had and that took them less time
    /// than they take here: whoever asks for more gives way.
    pub(crate) const fn share(&self) -> f64 {
        self.share
    }

    /// A request of this gate was there for so long, whatever came of it: who has waited too
    /// long is to count as well.
    pub(crate) fn ended(&mut self, now: Timestamp, lasting: Duration) {
        self.all.asked(lasting);
        let (own, own_seconds) = (self.own.0 + 1.0, self.own.1 + lasting.as_secs_f64());
        self.own = (own, own_seconds);
        let elapsed = now.since(self.since);
        if elapsed < self.window {
            return;
        }
        let windows = elapsed.as_secs_f64() / self.window.as_secs_f64();
        let all = self.all.totals();
        let others = (all.0 - self.seen.0 - own).max(0.0);
        let seconds = (all.1 - self.seen.1 - own_seconds).max(0.0);
        let is_shorter = seconds * own < own_seconds * others;
        self.share = if is_shorter { others / (others + own.max(OWN_MIN * windows)) } else { 0.0 };
        (self.since, self.seen, self.own) = (now, all, (0.0, 0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What a gate with 100 requests of 5 ms a window says, in per cent, where so many were
    /// beside each until then.
    fn shares(beside: &[(u64, u32)], lasting: Duration) -> Vec<u32> {
        let all = Bystanders::default();
        let mut others = Others::new(all.clone(), Duration::from_secs(1));
        let until = |&(second, beside): &(u64, u32)| {
            (0..beside).for_each(|_| all.asked(lasting));
            for own in 0..100 {
                others.ended(Timestamp::from_nanos(second * 1_000_000_000 + own), 5 * MS);
            }
            (others.share() * 100.0).round() as u32
        };
        beside.iter().map(until).collect()
    }

    #[test]
    fn the_share_is_that_of_the_window_before() {
        // A window ends with the first request that ends a second after it began.
        assert_eq!(shares(&[(1, 0), (2, 100), (3, 300), (4, 0)], MS), [0, 50, 75, 0]);
    }

    #[test]
    fn before_a_storm_64_are_as_many_as_it_would_have_at_least() {
        assert_eq!(shares(&[(1, 0), (11, 640)], MS), [0, 50]);
    }

    #[test]
    fn who_asks_for_less_does_not_give_way() {
        assert_eq!(shares(&[(1, 0), (2, 300)], 9 * MS), [0, 0]);
    }
}
