//! One controller in one scenario, in numbers.

use serde::{Deserialize, Serialize};

use super::Oracle;
use crate::{
    scenario::{ClassName, QUIET, Scenario},
    sim::{GroupRecord, Record},
};

/// The scores of a run. Shares are 0 to 1; latencies are of requests answered
/// before the client gave up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Score {
    /// Units answered in time over the oracle's.
    pub goodput: f64,
    /// Median latency in units of S(B_eff).
    pub p50_services: f64,
    /// 99th percentile in units of S(B_eff).
    pub p99_services: f64,
    /// 99.9th percentile in units of S(B_eff).
    pub p999_services: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// 99th percentile of requests that began in the first second after the
    /// step, in units of S(B_eff).
    pub first_second_p99_services: f64,
    /// Attempts refused or turned away, over all attempts.
    pub refused: f64,
    /// Refusals beyond what nobody could have served, over all attempts.
    pub false_rejects: f64,
    /// Time after the step until the goodput reaches 95 % of the oracle's, in
    /// milliseconds.
    pub reached_ms: f64,
    /// Time after the step until the 99th percentile is at most 3 S(B), in
    /// milliseconds; to the width of a bin.
    pub p99_reached_ms: f64,
    /// The longest queue, in batches.
    pub queue_batches: f64,
    /// Standard deviation over mean of the goodput in the plot's bins.
    pub oscillation: f64,
    /// Jain's index of min(served, fair) / min(asked, fair) over all flows.
    pub jain: f64,
    /// Share of the quiet clients' requests that succeed.
    pub quiet: f64,
    /// Share of the critical requests that succeed.
    pub critical: f64,
    /// Share of all requests that succeed.
    pub success: f64,
    /// Attempts over requests.
    pub amplification: f64,
    /// Commits that nobody waited for, over all.
    pub zombies: f64,
    /// Places taken back, over requests served.
    pub displaced: f64,
    /// Attempts given up by the client, over all.
    pub timeouts: f64,
    /// Median time from the first attempt to success, in milliseconds.
    pub success_p50_ms: f64,
    /// 99th percentile of it.
    pub success_p99_ms: f64,
    /// 99th percentile of the time to a refusal, in milliseconds.
    pub refusal_p99_ms: f64,
}

/// What of the oracle's goodput counts as reached.
const REACHED: f64 = 0.95;

impl Score {
    /// Scores a run.
    pub fn new(scenario: &Scenario, record: &Record, oracle: &Oracle) -> Self {
        let measure = scenario.measure;
        let (from, until) = (measure.from.seconds(), measure.until.seconds());
        let attempts = record.attempts.max(1) as f64;
        let refused = (record.refused + record.turned_away) as f64 / attempts;
        let services = |q| record.latency_services.value_at_quantile(q) as f64 / 1e3;
        let ms = |histogram: &hdrhistogram::Histogram<u64>, q| {
            if histogram.is_empty() { 0.0 } else { histogram.value_at_quantile(q) as f64 / 1e3 }
        };
        let requests: u64 = record.groups.iter().map(|group| group.requests).sum();
        let succeeded: u64 = record.groups.iter().map(|group| group.succeeded).sum();
        Self {
            goodput: good(record, from, until) / oracle.served(from, until).max(1.0),
            p50_services: services(0.5),
            p99_services: services(0.99),
            p999_services: services(0.999),
            p50_ms: ms(&record.latency_us, 0.5),
            p99_ms: ms(&record.latency_us, 0.99),
            first_second_p99_services: ms(&record.first_second, 0.99),
            refused,
            false_rejects: (refused - oracle.excess_share(from, until)).max(0.0),
            reached_ms: reached(scenario, record, oracle) * 1e3,
            p99_reached_ms: p99_reached(scenario, record) * 1e3,
            queue_batches: record.waiting_max as f64 / f64::from(scenario.server.batch_items),
            oscillation: oscillation(record, from, until),
            jain: jain(&record.groups),
            quiet: availability(scenario, record, |name, _| name == QUIET),
            critical: availability(scenario, record, |_, class| {
                matches!(class, ClassName::Critical)
            }),
            success: succeeded as f64 / requests.max(1) as f64,
            amplification: amplification(&record.groups),
            zombies: record.zombies as f64 / record.served.max(1) as f64,
            displaced: record.turned_away as f64 / record.served.max(1) as f64,
            timeouts: record.timeouts as f64 / attempts,
            success_p50_ms: ms(&record.success_us, 0.5),
            success_p99_ms: ms(&record.success_us, 0.99),
            refusal_p99_ms: ms(&record.refusal_us, 0.99),
        }
    }
}

/// Units answered in time between two moments.
fn good(record: &Record, from: f64, until: f64) -> f64 {
    let index =
        |seconds: f64| record.commits.partition_point(|(at, _)| (*at as f64) < seconds * 1e9);
    let (begin, end) = (index(from), index(until));
    record.commits[begin..end.max(begin)].iter().map(|(_, units)| f64::from(*units)).sum()
}

