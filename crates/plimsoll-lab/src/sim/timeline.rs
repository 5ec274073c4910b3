//! What a plot shows of a run: one point for each stretch of time.

use hdrhistogram::Histogram;

const BINS: f64 = 240.0;
/// Three digits from a microsecond to an hour; wilder values count as that.
const HOUR_US: u64 = 3_600_000_000;

/// One stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bin {
    /// Units asked for, retries included.
    pub offered: u64,
    /// Units refused.
    pub refused: u64,
    /// Units answered in time.
    pub good: u64,
    /// Units served too late for anybody to want them.
    pub wasted: u64,
    /// Median time to an answer in time, in seconds.
    pub p50: f64,
    /// 99th percentile of it, in seconds.
    pub p99: f64,
    /// The most units that waited.
    pub waiting: u64,
}

/// Bins of equal length, filled in the order of time.
#[derive(Debug)]
pub struct Timeline {
    /// The length of a bin, in seconds.
    pub bin_seconds: f64,
    /// The bins, from the beginning of the run.
    pub bins: Vec<Bin>,
    current: usize,
    in_current: Histogram<u64>,
}

impl Timeline {
    pub(crate) fn new(seconds: f64) -> Self {
        Self {
            bin_seconds: seconds / BINS,
            bins: vec![Bin::default(); BINS as usize + 1],
            current: 0,
            in_current: histogram_us(),
        }
    }

    /// The bin of that moment, in nanoseconds; earlier ones are closed.
    pub(crate) fn bin(&mut self, now: u64) -> &mut Bin {
        let index = ((now as f64 / 1e9 / self.bin_seconds) as usize).min(self.bins.len() - 1);
        if index != self.current {
            self.close();
            self.current = index;
        }
        &mut self.bins[index]
    }

    /// An answer in time, after so many nanoseconds, in the current bin.
    pub(crate) fn in_time(&mut self, latency: u64) {
        self.in_current.saturating_record(latency / 1_000);
    }

    /// Works out the quantiles of the current bin.
    pub(crate) fn close(&mut self) {
        if !self.in_current.is_empty() {
            let bin = &mut self.bins[self.current];
            bin.p50 = self.in_current.value_at_quantile(0.5) as f64 / 1e6;
            bin.p99 = self.in_current.value_at_quantile(0.99) as f64 / 1e6;
            self.in_current.reset();
        }
    }
}

/// An empty histogram of times in microseconds.
pub(crate) fn histogram_us() -> Histogram<u64> {
    // The limits are constants that the library takes.
    Histogram::new_with_bounds(1, HOUR_US, 3).unwrap_or_else(|_| Histogram::new(3).expect("valid"))
}
