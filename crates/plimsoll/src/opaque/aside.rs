//! Requests that last by design, and hold no place.
//!
//! A long poll is answered when there is news. Until then it takes nothing of what the
//! upstream can do, and if it kept its place a few dozen of them would shut everybody
//! out. It is known by this: it has taken many times what the upstream usually takes,
//! while others are answered. Of an upstream that is slow to all the usual is slow too,
//! and nobody is set aside.

use core::time::Duration;

use crate::Timestamp;
use crate::opaque::ticket::{Outcome, Start};

/// Who was answered sooner was in nobody's way.
const AGE_MIN: Duration = Duration::from_secs(1);
/// So many usual times are not waited for an upstream that is merely slow.
const USUAL_TIMES: f64 = 10.0;
/// Where nobody was answered for [`AGE_MIN`], the upstream hangs, or all places are held
/// by such as these: one of them at a time finds out.
const SILENT_INTERVAL: Duration = Duration::from_millis(100);
/// Weight of a new time.
const ALPHA: f64 = 0.05;

/// How many are aside, and what is usual.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    requests: u32,
    /// Mean logarithm of the seconds of a request: a few that last do not move it far.
    usual: Option<f64>,
    /// The last answer came then.
    answered: Timestamp,
    /// The last one went then.
    last: Timestamp,
}

impl Aside {
    /// Whether a request is set aside, so that there are at most so many.
    pub(crate) fn takes(&mut self, now: Timestamp, start: Start, most: u32) -> bool {
        let age = now.since(start.at);
        let usual = self.usual.map_or(0.0, f64::exp);
        let lasts = age >= AGE_MIN && age.as_secs_f64() >= USUAL_TIMES * usual;
        let silent = self.usual.is_none() || now.since(self.answered) >= AGE_MIN;
        let too_soon = silent && now.since(self.last) < SILENT_INTERVAL;
        if !lasts || too_soon || self.requests >= most {
            return false;
        }
        self.requests += 1;
        self.last = now;
        true
    }

    /// A request ended, aside or not.
    pub(crate) fn ended(&mut self, now: Timestamp, start: Start, outcome: Outcome) {
        self.requests -= u32::from(start.aside).min(self.requests);
        let seconds = now.since(start.at).as_secs_f64().max(1e-6).ln();
        let usual = self.usual.unwrap_or(seconds);
        let news = match outcome {
            Outcome::Answered => {
                self.answered = now;
                seconds
            }
            // It would have taken at least as long.
            Outcome::TimedOut | Outcome::Cancelled if self.usual.is_some() => seconds.max(usual),
            _ => return,
        };
        self.usual = Some(usual + ALPHA * (news - usual));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::{Class, Flow};
    use crate::queue::Holder;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn start(ms: u64, aside: bool) -> Start {
        let holder = Holder { class: Class::Normal, flow: Flow(1), units: 1 };
        Start { at: at(ms), in_flight: 1, holder, aside }
    }

    /// After a hundred answers at `now` that took so long.
    fn after(ms: u64, now: u64) -> Aside {
        let mut aside = Aside::default();
        (0..100).for_each(|_| aside.ended(at(now), start(now - ms, false), Outcome::Answered));
        aside
    }

    #[test]
    fn who_takes_ten_times_the_usual_is_set_aside_after_a_second() {
        for (usual, not_yet, then) in [(5, 999, 1_000), (300, 2_999, 3_001)] {
            let mut aside = after(usual, then - 100);
            assert!(!aside.takes(at(not_yet), start(0, false), 10));
            assert!(aside.takes(at(then), start(0, false), 10));
        }
    }

    #[test]
    fn where_nobody_is_answered_it_is_one_at_a_time() {
        for mut aside in [Aside::default(), after(5, 1_000)] {
            let taken = (2_000..3_000).filter(|ms| aside.takes(at(*ms), start(0, false), 1_000));
            assert_eq!(taken.count(), 10);
        }
    }

    #[test]
    fn only_so_many_are_aside_at_once() {
        let mut aside = after(5, 2_000);
        for _ in 0..3 {
            assert!((0..2).all(|_| aside.takes(at(2_000), start(0, false), 2)));
            assert!(!aside.takes(at(2_000), start(0, false), 2));
            (0..2).for_each(|_| aside.ended(at(2_000), start(0, true), Outcome::Failed));
        }
    }

    #[test]
    fn an_upstream_that_turns_slow_is_soon_known_to_be() {
        // Even if nobody lives to see an answer.
        for outcome in [Outcome::Answered, Outcome::Cancelled, Outcome::TimedOut] {
            let mut aside = after(5, 1_000);
            (0..60).for_each(|_| aside.ended(at(4_000), start(0, true), outcome));
            assert!(!aside.takes(at(4_000), start(0, false), 10), "{outcome:?}");
        }
    }
}
