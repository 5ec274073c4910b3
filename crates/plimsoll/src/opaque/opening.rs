//! Where to begin: what the first turnovers with all places taken tell.
//!
//! As long as requests take no longer than before there is room for twice as many.
//! Else they wait for each other, in one of two ways:
//!
//! - Each for a worker. Then Little's law says how many were not merely waiting, and
//!   that guess is taken in steps, and back as soon as one costs goodput.
//! - All for the next batch: answers come in clumps, and how long a batch takes
//!   varies. Then latency grows in a straight line with the number in flight, and
//!   so does goodput, ever more slowly and for ever. Chance hides that for longer
//!   than a storm lasts; but the line through the latency of few and that of many is
//!   soon known, and on it the number up to which more are worth their price.

use core::ops::Range;

use crate::opaque::epoch::Measured;
use crate::opaque::price::Price;

/// A latency that did not rise by more than this with all places taken says that
/// there is room for more.
const UNSTRAINED: f64 = 0.8;
/// The first guess, over the requests that seem to have been served at once.
const GUESS: f64 = 2.0;
/// taken in steps no larger than this.
const GUESS_STEP: f64 = 4.0;
/// The part of the latency of few that is not waiting, at least.
const IDLE_MIN: f64 = 0.6;
/// Answers come in clumps if the squared coefficient of variation of the time that a
/// quarter of a turnover takes exceeds this: one in four of them takes most of it.
const CLUMPS: f64 = 0.5;
/// They are batches, and not requests that run in step, if that of a whole turnover
/// exceeds this part of what it is for arrivals at random, 1 / limit.
const BATCHES: f64 = 0.1;
/// A goodput so much less than before may be chance, as far as one turnover tells.
const DOUBTFUL: Range<f64> = 0.6..UNSTRAINED;
/// What was doubtful is measured over so many, and so is a latency to draw a line through.
const TURNOVERS_SURE: f64 = 8.0;

/// The mean latency of those that found few in flight, and how many that were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Few {
    pub(crate) latency: f64,
    pub(crate) in_flight: f64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Next {
    /// Measure under this limit,
    Try(f64),
    /// under the same one for so many turnovers,
    Longer(f64),
    /// or begin the trial around this one,
    Begin(f64),
    /// or around this one, which is nearly right.
    Settle(f64),
}

/// The limits that bound so far.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The last one and its goodput.
    proven: Option<(f64, f64)>,
    /// By how many seconds one more in flight made all others slower, and how often
    /// that was measured.
    slope: f64,
    slopes: f64,
}

impl Opening {
    /// What the turnovers under the limit `center` say.
    pub(crate) fn measured(
        &mut self,
        center: f64,
        measured: &Measured,
        few: Few,
        price: Price,
    ) -> Next {
        let lowered = self.proven.is_some_and(|(before, _)| center < before);
        let clumps = measured.clumps > CLUMPS;
        let doubtful =
            self.proven.is_some_and(|(_, most)| DOUBTFUL.contains(&(measured.rate / most)));
        if lowered && (clumps || doubtful) && measured.turnovers < TURNOVERS_SURE {
            return Next::Longer(TURNOVERS_SURE);
        }
        self.learn(measured, few);
        // Of what few took, this was not waiting for each other.
        let idle = (few.latency - self.slope * few.in_flight).max(IDLE_MIN * few.latency);
        let batches = clumps && measured.chance * center > BATCHES;
        if let Some((before, _)) = self.proven
            && lowered
            && batches
            && self.slope > 0.0
        {
            let most = (price.worth(idle) - idle) / self.slope;
            return Next::Settle(most.min(before));
        }
        // Until a lower limit shows the same, few may simply have been the quick ones.
        self.guess(center, measured, if lowered { idle } else { few.latency }, price)
    }

    fn learn(&mut self, measured: &Measured, few: Few) {
        if few.latency > 0.0 {
            let more = (measured.in_flight - few.in_flight).max(1.0);
            let slope = (measured.latency - few.latency).max(0.0) / more;
            self.slopes += 1.0;
            self.slope += (slope - self.slope) / self.slopes;
        }
    }

    fn guess(&mut self, center: f64, measured: &Measured, idle: f64, price: Price) -> Next {
        // Answers come in clumps where the upstream works in batches: over so short a
        // time the smaller of two ways to take the rate is the better one.
        let rate = measured.rate.min(measured.in_flight / measured.latency);
        let served = rate * idle;
        let guess = if served > 0.0 {
            served * GUESS
        } else if price.is_late(measured.latency) {
            // A storm was the first that came: nobody found few.
            center / GUESS_STEP
        } else {
            center
        };
        let step = guess.max(center / GUESS_STEP);
        match self.proven.replace((center, rate)) {
            // It was less than before, and that cost goodput.
            Some((before, most)) if center < before && rate < UNSTRAINED * most => {
                Next::Begin((center * most / rate).min(before))
            }
            Some((before, _)) if center < before && guess > center / GUESS => Next::Begin(center),
            // It was more, and that brought little, as far as clumps let one turnover tell.
            Some((before, _)) if center > before && measured.clumps > CLUMPS && served < center => {
                Next::Begin(center)
            }
            Some((before, most)) if center > before && rate < UNSTRAINED * 2.0 * most => {
                Next::Begin(before * (rate / most).max(1.0))
            }
            Some((before, _)) if center < before => Next::Try(step),
            _ if guess >= UNSTRAINED * center => Next::Try(center * 2.0),
            _ => Next::Try(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What 64 in flight show if each takes so many seconds.
    fn full(latency: f64) -> Measured {
        Measured {
            in_flight: 64.0,
            rate: 64.0 / latency,
            latency,
            turnovers: 1.0,
            chance: 0.0,
            clumps: 0.0,
            lost: 0.0,
            valid: true,
        }
    }

    #[test]
    fn where_nobody_found_few_the_limit_doubles_unless_answers_come_late() {
        for (latency, limit) in [(0.01, 128.0), (0.9, 128.0), (1.1, 16.0)] {
            let (few, price) = (Few::default(), Price::new(5.0));
            let next = Opening::default().measured(64.0, &full(latency), few, price);
            assert_eq!(next, Next::Try(limit), "{latency} s");
        }
    }

    #[test]
    fn what_costs_goodput_is_measured_for_longer_before_it_is_taken_back() {
        let few = Few { latency: 0.004, in_flight: 1.0 };
        let (mut opening, price) = (Opening::default(), Price::new(5.0));
        let first = opening.measured(64.0, &full(0.256), few, price);
        assert_eq!(first, Next::Try(16.0));
        // Of 250/s 180 are left, or 240 as it turns out: one worker of 4 ms.
        let lower = Measured { in_flight: 16.0, rate: 180.0, latency: 0.064, ..full(0.256) };
        let second = opening.measured(16.0, &lower, few, price);
        assert_eq!(second, Next::Longer(TURNOVERS_SURE));
        let longer = Measured { rate: 240.0, turnovers: TURNOVERS_SURE, ..lower };
        let third = opening.measured(16.0, &longer, few, price);
        assert!(matches!(third, Next::Try(limit) if limit < 8.0), "{third:?}");
    }
}
