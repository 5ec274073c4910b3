//! Where to begin: what the first turnovers with all places taken tell.
//!
//! As long as requests take no longer than before there is room for twice as many.
//! Else they wait for each other: that limit and a lower one are compared
//! ([`Contrast`]), and the lower one with one lower still, until it is known between
//! which two it lies how many more in flight are worth their price.

use crate::opaque::contrast::{Contrast, Few, Side, Turn, Verdict};
use crate::opaque::epoch::Measured;
use crate::opaque::price::Price;

/// A latency that did not rise by more than this with all places taken says that
/// there is room for more.
const UNSTRAINED: f64 = 0.8;
/// So many times as many as were not merely waiting, as Little's law counts them, are
/// taken to be needed.
const GUESS: f64 = 2.0;
/// Two limits that are compared are at least and at most so far apart.
const APART: (f64, f64) = (2.0, 4.0);
/// Answers come in clumps if the squared coefficient of variation of the time that a
/// quarter of a turnover takes exceeds that of arrivals at random by so much.
const CLUMPS: f64 = 1.0;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Next {
    /// Measure,
    Try(Turn),
    /// or begin the trial around this limit.
    Begin(f64),
}

/// The limits that bound so far.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The last one that left room for more, and its goodput.
    proven: Option<(f64, f64)>,
    contrast: Option<Contrast>,
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
        let Some(contrast) = &mut self.contrast else {
            return self.rise(center, measured, few, price);
        };
        contrast.measured(center, measured);
        match contrast.verdict(few, price) {
            Verdict::Open => {}
            Verdict::At(limit) => return Next::Begin(limit),
            Verdict::Below => contrast.descend(APART.1),
        }
        Next::Try(contrast.next(center))
    }

    /// The higher of two limits that are being compared: nobody is to meet the lower one
    /// while no storm asks for an answer.
    pub(crate) fn highest(&self) -> Option<f64> {
        self.contrast.as_ref().map(Contrast::highest)
    }

    fn rise(&mut self, center: f64, measured: &Measured, few: Few, price: Price) -> Next {
        // Where answers come in clumps the smaller of two ways to take the rate is the
        // better one, over so short a time.
        let rate = measured.rate.min(measured.in_flight / measured.latency);
        let guess = rate * few.latency * GUESS;
        if let Some((before, most)) = self.proven {
            if measured.clumps > CLUMPS && guess < center {
                return Next::Begin(center);
            }
            if rate < UNSTRAINED * 2.0 * most {
                // Twice as many brought little.
                if price.is_shared() {
                    return self.compare(center, guess, measured);
                }
                return Next::Begin(before * (rate / most).max(1.0));
            }
        }
        // If a storm was the first that came, nobody found few. No others are to pay for that.
        let is_unknown =
            few.latency <= 0.0 && !price.is_shared() && !price.is_late(measured.latency);
        if is_unknown || guess >= UNSTRAINED * center {
            self.proven = Some((center, rate));
            return Next::Try(Turn { limit: center * 2.0, turnovers: 1.0 });
        }
        if center < APART.0 {
            return Next::Begin(center);
        }
        self.compare(center, guess, measured)
    }

    fn compare(&mut self, center: f64, guess: f64, measured: &Measured) -> Next {
        let low = guess.clamp(center / APART.1, center / APART.0);
        let contrast = Contrast::new(low, Side::new(center, measured));
        let next = contrast.next(center);
        self.contrast = Some(contrast);
        Next::Try(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: f64 = 5.0;

    /// Where an upstream begins of which that many take so many seconds.
    fn found(seconds: impl Fn(f64) -> f64, few: f64) -> f64 {
        found_from(64.0, seconds, few)
    }

    fn found_from(mut center: f64, seconds: impl Fn(f64) -> f64, few: f64) -> f64 {
        let mut opening = Opening::default();
        let few = Few { in_flight: few, latency: seconds(few) };
        for _ in 0..100 {
            let measured = Measured::steady(center, seconds(center));
            match opening.measured(center, &measured, few, Price::new(PATIENCE)) {
                Next::Try(turn) => center = turn.limit,
                Next::Begin(limit) => return limit,
            }
        }
        panic!("never over: {opening:?}");
    }

    #[test]
    fn workers_are_found_wherever_their_number_lies() {
        for workers in [1.0, 2.0, 10.0, 50.0, 300.0] {
            let found = found(|n| 0.01 * (n / workers).max(1.0), workers / 2.0);
            assert!((0.9..=2.1).contains(&(found / workers)), "{workers}: {found}");
        }
    }

    #[test]
    fn where_nothing_lower_exists_nothing_is_compared() {
        for center in [1.0, 2.0, 3.0] {
            let found = found_from(center, |n| 0.01 * n, 0.1);
            assert!((1.0..=center).contains(&found), "{center}: {found}");
        }
    }

    #[test]
    fn goodput_that_rises_gently_is_given_what_it_is_worth() {
        // A processor that answers 380 alone and 870 per second with 64 in flight.
        let found = found(|n| n.powf(0.8) / 380.0, 1.0);
        assert!((30.0..=64.0).contains(&found), "{found}");
    }

    #[test]
    fn a_batch_has_room_for_as_many_as_its_latency_is_worth() {
        let (flush, item) = (0.012, 0.001_2);
        let found = found(|n| flush + item * n, 2.0);
        let price = Price::new(PATIENCE);
        let worth = (price.worth(flush) - flush) / item;
        assert!((0.8..=1.25).contains(&(found / worth)), "{found} {worth}");
    }
}
