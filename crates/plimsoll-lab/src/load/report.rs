//! What a load found.

use std::ops::AddAssign;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Client;
use crate::schedule::Schedule;

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Throttled,
    Refused,
    Error,
    Timeout,
    Dropped,
}

impl Outcome {
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            200..400 => Self::Ok,
            429 => Self::Throttled,
            503 => Self::Refused,
            _ => Self::Error,
        }
    }
}

/// Requests by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Answered with 2xx or 3xx.
    pub ok: u64,
    /// Answered with 429: the client is over its quota.
    pub throttled: u64,
    /// Answered with 503: the server is over its load line.
    pub refused: u64,
    /// Answered with anything else, or the connection failed.
    pub error: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// Not sent: the generator's own limit of requests in flight.
    pub dropped: u64,
}

impl Outcomes {
    pub(super) fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Throttled => &mut self.throttled,
            Outcome::Refused => &mut self.refused,
            Outcome::Error => &mut self.error,
            Outcome::Timeout => &mut self.timeout,
            Outcome::Dropped => &mut self.dropped,
        };
        *counter += 1;
    }

    /// All of them: what was asked for.
    pub fn offered(&self) -> u64 {
        self.ok + self.throttled + self.refused + self.error + self.timeout + self.dropped
    }
}

impl AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.ok += other.ok;
        self.throttled += other.throttled;
        self.refused += other.refused;
        self.error += other.error;
        self.timeout += other.timeout;
        self.dropped += other.dropped;
    }
}

/// Quantiles in milliseconds; all 0 where nothing was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// How many were counted.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// 90 % took no longer.
    pub p90_ms: f64,
    /// 99 % took no longer.
    pub p99_ms: f64,
    /// 99.9 % took no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    pub(super) fn of(histogram_us: &Histogram<u64>) -> Self {
        let quantile = |q| histogram_us.value_at_quantile(q) as f64 / 1e3;
        Self {
            count: histogram_us.len(),
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: histogram_us.max() as f64 / 1e3,
        }
    }
}

/// What became of the requests that were due in one second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Second {
    /// Seconds since the start.
    pub second: u64,
    /// Requests by what became of them.
    pub outcomes: Outcomes,
    /// Latency of the answered with 2xx or 3xx, from the moment they were due.
    pub accepted: Latency,
    /// Latency of the refusals: 429 and 503.
    pub refused: Latency,
}

/// One flow's part of the load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowReport {
    /// Its name.
    pub name: String,
    /// Its requests by what became of them.
    pub outcomes: Outcomes,
    /// Latency of what was accepted.
    pub accepted: Latency,
    /// The same, second by second.
    pub seconds: Vec<Outcomes>,
}

/// What clients that try again came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetryReport {
    /// Which client.
    pub client: Client,
    /// How often anything was sent.
    pub attempts: u64,
    /// The same for each logical request.
    pub attempts_per_request: f64,
    /// Logical requests that never succeeded.
    pub gave_up: u64,
    /// Logical requests that succeeded while the load lasted, per second of it.
    pub successes_per_s: f64,
    /// From the moment a logical request was due to its success; what was given up
    /// is in it with the client's whole patience.
    pub time_to_success: Latency,
    /// Successes by the second in which they came, those after the load included.
    pub succeeded: Vec<u64>,
}

/// What a load found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The operation, as given.
    pub operation: String,
    /// The server, as given.
    pub address: String,
    /// The phases of an open loop with one flow.
    pub phases: Option<Schedule>,
    /// The connections of a closed loop.
    pub closed_loop_connections: Option<u32>,
    /// From the first request to the last that was due, in seconds.
    pub duration_s: f64,
    /// Requests by what became of them.
    pub outcomes: Outcomes,
    /// Answers with 2xx or 3xx per second of the load.
    pub goodput_per_s: f64,
    /// Latency of what was accepted, from the moment it was due.
    pub accepted: Latency,
    /// Latency of the refusals: 429 and 503.
    pub refused: Latency,
    /// How late the generator itself sent: what its figures can be trusted to.
    pub lateness: Latency,
    /// What became of logical requests, if clients try again.
    pub retries: Option<RetryReport>,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// Flow by flow.
    pub flows: Vec<FlowReport>,
    /// What went wrong first, if anything did.
    pub first_error: Option<String>,
}
