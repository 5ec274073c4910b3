//! Two limits that take turns.
//!
//! Neighbouring measurements differ by the limit and by chance; whatever else
//! changes, changes slowly. So the difference of their goodputs, taken again and
//! again with alternating signs, is what the limit makes. It is compared with what it
//! should be to be worth its price, and the pair moves when the difference is larger
//! than chance explains.

/// Steps between the two limits, as powers of two: large while the way is long.
const STEPS: [f64; 3] = [2.0, core::f64::consts::SQRT_2, 1.189_207_115_002_721];
/// Turnovers in a measurement, at least and at most.
const TURNOVERS: (f64, f64) = (3.0, 16.0);
/// Standard deviation of one elasticity: measured longer above, shorter below.
const CHANCE: (f64, f64) = (0.15, 0.4);
/// Elasticities lie about so far apart: chance beyond that says ever less.
const SPREAD: f64 = 0.2;
/// Limits closer than this, as a logarithm, tell nothing.
const APART_MIN: f64 = 0.05;
/// Fewer differences say nothing, and so many are enough.
const DIFFERENCES: (f64, f64) = (2.0, 12.0);
/// If these cannot tell, half a step is taken to where so many standard errors point.
const LIKELY: f64 = 0.5;
/// So many moves in one direction make the step larger.
const STREAK: u32 = 2;

/// Where the pair is to move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Move {
    Stay,
    Up(f64),
    Down(f64),
}

/// What one of the two limits did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Logarithms of the number in flight,
    pub(crate) in_flight: f64,
    /// and of the goodput,
    pub(crate) goodput: f64,
    /// and what chance does to that.
    pub(crate) variance: f64,
}

/// Two limits and what is known of their difference.
#[derive(Debug)]
pub(crate) struct Trial {
    step: usize,
    upper: bool,
    /// What the other limit did.
    last: Option<Seen>,
    turnovers: f64,
    differences: f64,
    sum: f64,
    /// Of one difference.
    variance: f64,
    rising: bool,
    streak: u32,
}

impl Trial {
    pub(crate) const fn new() -> Self {
        Self {
            step: 1,
            upper: true,
            last: None,
            turnovers: TURNOVERS.0,
            differences: 0.0,
            sum: 0.0,
            variance: 0.0,
            rising: false,
            streak: 0,
        }
    }

    /// The limit whose turn it is, of the two around `center`.
    pub(crate) fn limit(&self, center: f64, limit_max: f64) -> u32 {
        let half = STEPS[self.step].sqrt();
        let lower = (center / half).round().clamp(1.0, limit_max);
        let upper = (center * half).round().clamp(1.0, limit_max).max(lower + 1.0);
        (if self.upper { upper } else { lower }) as u32
    }

    /// Turnovers to measure over.
    pub(crate) const fn turnovers(&self) -> f64 {
        self.turnovers
    }

    /// The limit whose turn it was did that; `price` is the least elasticity worth
    /// having.
    pub(crate) fn measured(&mut self, seen: Seen, price: f64) -> Move {
        let upper = self.upper;
        self.upper = !upper;
        let Some(before) = self.last.replace(seen) else { return Move::Stay };
        let sign = if upper { 1.0 } else { -1.0 };
        let apart = sign * (seen.in_flight - before.in_flight);
        if apart < APART_MIN {
            return Move::Stay;
        }
        let elasticity = sign * (seen.goodput - before.goodput) / apart;
        // Beyond these it is a stall or another change.
        self.sum += elasticity.clamp(-1.0, 2.0);
        self.differences += 1.0;
        self.variance = (seen.variance + before.variance) / (apart * apart);
        self.lengthen();
        self.decide(price)
    }

    /// Measures longer where chance is large.
    fn lengthen(&mut self) {
        let chance = self.variance.sqrt();
        if chance > CHANCE.1 {
            self.turnovers = (self.turnovers * 1.5).min(TURNOVERS.1);
        } else if chance < CHANCE.0 {
            self.turnovers = (self.turnovers / 1.5).max(TURNOVERS.0);
        }
    }

