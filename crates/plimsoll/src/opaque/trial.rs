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
/// Chance in one difference over the step: measured longer above, shorter below.
const NOISE: (f64, f64) = (0.15, 0.4);
/// Standard errors that a difference must exceed.
const SURE: f64 = 1.0;
/// What chance is taken for at first: the standard deviation of one elasticity.
const CHANCE: f64 = 0.25;
/// Limits closer than this, as a logarithm, tell nothing.
const APART_MIN: f64 = 0.05;
/// Differences that the estimate of chance remembers.
const CHANCE_WEIGHT: f64 = 0.2;
/// Standard deviations that count of one that is further off, and the least of these.
const OUTLIER: f64 = 2.0;
const CHANCE_MIN: f64 = 0.05;
/// So many differences are enough to tell.
const DIFFERENCES_MAX: f64 = 24.0;
/// Fewer say nothing.
const DIFFERENCES_MIN: f64 = 2.0;
/// So many moves in one direction make the step larger.
const STREAK: u32 = 2;

/// Where the pair is to move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Move {
    Stay,
    Up(f64),
    Down(f64),
}

/// Two limits and what is known of their difference.
#[derive(Debug)]
pub(crate) struct Trial {
    step: usize,
    upper: bool,
    limits: (u32, u32),
    /// Logarithms of the last number in flight and of its goodput, if that was
    /// under the other limit.
    last: Option<(f64, f64)>,
    /// How far apart the two were of late, as a logarithm.
    apart: f64,
    turnovers: f64,
    differences: f64,
    sum: f64,
    variance: f64,
    rising: bool,
    streak: u32,
}

impl Trial {
    pub(crate) const fn new() -> Self {
        Self {
            step: 1,
            upper: true,
            limits: (1, 2),
            last: None,
            apart: 0.0,
            turnovers: TURNOVERS.0,
            differences: 0.0,
            sum: 0.0,
            variance: CHANCE * CHANCE,
            rising: false,
            streak: 0,
        }
    }

    /// The limit whose turn it is, of the two around `center`.
    pub(crate) fn limit(&mut self, center: f64, limit_max: f64) -> u32 {
        let half = STEPS[self.step].sqrt();
        let lower = (center / half).round().clamp(1.0, limit_max);
        let upper = (center * half).round().clamp(1.0, limit_max).max(lower + 1.0);
        self.limits = (lower as u32, upper as u32);
        if self.upper { self.limits.1 } else { self.limits.0 }
    }

    /// Turnovers to measure over.
    pub(crate) const fn turnovers(&self) -> f64 {
        self.turnovers
    }

    /// The limit whose turn it was had so many in flight and that goodput, both as
    /// logarithms; `price` is the least elasticity worth having.
    pub(crate) fn measured(&mut self, in_flight: f64, goodput: f64, price: f64) -> Move {
        let before = self.last.replace((in_flight, goodput));
        let upper = self.upper;
        self.upper = !upper;
        let Some(before) = before else { return Move::Stay };
        let sign = if upper { 1.0 } else { -1.0 };
        self.apart = sign * (in_flight - before.0);
        if self.apart < APART_MIN {
            return Move::Stay;
        }
        // An elasticity beyond these is a stall or another change.
        let elasticity = sign * (goodput - before.1) / self.apart;
        self.learn(elasticity.clamp(-1.0, 2.0));
        self.decide(price)
    }

    fn learn(&mut self, elasticity: f64) {
        if self.differences > 0.0 {
            // One outlier says little about the rest.
            let off = (elasticity - self.sum / self.differences).powi(2);
            let off = off.min(OUTLIER * OUTLIER * self.variance.max(CHANCE_MIN * CHANCE_MIN));
            self.variance += CHANCE_WEIGHT * (off - self.variance);
        }
        let noise = self.variance.sqrt();
        if noise > NOISE.1 {
            self.turnovers = (self.turnovers * 1.5).min(TURNOVERS.1);
        } else if noise < NOISE.0 {
            self.turnovers = (self.turnovers / 1.5).max(TURNOVERS.0);
        }
        self.differences += 1.0;
        self.sum += elasticity;
    }

    fn decide(&mut self, price: f64) -> Move {
        if self.differences < DIFFERENCES_MIN {
            return Move::Stay;
        }
        let elasticity = self.sum / self.differences;
        // Neighbouring differences share a measurement: they are not independent.
        let error = (2.0 * self.variance / self.differences).sqrt();
        if (elasticity - price).abs() < SURE * error {
            if self.differences < DIFFERENCES_MAX {
                return Move::Stay;
            }
            // So long, and nothing to show that less would cost anything.
            let ratio = STEPS[self.step].sqrt();
            self.moved(false, false);
            return Move::Down(ratio);
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
            match trial.measured(limit.ln(), goodput(limit).ln(), price) {
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
