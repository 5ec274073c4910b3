//! What a commit costs: S(b) = s0 + s1 * b.
//!
//! Two things are measured per commit, separately: the flush, and the work around
//! it. (A regression of S on b alone is ill-conditioned as soon as every batch is
//! full.) The flush belongs to s0. The work has a part that every batch costs and
//! a part per unit, and a server at rest, whose batches hold one unit each, cannot
//! tell them apart: taking all of it for the cost of a unit would put the load line
//! far too low for the first burst. So the split is measured once, at the start
//! ([`Model::calibrate`]), and from then on what a commit took longer or shorter
//! than predicted is given to each part in the proportion in which it could be
//! responsible: small batches teach the fixed part, large ones the part per unit
//! (a normalised least mean squares step in logarithmic coordinates; without a
//! calibration the fixed part is none, and stays none).
//!
//! No single sample, however wild, counts for more than four times the prediction
//! or less than a quarter of it: one stall of the disk is not a slower disk, ten
//! are.

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

/// What commits cost before anybody's request was among them.
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    /// A flush.
    pub flush: Duration,
    /// The work that every batch costs, whatever it holds.
    pub fixed: Duration,
    /// The work that each unit adds.
    pub per_unit: Duration,
}

/// Weight of a new sample.
const ALPHA: f64 = 0.3;
/// How far a single sample can be believed to lie from the estimate.
const OUTLIER: f64 = 4.0;
/// Commits before the estimates are trusted with the batch size.
const COMMITS_MIN: u32 = 3;
/// The knee is not looked for below as many units.
const KNEE_UNITS_MIN: f64 = 16.0;
/// A batch of as many units is a safe bet on any disk.
const UNSEEN_UNITS: f64 = 64.0;
/// Beyond that, how much larger than any seen of late a batch may be.
const GROWTH: f64 = 4.0;
/// How fast large batches are forgotten, per commit.
const FORGETTING: f64 = 0.9;
/// Below a nanosecond an estimate is none; and one of zero would clamp every
/// sample to zero for ever.
const SECONDS_MIN: f64 = 1e-9;

/// The model of the disk and, derived from it, the load line. In seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Model {
    flush: f64,
    fixed: f64,
    per_unit: f64,
    commits: u32,
    /// The largest batch of late, in units.
    seen: f64,
}

impl Model {
    /// Starts from a measurement instead of from nothing.
    pub(crate) fn calibrate(&mut self, calibration: &Calibration) {
        self.flush = calibration.flush.as_secs_f64();
        self.fixed = calibration.fixed.as_secs_f64();
        self.per_unit = calibration.per_unit.as_secs_f64().max(SECONDS_MIN);
        self.commits = COMMITS_MIN;
    }

    pub(crate) fn learn(&mut self, sample: &CommitSample) {
        let units = f64::from(sample.units.max(1));
        self.seen = units.max(self.seen * FORGETTING);
        let (flush, work) = (sample.flush.as_secs_f64(), sample.work.as_secs_f64());
        if self.commits == 0 {
            (self.flush, self.per_unit) = (flush, work / units);
        } else if self.commits < COMMITS_MIN {
            // The first commits warm caches and files: the cheapest is the disk's.
            self.flush = self.flush.min(flush);
            self.per_unit = self.per_unit.min(work / units);
        } else {
            self.flush += ALPHA * surprise(self.flush, flush);
            self.learn_work(units, work);
        }
        self.commits = self.commits.saturating_add(1);
    }

    fn learn_work(&mut self, units: f64, work: f64) {
        let by_units = (self.per_unit * units).max(SECONDS_MIN);
        let step = ALPHA * surprise(self.fixed + by_units, work);
        let (fixed_share, unit_share) = (self.fixed * self.fixed, by_units * by_units);
        let all = fixed_share + unit_share;
        self.fixed += step * fixed_share / all;
        self.per_unit = (by_units + step * unit_share / all) / units;
    }

    /// S(b) in seconds.
    pub(crate) fn service(&self, units: u32) -> f64 {
        self.batch_seconds() + self.per_unit * f64::from(units)
    }

    /// B_eff = min(B, max(k f / (1 - f), 16), (D/3 - s0) / s1) with k = s0 / s1,
    /// in units. B until [`COMMITS_MIN`] commits are measured.
    ///
    /// The throughput of batches of b is b / (b + k) of the asymptotic one, so
    /// at k f / (1 - f) a fraction f of it is reached; the last term keeps a
    /// commit, and the one before it and the one waiting, within the time that
    /// clients wait. The floor of [`KNEE_UNITS_MIN`] keeps a handful of clients
    /// from being refused where batching gains nothing: it is the last term, not
    /// the knee, that must keep their wait short.
    ///
    /// And a disk that turned slow while batches were small is known by its small
    /// batches only, so the line runs ahead of what was seen by no more than a
    /// factor of [`GROWTH`]: a fast disk is there within a few commits, a slow one
    /// is found out before a thousand requests wait for it.
    pub(crate) fn batch_effective(&self, config: &WriteGateConfig) -> u32 {
        let max = config.batch_units_max;
        if self.commits < COMMITS_MIN || self.per_unit <= 0.0 {
            return max;
        }
        let (s0, s1) = (self.batch_seconds(), self.per_unit);
        let knee = s0 / s1 * config.efficiency / (1.0 - config.efficiency);
        let patience = (config.deadline.as_secs_f64() / 3.0 - s0) / s1;
        // A cast from f64 saturates, and NaN becomes 0: both end at one unit.
        let evidence = (self.seen * GROWTH).max(UNSEEN_UNITS);
        (knee.max(KNEE_UNITS_MIN).min(patience).min(evidence).ceil().max(1.0) as u32).min(max)
    }