    fn decide(&mut self, price: f64) -> Move {
        if self.differences < DIFFERENCES.0 {
            return Move::Stay;
        }
        let elasticity = self.sum / self.differences;
        // Neighbouring differences share a measurement: they are not independent.
        let error = (2.0 * self.variance / self.differences).sqrt();
        // One standard error of the likely elasticity, which is drawn towards the price
        // by as much as chance exceeds what elasticities can differ by.
        if (elasticity - price).abs() < error * 1.0_f64.hypot(error / SPREAD) {
            if self.differences < DIFFERENCES.1 {
                return Move::Stay;
            }
            let off = (elasticity - price) / error;
            if error > SPREAD && self.step > 0 {
                // No number of them will tell: limits further apart may.
                self.step -= 1;
            } else if off.abs() >= LIKELY {
                let ratio = STEPS[self.step].sqrt();
                self.moved(off > 0.0, false);
                return if off > 0.0 { Move::Up(ratio) } else { Move::Down(ratio) };
            }
            // What was seen so long ago counts half.
            self.differences /= 2.0;
            self.sum /= 2.0;
            return Move::Stay;
        }
        let (rising, ratio) = (elasticity > price, STEPS[self.step]);
        // The knee lies between the two where goodput rose only a part of the way.
        let part =
            if rising { ((elasticity - price) / (1.0 - price)).clamp(0.25, 1.0) } else { 1.0 };
        self.moved(rising, part > 0.7);
        if rising { Move::Up(ratio.powf(part)) } else { Move::Down(ratio) }
    }

    fn moved(&mut self, rising: bool, far: bool) {
        (self.differences, self.sum) = (0.0, 0.0);
        let again = self.streak > 0 && rising == self.rising;
        self.streak = if again { self.streak + 1 } else { 1 };
        self.rising = rising;
        if far && self.streak >= STREAK {
            self.step = self.step.saturating_sub(1);
            self.streak = 1;
        } else if !again || !far {
            self.step = (self.step + 1).min(STEPS.len() - 1);
        }
        self.last = None;
        self.upper = rising;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit that a noiseless upstream of that goodput is given after a while.
    fn found(goodput: impl Fn(f64) -> f64, price: f64, start: f64) -> f64 {
        let (mut trial, mut center) = (Trial::new(), start);
        for _ in 0..200 {
            let limit = f64::from(trial.limit(center, 4096.0));
            let (in_flight, goodput) = (limit.ln(), goodput(limit).ln());
            match trial.measured(Seen { in_flight, goodput, variance: 0.0 }, price) {
                Move::Stay => {}
                Move::Up(ratio) => center *= ratio,
                Move::Down(ratio) => center = (center / ratio).max(1.0),
            }
        }
        center
    }

    #[test]
    fn the_limit_goes_where_more_of_it_brings_nothing() {
        for workers in [1.0, 4.0, 20.0, 300.0] {
            for start in [1.0, 30.0, 1_000.0] {
                let found = found(|limit| limit.min(workers), 0.05, start);
                assert!((0.6..=2.0).contains(&(found / workers)), "{workers} {start}: {found}");
            }
        }
    }

    #[test]
    fn a_gentle_rise_is_followed_as_far_as_it_is_worth_its_price() {
        // Elasticity 10 / (10 + limit): 0.2 at 40, 0.1 at 90.
        let goodput = |limit: f64| limit / (10.0 + limit);
        let [dear, cheap] = [0.2, 0.1].map(|price| found(goodput, price, 30.0));
        assert!((30.0..=55.0).contains(&dear), "{dear}");
        assert!((65.0..=120.0).contains(&cheap), "{cheap}");
    }

    #[test]
    fn a_limit_that_harms_is_lowered() {
        let found = found(|limit| limit.min(8.0) / (1.0 + 0.02 * limit), 0.05, 200.0);
        assert!((5.0..=12.0).contains(&found), "{found}");
    }
}
