//! How much goodput varies by itself, from one turnover to the next.
//!
//! What two limits do differs by the limit and by chance. How large chance is shows
//! within each measurement, since every turnover of it is a measurement of its own: no
//! comparison needs to be wrong first.
//!
//! Requests that run in step end in clumps and do not vary at all, yet where a turnover
//! begins and ends cuts a clump. So a turnover is taken to be where its ends are on
//! average, and time is measured from one such middle to the next ([`Turnovers`]).

use crate::Timestamp;

/// Gaps that the estimate remembers.
const GAPS_MAX: f64 = 12.0;

/// The times between every so many ends.
#[derive(Debug)]
pub(crate) struct Gaps {
    every: u32,
    ends: u32,
    since: Timestamp,
    count: f64,
    sum: f64,
    squares: f64,
}

impl Gaps {
    pub(crate) const fn new(every: u32) -> Self {
        Self { every, ends: 0, since: Timestamp::ZERO, count: 0.0, sum: 0.0, squares: 0.0 }
    }

    /// The first gap begins.
    pub(crate) const fn begin(&mut self, now: Timestamp) {
        self.since = now;
    }

    pub(crate) fn ended(&mut self, now: Timestamp) {
        self.ends += 1;
        if self.ends < self.every {
            return;
        }
        let gap = now.since(self.since).as_secs_f64();
        (self.ends, self.since) = (0, now);
        self.count += 1.0;
        self.sum += gap;
        self.squares += gap * gap;
    }

    /// Their variance over their squared mean; 0 if there are not two.
    pub(crate) fn variation(&self) -> f64 {
        if self.count < 2.0 || self.sum <= 0.0 {
            return 0.0;
        }
        let mean = self.sum / self.count;
        let variance = (self.squares - self.sum * mean) / (self.count - 1.0);
        (variance / (mean * mean)).max(0.0)
    }
}

/// From the middle of a turnover to that of the next.
#[derive(Debug)]
pub(crate) struct Turnovers {
    ends_each: u32,
    ends: u32,
    /// Seconds of this turnover's ends, summed,
    seconds: f64,
    /// and the middles of the first and the last.
    first: f64,
    last: f64,
    count: f64,
    squares: f64,
}

impl Turnovers {
    pub(crate) const fn new(ends_each: u32) -> Self {
        let (seconds, first, last, count, squares) = (0.0, 0.0, 0.0, 0.0, 0.0);
        Self { ends_each, ends: 0, seconds, first, last, count, squares }
    }

    /// One ended so many seconds after the beginning.
    pub(crate) fn ended(&mut self, seconds: f64) {
        self.ends += 1;
        self.seconds += seconds;
        if self.ends < self.ends_each {
            return;
        }
        let middle = self.seconds / f64::from(self.ends);
        (self.ends, self.seconds) = (0, 0.0);
        if self.count > 0.0 {
            self.squares += (middle - self.last).powi(2);
        } else {
            self.first = middle;
        }
        self.last = middle;
        self.count += 1.0;
    }

    pub(crate) const fn count(&self) -> f64 {
        self.count
    }

    /// Ends per second, if there were two.
    pub(crate) fn rate(&self) -> Option<f64> {
        let span = self.last - self.first;
        (span > 0.0).then(|| (self.count - 1.0) * f64::from(self.ends_each) / span)
    }

    /// The variance of a turnover's length over the squared mean; 0 if there were not
    /// three.
    pub(crate) fn variation(&self) -> f64 {
        let gaps = self.count - 1.0;
        let mean = (self.last - self.first) / gaps;
        if gaps < 2.0 || mean <= 0.0 {
            return 0.0;
        }
        let variance = (self.squares - gaps * mean * mean) / (gaps - 1.0);
        // From middle to middle is smoother, and shares a turnover with the next gap.
        let smooth = (2.0 - 1.0 / gaps) / 3.0;
        (variance / (mean * mean) / smooth).max(0.0)
    }
}

/// What was seen of chance of late: the relative variance of one turnover.
#[derive(Debug, Default)]
pub(crate) struct Chance {
    variance: f64,
    weight: f64,
}

impl Chance {
    pub(crate) fn learn(&mut self, turnovers: f64, variation: f64) {
        let more = turnovers - 1.0;
        if more > 0.0 {
            self.weight = (self.weight + more).min(GAPS_MAX.max(more));
            self.variance += more / self.weight * (variation - self.variance);
        }
    }

    /// The relative variance of a goodput measured over so many turnovers.
    pub(crate) fn over(&self, turnovers: f64) -> f64 {
        // From middle to middle: one less, and of the first and last a third counts.
        let sure = (turnovers - 1.0).max(1.0);
        self.variance * (turnovers - 4.0 / 3.0).max(1.0) / (sure * sure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(ms: impl IntoIterator<Item = u64>) -> Gaps {
        let (mut gaps, mut now) = (Gaps::new(2), 0);
        gaps.begin(Timestamp::ZERO);
        for gap in ms {
            now += gap * 1_000_000;
            gaps.ended(Timestamp::from_nanos(now));
            gaps.ended(Timestamp::from_nanos(now));
        }
        gaps
    }

    #[test]
    fn equal_turnovers_vary_not_at_all() {
        assert!(gaps([10; 5]).variation() < 1e-9);
        assert!(gaps([10]).variation() < 1e-9);
    }

    #[test]
    fn variation_is_the_variance_over_the_squared_mean() {
        let gaps = gaps([5, 15]);
        assert!((gaps.variation() - 0.5).abs() < 1e-9, "{gaps:?}");
    }

    /// Turnovers of two ends each, all at those times.
    fn turnovers(ms: impl IntoIterator<Item = f64>) -> Turnovers {
        let mut turnovers = Turnovers::new(2);
        for ms in ms {
            turnovers.ended(ms / 1_000.0);
            turnovers.ended(ms / 1_000.0);
        }
        turnovers
    }

    #[test]
    fn the_rate_is_that_between_the_middles() {
        let turnovers = turnovers([10.0, 15.0, 30.0]);
        assert!(turnovers.rate().is_some_and(|rate| (rate - 200.0).abs() < 1e-9));
        // 5 and 15 ms: 0.5 over a half.
        assert!((turnovers.variation() - 1.0).abs() < 1e-9, "{turnovers:?}");
    }

    #[test]
    fn where_a_clump_is_cut_matters_little() {
        // Eight end every 10 ms, and a turnover is twenty: two clumps, or three.
        let mut turnovers = Turnovers::new(20);
        (0..100).for_each(|end| turnovers.ended(f64::from(end / 8) / 100.0));
        let rate = turnovers.rate().expect("five turnovers");
        assert!((rate / 800.0 - 1.0).abs() < 0.02, "{rate}");
        assert!(turnovers.variation() < 0.005, "{}", turnovers.variation());
    }

    #[test]
    fn a_longer_measurement_is_the_surer_one() {
        let mut chance = Chance::default();
        chance.learn(3.0, 0.3);
        assert!((chance.over(1.0) - 0.3).abs() < 1e-9);
        assert!((chance.over(3.0) - 0.125).abs() < 1e-9);
    }
}
