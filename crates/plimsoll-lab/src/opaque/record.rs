//! What happened in a run.

use hdrhistogram::Histogram;

use crate::sim::Bin;

const BINS: f64 = 240.0;
const HOUR_US: u64 = 3_600_000_000;

/// What became of a group's requests while it counts.
#[derive(Clone, Debug, Default)]
pub struct GroupRecord {
    /// Its name.
    pub name: String,
    /// Requests,
    pub requests: u64,
    /// and those answered in time.
    pub good: u64,
}

/// Everything the scores need.
#[derive(Debug)]
pub struct Record {
    /// The length of a bin, in seconds.
    pub bin_seconds: f64,
    /// What the plots show.
    pub bins: Vec<Bin>,
    /// By group of clients.
    pub groups: Vec<GroupRecord>,
    /// Answers to clients who still waited, in microseconds from arrival.
    pub latency_us: Histogram<u64>,
    /// Requests that began while it counts,
    pub requests: u64,
    /// of these refused, at once or later,
    pub refused: u64,
    /// given up by the client,
    pub timeouts: u64,
    /// answered with an error by the upstream,
    pub failed: u64,
    /// and answered in time.
    pub good: u64,
    /// Steps of the simulation.
    pub events: u64,
    in_bin: Histogram<u64>,
    bin: usize,
}

fn histogram() -> Histogram<u64> {
    // The limits are constants that the library takes.
    Histogram::new_with_bounds(1, HOUR_US, 3).unwrap_or_else(|_| Histogram::new(3).expect("valid"))
}

impl Record {
    pub(super) fn new<'a>(seconds: f64, groups: impl Iterator<Item = &'a String>) -> Self {
        Self {
            bin_seconds: seconds / BINS,
            bins: vec![Bin::default(); BINS as usize + 1],
            groups: groups
                .map(|name| GroupRecord { name: name.clone(), ..Default::default() })
                .collect(),
            latency_us: histogram(),
            requests: 0,
            refused: 0,
            timeouts: 0,
            failed: 0,
            good: 0,
            events: 0,
            in_bin: histogram(),
            bin: 0,
        }
    }

    pub(super) fn bin(&mut self, now: u64) -> &mut Bin {
        let index = ((now as f64 / 1e9 / self.bin_seconds) as usize).min(self.bins.len() - 1);
        if index != self.bin {
            self.close_bin();
            self.bin = index;
        }
        &mut self.bins[index]
    }

    pub(super) fn in_time(&mut self, latency: u64) {
        self.in_bin.saturating_record(latency / 1_000);
    }

    pub(super) fn close_bin(&mut self) {
        if !self.in_bin.is_empty() {
            let bin = &mut self.bins[self.bin];
            bin.p50 = self.in_bin.value_at_quantile(0.5) as f64 / 1e6;
            bin.p99 = self.in_bin.value_at_quantile(0.99) as f64 / 1e6;
            self.in_bin.reset();
        }
    }
}
