//! The pass marks of a case against what was measured.

use super::Score;
use crate::scenario::{PassMark, Scenario};

/// How far below its recorded snapshot an exception may fall.
const SNAPSHOT_TOLERANCE: f64 = 0.02;

/// Every mark of the case. `unbounded` is the unbounded queue's goodput, where
/// it was run.
pub fn pass_marks(scenario: &Scenario, score: &Score, unbounded: Option<f64>) -> Vec<PassMark> {
    let expect = &scenario.expect;
    let service = scenario.server.full_service();
    let prestage = scenario
        .clients
        .iter()
        .map(|(_, clients)| clients.prestage.seconds() * (2.326 * clients.prestage_jitter).exp());
    let prestage = prestage.fold(0.0, f64::max) / service;
    let slowest =
        scenario.measure.step.map_or(1.0, |step| scenario.slowness(step.seconds() + 1e-6));
    let burst = BURST_SECONDS / (service * slowest);
    let one_commit_ms = service * slowest * 1e3;
    let least = [
        ("goodput", score.goodput, expect.goodput_min),
        ("quiet", score.quiet, expect.quiet_min),
        ("critical", score.critical, expect.critical_min),
        ("jain", score.jain, expect.jain_min),
        ("snapshot", score.goodput, expect.exception.map(|e| e - SNAPSHOT_TOLERANCE)),
    ];
    let most = [
        ("p99", score.p99_services, expect.p99_max.map(|max| max + prestage)),
        (
            "first second p99",
            score.first_second_p99_services,
            expect.first_second_p99_max.map(|max| max + prestage + burst),
        ),
        ("false rejects", score.false_rejects, expect.false_rejects_max),
        ("excess rejects", score.false_rejects, expect.excess_rejects_max),
        ("reached ms", score.reached_ms, expect.reached_ms_max.map(|ms| ms.max(one_commit_ms))),
        ("displaced", score.displaced, expect.displaced_max),
        ("amplification", score.amplification, expect.amplification_max),
        ("zombies", score.zombies, expect.zombies_max),
    ];
    let mut marks: Vec<_> = least
        .into_iter()
        .filter_map(|(what, measured, mark)| Some(PassMark::at_least(what, measured, mark?)))
        .collect();
    if let (Some(below), Some(unbounded)) = (expect.below_unbounded_max, unbounded) {
        marks.push(PassMark::at_least("unbounded's goodput", score.goodput, unbounded - below));
    }
    marks.extend(
        most.into_iter()
            .filter_map(|(what, measured, mark)| Some(PassMark::at_most(what, measured, mark?))),
    );
    marks
}

/// tau, the burst that ships.
const BURST_SECONDS: f64 = 0.075;
