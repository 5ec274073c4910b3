//! What became of each request, as it is counted.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{
    Client, FlowReport, Latency, LoadOptions, Outcomes, Report, RetryReport, Second, client::Ended,
    report::Outcome,
};

/// Two digits are enough for the curve of a second, three for the totals.
const SECOND_DIGITS: u8 = 2;
const TOTAL_DIGITS: u8 = 3;
/// A load longer than this keeps only its totals beyond it, in seconds.
const SECONDS_MAX: usize = 86_400;
/// No request lives longer than its timeout; this bounds the histograms.
const LATENCY_MAX: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(super) struct Recorder {
    flows: Vec<FlowRecord>,
    seconds: Vec<SecondRecord>,
    all: Outcomes,
    accepted_us: Histogram<u64>,
    refused_us: Histogram<u64>,
    lateness_us: Histogram<u64>,
    retries: RetryRecord,
}

/// Logical requests, whatever their attempts came to.
#[derive(Debug)]
struct RetryRecord {
    attempts: u64,
    requests: u64,
    gave_up: u64,
    /// What was given up is in it with the whole patience.
    to_success_us: Histogram<u64>,
    /// By the second in which they succeeded.
    succeeded: Vec<u64>,
}

#[derive(Debug)]
struct FlowRecord {
    name: String,
    outcomes: Outcomes,
    accepted_us: Histogram<u64>,
    seconds: Vec<Outcomes>,
}

#[derive(Debug)]
struct SecondRecord {
    outcomes: Outcomes,
    accepted_us: Histogram<u64>,
    refused_us: Histogram<u64>,
}

impl Recorder {
    pub(super) fn new(flows: impl IntoIterator<Item = String>) -> Self {
        let flow = |name| FlowRecord {
            name,
            outcomes: Outcomes::default(),
            accepted_us: histogram(TOTAL_DIGITS),
            seconds: Vec::new(),
        };
        Self {
            flows: flows.into_iter().map(flow).collect(),
            seconds: Vec::new(),
            all: Outcomes::default(),
            accepted_us: histogram(TOTAL_DIGITS),
            refused_us: histogram(TOTAL_DIGITS),
            lateness_us: histogram(TOTAL_DIGITS),
            retries: RetryRecord {
                attempts: 0,
                requests: 0,
                gave_up: 0,
                to_success_us: histogram(TOTAL_DIGITS),
                succeeded: Vec::new(),
            },
        }
    }

    /// A logical request that was due at `at` came to its end after `latency`.
    pub(super) fn tried(
        &mut self,
        at: Duration,
        ended: Ended,
        latency: Duration,
        patience: Duration,
    ) {
        let retries = &mut self.retries;
        retries.requests += 1;
        retries.attempts += u64::from(ended.attempts);
        if ended.outcome == Outcome::Ok {
            *nth(&mut retries.succeeded, second_of(at + latency)) += 1;
            record(&mut retries.to_success_us, latency);
        } else {
            retries.gave_up += 1;
            record(&mut retries.to_success_us, patience);
        }
    }

    /// A request was sent this long after it was due.
    pub(super) fn sent(&mut self, lateness: Duration) {
        record(&mut self.lateness_us, lateness);
    }

    /// A request of `flow` that was due at `at` came to its end after `latency`.
    pub(super) fn ended(&mut self, flow: usize, at: Duration, outcome: Outcome, latency: Duration) {
        self.all.count(outcome);
        let second = &mut nth(&mut self.seconds, second_of(at));
        second.outcomes.count(outcome);
        let flow = &mut self.flows[flow];
        flow.outcomes.count(outcome);
        nth(&mut flow.seconds, second_of(at)).count(outcome);
        match outcome {
            Outcome::Ok => {
                record(&mut second.accepted_us, latency);
                record(&mut self.accepted_us, latency);
                record(&mut flow.accepted_us, latency);
            }
            Outcome::Throttled | Outcome::Refused => {
                record(&mut second.refused_us, latency);
                record(&mut self.refused_us, latency);
            }
            Outcome::Error | Outcome::Timeout | Outcome::Dropped => {}
        }
    }

    pub(super) fn so_far(&self) -> &Outcomes {
        &self.all
    }

    /// What a load of these options found.
    pub(super) fn report(&self, options: &LoadOptions, first_error: Option<String>) -> Report {
        let duration_s = options.load_duration().as_secs_f64();
        let single_open = options.closed_loop.is_none() && options.flows.is_empty();
        Report {
            operation: options.operation.to_string(),
            address: options.address.clone(),
            phases: single_open.then(|| options.phases.clone()),
            closed_loop_connections: options.closed_loop,
            duration_s,
            outcomes: self.all,
            goodput_per_s: self.all.ok as f64 / duration_s,
            accepted: Latency::of(&self.accepted_us),
            refused: Latency::of(&self.refused_us),
            lateness: Latency::of(&self.lateness_us),
            retries: options.client.map(|client| self.retries.report(client, duration_s)),
            seconds: self.seconds(),
            flows: self.flows(),
            first_error,
        }
    }