/// The first moment after the step from which on the goodput of a quarter of a
/// second, or of 25 commits if they are longer, is within 95 % of the oracle's.
fn reached(scenario: &Scenario, record: &Record, oracle: &Oracle) -> f64 {
    let Some(step) = scenario.measure.step else { return 0.0 };
    let step = step.seconds();
    let service = scenario.server.full_service() * scenario.slowness(step + 1e-6);
    let window = (25.0 * service).max(0.25);
    let end = scenario.seconds();
    let mut at = step;
    while at + window <= end {
        if good(record, at, at + window) >= REACHED * oracle.served(at, at + window) {
            return at - step;
        }
        at += service.max(0.001);
    }
    end - step
}

fn p99_reached(scenario: &Scenario, record: &Record) -> f64 {
    let Some(step) = scenario.measure.step else { return 0.0 };
    let service = scenario.server.full_service();
    let begin = (step.seconds() / record.timeline.bin_seconds).ceil() as usize;
    for (index, bin) in record.timeline.bins.iter().enumerate().skip(begin) {
        let at = index as f64 * record.timeline.bin_seconds;
        if bin.good > 0 && bin.p99 <= 3.0 * service * scenario.slowness(at) {
            return (at - step.seconds()).max(0.0);
        }
    }
    scenario.seconds() - step.seconds()
}

fn oscillation(record: &Record, from: f64, until: f64) -> f64 {
    let first = (from / record.timeline.bin_seconds).ceil() as usize;
    let last = ((until / record.timeline.bin_seconds) as usize).min(record.timeline.bins.len());
    let bins = record.timeline.bins.get(first..last).unwrap_or_default();
    if bins.len() < 2 {
        return 0.0;
    }
    let n = bins.len() as f64;
    let mean = bins.iter().map(|bin| bin.good as f64).sum::<f64>() / n;
    let variance = bins.iter().map(|bin| (bin.good as f64 - mean).powi(2)).sum::<f64>() / n;
    if mean > 0.0 { variance.sqrt() / mean } else { 0.0 }
}

/// Served and asked for, by flow, over a share that is max-min fair.
fn jain(groups: &[GroupRecord]) -> f64 {
    let flows = || groups.iter().flat_map(|group| &group.flows);
    let mut asked: Vec<f64> = flows().map(|(asked, _)| f64::from(*asked)).collect();
    asked.sort_by(f64::total_cmp);
    let mut left: f64 = flows().map(|(_, served)| f64::from(*served)).sum();
    let mut fair = 0.0;
    for (index, asked_here) in asked.iter().enumerate() {
        fair = left / (asked.len() - index) as f64;
        if fair <= *asked_here {
            break;
        }
        left -= asked_here;
    }
    let fair = fair.max(1e-9);
    let satisfied = flows()
        .filter(|(asked, _)| *asked > 0)
        .map(|&(asked, served)| f64::from(served).min(fair) / f64::from(asked).min(fair));
    let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
    for satisfied in satisfied {
        sum += satisfied;
        squares += satisfied * satisfied;
        n += 1.0;
    }
    if squares > 0.0 { sum * sum / (n * squares) } else { 1.0 }
}

fn availability(
    scenario: &Scenario,
    record: &Record,
    belongs: impl Fn(&str, ClassName) -> bool,
) -> f64 {
    let (mut requests, mut succeeded) = (0, 0);
    for ((name, clients), group) in scenario.clients.iter().zip(&record.groups) {
        if belongs(name, clients.class) {
            requests += group.requests;
            succeeded += group.succeeded;
        }
    }
    if requests == 0 { 1.0 } else { succeeded as f64 / requests as f64 }
}

fn amplification(groups: &[GroupRecord]) -> f64 {
    let attempts: u64 = groups.iter().map(|group| group.attempts).sum();
    let requests: u64 = groups.iter().map(|group| group.requests).sum();
    if requests == 0 { 1.0 } else { attempts as f64 / requests as f64 }
}

impl Score {
    /// The mean of every score over several runs.
    pub fn mean(scores: &[Self]) -> Self {
        let n = scores.len().max(1) as f64;
        let mean = |of: fn(&Self) -> f64| scores.iter().map(of).sum::<f64>() / n;
        Self {
            goodput: mean(|s| s.goodput),
            p50_services: mean(|s| s.p50_services),
            p99_services: mean(|s| s.p99_services),
            p999_services: mean(|s| s.p999_services),
            p50_ms: mean(|s| s.p50_ms),
            p99_ms: mean(|s| s.p99_ms),
            first_second_p99_services: mean(|s| s.first_second_p99_services),
            refused: mean(|s| s.refused),
            false_rejects: mean(|s| s.false_rejects),
            reached_ms: mean(|s| s.reached_ms),
            p99_reached_ms: mean(|s| s.p99_reached_ms),
            queue_batches: mean(|s| s.queue_batches),
            oscillation: mean(|s| s.oscillation),
            jain: mean(|s| s.jain),
            quiet: mean(|s| s.quiet),
            critical: mean(|s| s.critical),
            success: mean(|s| s.success),
            amplification: mean(|s| s.amplification),
            zombies: mean(|s| s.zombies),
            displaced: mean(|s| s.displaced),
            timeouts: mean(|s| s.timeouts),
            success_p50_ms: mean(|s| s.success_p50_ms),
            success_p99_ms: mean(|s| s.success_p99_ms),
            refusal_p99_ms: mean(|s| s.refusal_p99_ms),
        }
    }
}
