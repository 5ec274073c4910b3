//! Two limits far apart that take turns, until it is known what lies between them.
//!
//! What chance does to one turnover is unknown, and it may last: a collector of garbage
//! halves the speed of its server for a hundred milliseconds, several times a second.
//! So both are measured again and again, over as many ends each, until the standard
//! error of what they differ by leaves little to choose, or patience ends. Limits far
//! apart differ by much, which is why this is sooner known than the slope between
//! neighbours.
//!
//! What lies between is taken from a straight line of latency over the number in flight,
//! through few, the low limit and the high one: a worker's is one beyond its knee, and a
//! batch's is one from the beginning.

use crate::opaque::epoch::Measured;
use crate::opaque::price::Price;

/// Parts of a caller's patience: what is shorter than the first may be a pause, and for
/// longer than the second a limit that may be too high is not kept to be certain.
const PATIENCE: (f64, f64) = (0.1, 0.4);
/// Certain enough: the limit is known within this factor.
const CERTAIN: f64 = 2.0;
/// As if it had been seen once that turnovers vary by so much.
const CHANCE: f64 = 0.1;
/// Requests that take less than so many times what few take have hardly waited.
const STRAINED: f64 = 2.5;

/// The mean latency of those that found few in flight, and how many that were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Few {
    pub(crate) latency: f64,
    pub(crate) in_flight: f64,
}

/// The limit that is to be measured, and over how many turnovers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) limit: f64,
    pub(crate) turnovers: f64,
}

/// A limit, and how many seconds a turnover under it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    limit: f64,
    count: f64,
    mean: f64,
    squares: f64,
    /// How long that was measured for.
    seconds: f64,
}

impl Side {
    const fn unknown(limit: f64) -> Self {
        Self { limit, count: 0.0, mean: 0.0, squares: 0.0, seconds: 0.0 }
    }

    pub(crate) fn new(limit: f64, measured: &Measured) -> Self {
        let mut side = Self::unknown(limit);
        side.measured(measured);
        side
    }

    fn measured(&mut self, measured: &Measured) {
        // Little: a place is free again after so long. The mean latency of those that
        // ended is less as long as places are being filled.
        let turnover = measured.in_flight / measured.rate;
        self.count += 1.0;
        let off = turnover - self.mean;
        self.mean += off / self.count;
        self.squares += off * (turnover - self.mean);
        // Those that another limit had let in ended first.
        self.seconds += measured.turnovers * turnover + measured.latency;
    }

    fn relative_squares(&self) -> f64 {
        self.squares / (self.mean * self.mean)
    }
}

/// What the two show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Open,
    /// Not even as many as the low one allows are worth their price.
    Below,
    /// So many are.
    At(f64),
}

/// Two limits and what is known of them.
#[derive(Debug)]
pub(crate) struct Contrast {
    low: Side,
    high: Side,
    /// How long limits have been compared for.
    seconds: f64,
}

impl Contrast {
    pub(crate) const fn new(low: f64, high: Side) -> Self {
        Self { low: Side::unknown(low.round().max(1.0)), high, seconds: high.seconds }
    }

    /// The low one is the high one from now on.
    pub(crate) fn descend(&mut self, apart: f64) {
        let low = (self.low.limit / apart).round().max(1.0);
        (self.high, self.low) = (self.low, Side::unknown(low));
    }

    pub(crate) const fn highest(&self) -> f64 {
        self.high.limit
    }

    /// Whose turn it is after `limit`.
    pub(crate) fn next(&self, limit: f64) -> Turn {
        let (low, high) = (self.low.limit, self.high.limit);
        if limit == high {
            Turn { limit: low, turnovers: (high / low).round() }
        } else {
            Turn { limit: high, turnovers: 1.0 }
        }
    }

    pub(crate) fn measured(&mut self, limit: f64, measured: &Measured) {
        let side = if limit == self.high.limit { &mut self.high } else { &mut self.low };
        let before = side.seconds;
        side.measured(measured);
        self.seconds += side.seconds - before;
    }

