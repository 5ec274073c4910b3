//! What happened in a run.

use hdrhistogram::Histogram;

use crate::sim::{Timeline, histogram_us};

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
    /// What the plots show.
    pub timeline: Timeline,
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
}

impl Record {
    pub(super) fn new<'a>(seconds: f64, groups: impl Iterator<Item = &'a String>) -> Self {
        Self {
            timeline: Timeline::new(seconds),
            groups: groups
                .map(|name| GroupRecord { name: name.clone(), ..Default::default() })
                .collect(),
            latency_us: histogram_us(),
            requests: 0,
            refused: 0,
            timeouts: 0,
            failed: 0,
            good: 0,
            events: 0,
        }
    }
}
