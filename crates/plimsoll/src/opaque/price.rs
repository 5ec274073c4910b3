//! What latency costs in goodput.

/// Price of latency in goodput, at none and per part of the patience.
const PRICE_MIN: f64 = 0.05;
const PRICE_PER_PATIENCE: f64 = 7.0;
/// Never more: whoever is that patient wants the goodput.
const PRICE_MAX: f64 = 0.25;
/// Where nearly all requests are other gates', latency is so many times dearer: who asks
/// beside a storm is used to be served at once,
const OTHERS_DEARER: f64 = 28.0;
/// and the price so much higher at most.
const OTHERS_PRICE_MAX: f64 = 0.5;
/// They count for what is done first if that part of the requests is theirs.
const OTHERS_MIN: f64 = 0.1;
/// Nobody's patience is tried further than to this part of it.
const LATE: f64 = 0.2;

/// By how many per cent goodput must rise with the limit, per per cent, so that the
/// wait it adds is worth it: p / (1 + p), where p grows with the part of a caller's
/// patience that a mean answer takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Price {
    per_second: f64,
    patience: f64,
    /// The part of all requests that is other gates'.
    others: f64,
}

impl Price {
    /// For callers of so many seconds of patience.
    pub(crate) fn new(patience: f64) -> Self {
        Self { per_second: PRICE_PER_PATIENCE / patience, patience, others: 0.0 }
    }

    /// The same where that part of all requests, 0..=1, is other gates': who asks there waits
    /// behind these.
    pub(crate) fn beside(self, others: f64) -> Self {
        Self { others, ..Self::new(self.patience / (1.0 + OTHERS_DEARER * others)) }
    }

    const fn max(self) -> f64 {
        PRICE_MAX + OTHERS_PRICE_MAX * self.others
    }

    /// Everybody's, in seconds.
    pub(crate) const fn patience(self) -> f64 {
        self.patience
    }

    /// Whether others have to be thought of first.
    pub(crate) const fn is_shared(self) -> bool {
        self.others > OTHERS_MIN
    }

    /// At a mean of so many seconds to an answer.
    pub(crate) fn at(self, latency: f64) -> f64 {
        let price = PRICE_MIN + self.per_second * latency;
        (price / (1.0 + price)).min(self.max())
    }

    /// Whether answers come so late that more in flight would try everybody's patience.
    pub(crate) fn is_late(self, latency: f64) -> bool {
        self.per_second * latency > PRICE_PER_PATIENCE * LATE
    }

    /// The latency up to which more in flight are worth it where latency is a
    /// straight line that begins at `idle`. There the elasticity is idle / latency: a
    /// quadratic equation says where that is the price.
    pub(crate) fn worth(self, idle: f64) -> f64 {
        let half = (PRICE_MIN - self.per_second * idle) / 2.0;
        let root = (half * half + self.per_second * (1.0 + PRICE_MIN) * idle).sqrt();
        ((root - half) / self.per_second).max(idle / self.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_straight_line_the_elasticity_meets_the_price_there() {
        let price = Price::new(5.0);
        for idle in [0.000_1, 0.001, 0.01, 0.1, 1.0] {
            let latency = price.worth(idle);
            assert!((idle / latency - price.at(latency)).abs() < 1e-9, "{idle}: {latency}");
        }
    }
}
