//! A run in numbers, and against its marks.

use super::{BestFixed, Record, Scenario, record::GroupRecord};
use crate::scenario::{PassMark, QUIET};

/// The scores of a run.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Answers in time per second.
    pub goodput: f64,
    /// Median time to an answer, in milliseconds, the proxy's queue included.
    pub p50_ms: f64,
    /// 99th percentile of it.
    pub p99_ms: f64,
    /// Requests refused by the proxy, over all.
    pub refused: f64,
    /// Requests given up by the client, over all.
    pub timeouts: f64,
    /// Requests of the group `quiet` that were answered in time.
    pub quiet: f64,
    /// Requests at other gates that were.
    pub beside: f64,
}

impl Score {
    /// Scores a run.
    pub fn new(scenario: &Scenario, record: &Record) -> Self {
        let measure = scenario.measure;
        let requests = record.requests.max(1) as f64;
        let ms = |q| record.latency_us.value_at_quantile(q) as f64 / 1e3;
        let served = |group: &GroupRecord| group.good as f64 / group.requests.max(1) as f64;
        let quiet = record.groups.iter().find(|group| group.name == QUIET);
        Self {
            goodput: record.good as f64 / (measure.until.seconds() - measure.from.seconds()),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            refused: record.refused as f64 / requests,
            timeouts: record.timeouts as f64 / requests,
            quiet: quiet.map_or(1.0, served),
            beside: scenario
                .clients
                .iter()
                .zip(&record.groups)
                .filter(|((_, clients), _)| clients.beside)
                .map(|(_, group)| served(group))
                .fold(1.0, f64::min),
        }
    }
}

const GOODPUT_MIN: f64 = 0.95;
const P99_MAX: f64 = 1.5;

/// The marks of a case against what was measured.
pub fn pass_marks(scenario: &Scenario, score: &Score, best: &BestFixed) -> Vec<PassMark> {
    let expect = &scenario.expect;
    let goodput = score.goodput / best.score.goodput;
    let p99 = score.p99_ms / best.score.p99_ms.max(1e-3);
    let goodput_min = expect.goodput_exception.unwrap_or(GOODPUT_MIN);
    let p99_max = expect.p99_exception.unwrap_or(P99_MAX);
    let mut marks = vec![
        PassMark::at_least("goodput / best fixed", goodput, goodput_min),
        PassMark::at_most("p99 / best fixed", p99, p99_max),
    ];
    let most = [
        ("false rejects", score.refused, expect.false_rejects_max),
        ("p99 ms", score.p99_ms, expect.p99_ms_max),
    ];
    let most =
        most.into_iter().filter_map(|(what, is, mark)| Some(PassMark::at_most(what, is, mark?)));
    marks.extend(most);
    marks.extend(expect.quiet_min.map(|min| PassMark::at_least("quiet", score.quiet, min)));
    marks.extend(expect.beside_min.map(|min| PassMark::at_least("beside", score.beside, min)));
    marks
}