    fn seconds(&self) -> Vec<Second> {
        let second = |(index, record): (usize, &SecondRecord)| Second {
            second: index as u64,
            outcomes: record.outcomes,
            accepted: Latency::of(&record.accepted_us),
            refused: Latency::of(&record.refused_us),
        };
        self.seconds.iter().enumerate().map(second).collect()
    }

    fn flows(&self) -> Vec<FlowReport> {
        let flow = |record: &FlowRecord| FlowReport {
            name: record.name.clone(),
            outcomes: record.outcomes,
            accepted: Latency::of(&record.accepted_us),
            seconds: record.seconds.clone(),
        };
        self.flows.iter().map(flow).collect()
    }
}

impl RetryRecord {
    fn report(&self, client: Client, duration_s: f64) -> RetryReport {
        let during = self.succeeded.iter().take(duration_s.ceil() as usize).sum::<u64>();
        RetryReport {
            client,
            attempts: self.attempts,
            attempts_per_request: self.attempts as f64 / self.requests.max(1) as f64,
            gave_up: self.gave_up,
            successes_per_s: during as f64 / duration_s,
            time_to_success: Latency::of(&self.to_success_us),
            succeeded: self.succeeded.clone(),
        }
    }
}

impl Default for SecondRecord {
    fn default() -> Self {
        Self {
            outcomes: Outcomes::default(),
            accepted_us: histogram(SECOND_DIGITS),
            refused_us: histogram(SECOND_DIGITS),
        }
    }
}

/// The second in which a request was due: the k-th of a rate is due at its end.
fn second_of(at: Duration) -> usize {
    let nanos = at.as_nanos().saturating_sub(1);
    usize::try_from(nanos / 1_000_000_000).unwrap_or(SECONDS_MAX).min(SECONDS_MAX)
}

fn nth<T: Default>(seconds: &mut Vec<T>, index: usize) -> &mut T {
    if seconds.len() <= index {
        seconds.resize_with(index + 1, T::default);
    }
    &mut seconds[index]
}

fn histogram(digits: u8) -> Histogram<u64> {
    // Fails only for more than five digits; the constants above are 2 and 3.
    Histogram::new(digits).unwrap_or_else(|_| unreachable!("2 and 3 are valid precisions"))
}

fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    let latency_us = latency.min(LATENCY_MAX).as_micros() as u64;
    // The histogram grows as needed; it can only fail beyond the limit just applied.
    let _ = histogram.record(latency_us);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_request_counts_in_the_second_in_which_it_was_due() {
        let mut recorder = Recorder::new(["a".to_owned()]);
        recorder.ended(0, 2_000 * MS, Outcome::Timeout, 5_000 * MS);
        recorder.ended(0, 2_001 * MS, Outcome::Ok, 3 * MS);
        let seconds = recorder.seconds();
        assert_eq!(seconds.len(), 3);
        assert_eq!((seconds[1].outcomes.timeout, seconds[2].outcomes.ok), (1, 1));
    }

    #[test]
    fn the_outcomes_of_a_second_add_up_to_what_was_offered() {
        let mut recorder = Recorder::new(["a".to_owned(), "b".to_owned()]);
        let all = [
            Outcome::Ok,
            Outcome::Throttled,
            Outcome::Refused,
            Outcome::Error,
            Outcome::Timeout,
            Outcome::Dropped,
        ];
        for (index, outcome) in all.into_iter().enumerate() {
            recorder.ended(index % 2, MS, outcome, MS);
        }
        let totals = recorder.all;
        assert_eq!(totals.offered(), 6);
        assert_eq!(recorder.seconds()[0].outcomes, totals);
        let flows = recorder.flows();
        assert_eq!((flows[0].outcomes.offered(), flows[1].outcomes.offered()), (3, 3));
    }

    #[test]
    fn refusals_do_not_flatter_the_latency_of_what_was_accepted() {
        let mut recorder = Recorder::new(["a".to_owned()]);
        recorder.ended(0, MS, Outcome::Refused, MS);
        recorder.ended(0, MS, Outcome::Ok, 100 * MS);
        let second = recorder.seconds()[0];
        assert!(second.accepted.p50_ms > 99.0 && second.refused.p99_ms < 1.1);
    }
}