    pub(crate) fn verdict(&self, few: Few, price: Price) -> Verdict {
        if self.low.count == 0.0 {
            return Verdict::Open;
        }
        let (low, high) = (self.low.limit, self.high.limit);
        let error = self.error();
        let [closer, likely, further] = [-error, 0.0, error].map(|off| self.worth(few, price, off));
        // Which way it goes depends on whether the low one is strained, if that is in doubt.
        let least = closer.min(likely).min(further);
        let most = closer.max(likely).max(further);
        let passed = self.seconds / price.patience();
        let is_certain = most <= low || most <= CERTAIN * least;
        // To stay where it is harms nobody, even if it was a pause.
        let may_be_pause = passed < PATIENCE.0 && least < high;
        // In doubt nobody else is made to wait.
        let is_harm = price.is_shared() && self.low.mean > price.worth(few.latency);
        if may_be_pause || !is_certain && passed < PATIENCE.1 {
            Verdict::Open
        } else if low > 1.0 && low > if is_harm { least } else { likely } {
            Verdict::Below
        } else {
            Verdict::At(likely.max(low))
        }
    }

    /// The standard error of the logarithm of the ratio of both latencies.
    fn error(&self) -> f64 {
        let Self { low, high, .. } = self;
        let squares = low.relative_squares() + high.relative_squares() + CHANCE * CHANCE;
        let variance = squares / (low.count + high.count - 1.0);
        (variance * (1.0 / low.count + 1.0 / high.count)).sqrt()
    }

    /// Up to which limit more in flight are worth their price, if the latencies are
    /// closer by `off`, as a logarithm, than they seem to be.
    fn worth(&self, few: Few, price: Price, off: f64) -> f64 {
        let low = (self.low.limit, self.low.mean * (off / 2.0).exp());
        let high = (self.high.limit, self.high.mean * (-off / 2.0).exp());
        if low.1 < STRAINED * few.latency {
            // So many would do, at the latency of the low one, what the high one does.
            return (high.0 / high.1 * low.1).clamp(low.0, high.0);
        }
        let few = (few.in_flight, few.latency);
        let has_few = few.1 > 0.0 && few.0 < low.0 && few.1 < low.1;
        let points = [few, low, high];
        let (idle, slope) = line(if has_few { &points } else { &points[1..] });
        ((price.worth(idle) - idle) / slope).min(high.0)
    }
}

/// The straight line through the points, by least squares: its value at none, never
/// negative, and its slope, always positive.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let part = 1.0 / points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + part * p.0, sum.1 + part * p.1));
    let (xx, xy) = points
        .iter()
        .fold((0.0, 0.0), |sum, p| (sum.0 + (p.0 - x).powi(2), sum.1 + (p.0 - x) * (p.1 - y)));
    let slope = (xy / xx).max(f64::MIN_POSITIVE.sqrt());
    ((y - slope * x).max(0.0), slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_points_on_a_line_is_that_line() {
        let (idle, slope) = line(&[(1.0, 5.0), (16.0, 35.0), (64.0, 131.0)]);
        assert!((idle - 3.0).abs() < 1e-9 && (slope - 2.0).abs() < 1e-9, "{idle} {slope}");
    }

    #[test]
    fn both_are_measured_over_as_many_ends() {
        let contrast = Contrast::new(16.0, Side::new(64.0, &Measured::steady(64.0, 0.1)));
        assert_eq!(contrast.next(64.0), Turn { limit: 16.0, turnovers: 4.0 });
        assert_eq!(contrast.next(16.0), Turn { limit: 64.0, turnovers: 1.0 });
    }

    #[test]
    fn a_pause_decides_nothing() {
        // 4 workers of 5 ms, and the high limit was measured while they paused.
        let few = Few { in_flight: 2.0, latency: 0.005 };
        let mut contrast = Contrast::new(16.0, Side::new(64.0, &Measured::steady(64.0, 0.16)));
        contrast.measured(16.0, &Measured::steady(16.0, 0.02));
        assert!(matches!(contrast.verdict(few, Price::new(5.0)), Verdict::Open));
    }

    #[test]
    fn chance_is_measured_until_patience_ends() {
        let few = Few { in_flight: 1.5, latency: 0.004 };
        let mut contrast = Contrast::new(16.0, Side::new(64.0, &Measured::steady(64.0, 0.05)));
        let mut turns = 0;
        while matches!(contrast.verdict(few, Price::new(5.0)), Verdict::Open) {
            let (low, high) = if turns % 2 == 0 { (0.012, 0.04) } else { (0.03, 0.12) };
            contrast.measured(16.0, &Measured::steady(16.0, low));
            contrast.measured(64.0, &Measured::steady(64.0, high));
            turns += 1;
        }
        assert!((5..=12).contains(&turns), "{turns}");
    }
}
