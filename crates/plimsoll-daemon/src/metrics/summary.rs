//! Quantiles over the last ten to twenty seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// How long values are collected before they become the older half.
const HALF: Duration = Duration::from_secs(10);
/// Values are kept in thousandths: microseconds of a millisecond.
const SCALE: f64 = 1000.0;
/// An hour in microseconds; larger values count as this.
const VALUE_MAX: u64 = 3_600_000_000;

/// A summary as it is published.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Digest {
    /// 0.5, 0.9 and 0.99 quantile of the recent values.
    pub quantiles: [f64; 3],
    /// Of all values since the start.
    pub sum: f64,
    /// Of all values since the start.
    pub count: u64,
}

/// Latencies in milliseconds, or other positive values.
#[derive(Debug)]
pub struct Summary(Mutex<Halves>);

#[derive(Debug)]
struct Halves {
    young: Histogram<u64>,
    old: Histogram<u64>,
    turned: Instant,
    sum: f64,
    count: u64,
}

impl Default for Summary {
    fn default() -> Self {
        // Two digits are plenty for a dashboard and keep a histogram small.
        let empty = Histogram::new_with_max(VALUE_MAX, 2).unwrap_or_else(|_| auto());
        let turned = now();
        Self(Mutex::new(Halves { young: empty.clone(), old: empty, turned, sum: 0.0, count: 0 }))
    }
}

impl Summary {
    /// Counts a latency.
    pub fn record(&self, elapsed: Duration) {
        self.record_value(elapsed.as_secs_f64() * 1000.0);
    }

    /// Counts a value that is no latency.
    pub fn record_value(&self, value: f64) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.turn(now());
        halves.young.saturating_record((value * SCALE) as u64);
        halves.sum += value;
        halves.count += 1;
    }

    /// What is published.
    pub fn digest(&self) -> Digest {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.turn(now());
        let mut recent = halves.old.clone();
        if recent.add(&halves.young).is_err() {
            recent = halves.young.clone();
        }
        let quantile = |q| recent.value_at_quantile(q) as f64 / SCALE;
        Digest {
            quantiles: [quantile(0.5), quantile(0.9), quantile(0.99)],
            sum: halves.sum,
            count: halves.count,
        }
    }
}

impl Halves {
    fn turn(&mut self, now: Instant) {
        let age = now.duration_since(self.turned);
        if age < HALF {
            return;
        }
        core::mem::swap(&mut self.young, &mut self.old);
        self.young.reset();
        if age >= 2 * HALF {
            self.old.reset();
        }
        self.turned = now;
    }
}

#[expect(clippy::disallowed_methods, reason = "dashboards tell wall time from the real clock")]
fn now() -> Instant {
    Instant::now()
}

fn auto() -> Histogram<u64> {
    // Bounds that are constants are valid or not for good; this is the fallback
    // that the constructor's signature asks for.
    Histogram::new(2).unwrap_or_else(|_| unreachable!("two significant digits are valid"))
}