    /// The service rate in units per second when every batch holds `batch`;
    /// zero as long as nothing is known, so that nothing is built on it.
    pub(crate) fn rate(&self, batch: u32) -> f64 {
        let service = self.service(batch);
        if service > 0.0 { f64::from(batch) / service } else { 0.0 }
    }

    /// s0: what a batch costs whatever it holds.
    pub(crate) const fn batch_seconds(&self) -> f64 {
        self.flush + self.fixed
    }

    /// s1: what a unit adds.
    pub(crate) const fn unit_seconds(&self) -> f64 {
        self.per_unit
    }
}

/// How much a sample differs from its prediction, as far as one is believed.
fn surprise(predicted: f64, sample: f64) -> f64 {
    let most = (predicted * OUTLIER).max(SECONDS_MIN);
    sample.clamp(predicted / OUTLIER, most) - predicted
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    /// A disk with 10 ms a flush, 100 us a batch and 2 ms a unit.
    fn commit(model: &mut Model, units: u32, times: u32) {
        let work = 100 * US + units * 2_000 * US;
        for _ in 0..times {
            model.learn(&CommitSample { units, flush: 10_000 * US, work });
        }
    }

    fn calibrated(fixed: Duration, per_unit: Duration) -> Model {
        let mut model = Model::default();
        model.calibrate(&Calibration { flush: 10_000 * US, fixed, per_unit });
        model
    }

    #[test]
    fn without_a_calibration_all_work_is_by_the_unit() {
        let mut model = Model::default();
        commit(&mut model, 1, 3);
        assert!((model.unit_seconds() - 0.0021).abs() < 1e-9);
        assert!((model.batch_seconds() - 0.010).abs() < 1e-9);
    }

    #[test]
    fn a_first_commit_that_warms_everything_up_is_forgotten() {
        let mut model = Model::default();
        let slow = CommitSample { units: 1, flush: 1_000 * US, work: 40_000 * US };
        let usual = CommitSample { units: 1, flush: 1_000 * US, work: 50 * US };
        for sample in [slow, usual, usual] {
            model.learn(&sample);
        }
        assert!((model.unit_seconds() - 50e-6).abs() < 1e-9, "{model:?}");
    }

    #[test]
    fn a_handful_of_clients_is_admitted_even_where_batching_gains_nothing() {
        let config = WriteGateConfig::default();
        let mut model = calibrated(Duration::ZERO, 20_000 * US);
        assert_eq!(model.batch_effective(&config), 16);
        // But not beyond what clients wait for: 5 s / 3 hold 8 items of 200 ms.
        model.calibrate(&Calibration {
            flush: Duration::ZERO,
            fixed: Duration::ZERO,
            per_unit: 200_000 * US,
        });
        assert_eq!(model.batch_effective(&config), 9);
    }

    #[test]
    fn the_line_runs_ahead_of_what_was_seen_by_a_factor_of_four() {
        let config = WriteGateConfig::default();
        let mut model = calibrated(Duration::ZERO, US);
        let mut lines = Vec::new();
        for _ in 0..4 {
            let line = model.batch_effective(&config);
            lines.push(line);
            model.learn(&CommitSample { units: line, flush: 10_000 * US, work: line * US });
        }
        assert_eq!(lines, [64, 256, 1024, 1024]);
    }

    #[test]
    fn batches_of_one_do_not_blur_the_calibration() {
        let mut model = calibrated(100 * US, 8 * US);
        // A busy processor makes every commit of one unit take five times as long.
        for _ in 0..200 {
            model.learn(&CommitSample { units: 1, flush: 10_000 * US, work: 540 * US });
        }
        assert!(model.unit_seconds() < 50e-6, "{}", model.unit_seconds());
        assert!((model.service(1) - 0.01054).abs() < 1e-4);
    }

    #[test]
    fn large_batches_correct_the_part_per_unit() {
        let mut model = calibrated(100 * US, 8 * US);
        commit(&mut model, 95, 40);
        assert!((model.unit_seconds() - 0.002).abs() < 1e-4, "{}", model.unit_seconds());
    }

    #[test]
    fn a_disk_ten_times_slower_is_found_at_any_batch_size() {
        for units in [1, 5, 95] {
            let mut model = calibrated(10 * US, 200 * US);
            commit(&mut model, units, 60);
            assert!((model.unit_seconds() - 0.002).abs() < 2e-4, "{units}: {model:?}");
        }
    }
}
