//! What a commit costs: S(b) = s0 + s1 * b.
//!
//! The two terms are measured separately, because a regression of S on b is
//! ill-conditioned as soon as every batch is full: s0 is the time of the flush,
//! s1 the time of everything else divided by the units committed. An estimate
//! follows its samples as an exponentially weighted mean, and no single sample,
//! however wild, counts for more than four times the estimate or less than a
//! quarter of it: one stall of the disk is not a slower disk, ten are.

use core::time::Duration;

use crate::write::config::WriteGateConfig;

/// One finished commit, as the committer measured it.
#[derive(Clone, Copy, Debug)]
pub struct CommitSample {
    /// What the batch held, in the gate's units.
    pub units: u32,
    /// How long the flush took.
    pub flush: Duration,
    /// How long everything else took: encoding, writing, applying.
    pub work: Duration,
}

/// Weight of a new sample.
const ALPHA: f64 = 0.2;
/// How far a single sample can be believed to lie from the estimate.
const OUTLIER: f64 = 4.0;
/// Commits before the estimates are trusted with the batch size.
const COMMITS_MIN: u32 = 3;

/// The model of the disk and, derived from it, the load line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Model {
    /// Seconds per flush.
    s0: f64,
    /// Seconds per unit.
    s1: f64,
    commits: u32,
}

impl Model {
    pub(crate) fn learn(&mut self, sample: &CommitSample) {
        let flush = sample.flush.as_secs_f64();
        let per_unit = sample.work.as_secs_f64() / f64::from(sample.units.max(1));
        if self.commits == 0 {
            (self.s0, self.s1) = (flush, per_unit);
        } else {
            self.s0 = follow(self.s0, flush);
            self.s1 = follow(self.s1, per_unit);
        }
        self.commits = self.commits.saturating_add(1);
    }

    /// S(b) in seconds.
    pub(crate) fn service(&self, units: u32) -> f64 {
        self.s0 + self.s1 * f64::from(units)
    }

    /// B_eff = min(B, k f / (1 - f), (D/3 - s0) / s1) with k = s0 / s1, in
    /// units. B until [`COMMITS_MIN`] commits are measured.
    ///
    /// The throughput of batches of b is b / (b + k) of the asymptotic one, so
    /// at k f / (1 - f) a fraction f of it is reached; the third term keeps a
    /// commit, and the one before it and the one waiting, within the time that
    /// clients wait.
    pub(crate) fn batch_effective(&self, config: &WriteGateConfig) -> u32 {
        let max = config.batch_units_max;
        if self.commits < COMMITS_MIN || self.s1 <= 0.0 {
            return max;
        }
        let knee = self.s0 / self.s1 * config.efficiency / (1.0 - config.efficiency);
        let patience = (config.deadline.as_secs_f64() / 3.0 - self.s0) / self.s1;
        // A cast from f64 saturates, and NaN becomes 0: both end at one unit.
        (knee.min(patience).ceil().max(1.0) as u32).min(max)
    }

    /// The service rate in units per second when every batch holds `batch`;
    /// zero as long as nothing is known, so that nothing is built on it.
    pub(crate) fn rate(&self, batch: u32) -> f64 {
        let service = self.service(batch);
        if service > 0.0 { f64::from(batch) / service } else { 0.0 }
    }

    pub(crate) const fn flush_seconds(&self) -> f64 {
        self.s0
    }

    pub(crate) const fn unit_seconds(&self) -> f64 {
        self.s1
    }
}

fn follow(estimate: f64, sample: f64) -> f64 {
    // An estimate of zero would clamp every sample to zero for ever.
    let floor = 1e-9;
    let believed = sample.clamp(estimate / OUTLIER, (estimate * OUTLIER).max(floor));
    estimate + ALPHA * (believed - estimate)
}
