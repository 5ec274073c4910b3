//! What happened in a run.

use hdrhistogram::Histogram;

use super::timeline::{Timeline, histogram_us};
use crate::scenario::Scenario;

/// Steps in which the offered work is remembered for the oracle.
const STEPS: f64 = 50_000.0;
/// More flows than this are not told apart.
const FLOWS_MAX: u32 = 4_096;

/// What became of the requests of one group that began while it counts.
#[derive(Clone, Debug, Default)]
pub struct GroupRecord {
    /// Its name.
    pub name: String,
    /// Requests, however often they were tried.
    pub requests: u64,
    /// Those that succeeded in time, at whatever attempt.
    pub succeeded: u64,
    /// Attempts.
    pub attempts: u64,
    /// Per flow, requests and successes, if there are few enough flows.
    pub flows: Vec<(u32, u32)>,
}

/// Everything the scores need.
#[derive(Debug)]
pub struct Record {
    /// What the plots show.
    pub timeline: Timeline,
    /// The length of a step, in seconds.
    pub step_seconds: f64,
    /// Units of first attempts per step, whatever became of them.
    pub first_offered: Vec<u32>,
    /// When each commit ended, in nanoseconds, and the units in it that were
    /// in time.
    pub commits: Vec<(u64, u32)>,
    /// By group of clients.
    pub groups: Vec<GroupRecord>,
    /// Answers in time while it counts, in microseconds.
    pub latency_us: Histogram<u64>,
    /// The same in thousandths of S(B) at that moment.
    pub latency_services: Histogram<u64>,
    /// The same for the first second after the step.
    pub first_second: Histogram<u64>,
    /// From the first attempt to success, in microseconds.
    pub success_us: Histogram<u64>,
    /// From an attempt to its refusal, in microseconds.
    pub refusal_us: Histogram<u64>,
    /// Attempts that began while it counts,
    pub attempts: u64,
    /// of these refused at once,
    pub refused: u64,
    /// turned away after they had been admitted,
    pub turned_away: u64,
    /// and given up by the client.
    pub timeouts: u64,
    /// Requests committed while it counts,
    pub served: u64,
    /// and those among them nobody waited for.
    pub zombies: u64,
    /// The most units that waited, over the whole run.
    pub waiting_max: u64,
    /// Steps of the simulation.
    pub events: u64,
}

impl Record {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let seconds = scenario.seconds();
        let groups = scenario.clients.iter().map(|(name, clients)| {
            let told_apart = if clients.flows <= FLOWS_MAX { clients.flows as usize } else { 0 };
            GroupRecord {
                name: name.clone(),
                flows: vec![(0, 0); told_apart],
                ..Default::default()
            }
        });
        let step_seconds = (seconds / STEPS).max(0.000_2);
        Self {
            timeline: Timeline::new(seconds),
            step_seconds,
            first_offered: vec![0; (seconds / step_seconds) as usize + 2],
            commits: Vec::new(),
            groups: groups.collect(),
            latency_us: histogram_us(),
            latency_services: histogram_us(),
            first_second: histogram_us(),
            success_us: histogram_us(),
            refusal_us: histogram_us(),
            attempts: 0,
            refused: 0,
            turned_away: 0,
            timeouts: 0,
            served: 0,
            zombies: 0,
            waiting_max: 0,
            events: 0,
        }
    }

    pub(super) fn first_offered(&mut self, now: u64, units: u32) {
        let step = (now as f64 / 1e9 / self.step_seconds) as usize;
        if let Some(offered) = self.first_offered.get_mut(step) {
            *offered += units;
        }
    }
}
