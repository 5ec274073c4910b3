//! What operators see.

use std::borrow::Cow;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use plimsoll::opaque::{OpaqueSnapshot, Outcome};
use plimsoll::{Class, Reason, Timestamp};
use plimsoll_daemon::metrics::{Measured, Sample, Summary};
use plimsoll_http::refusal::Refusal;
use plimsoll_listener::ListenerStats;

use crate::answer::Own;
use crate::gates::NamedGate;
use crate::upstream::UpstreamError;

const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Answered, "answered"),
    (Outcome::Overloaded, "overloaded"),
    (Outcome::TimedOut, "timed_out"),
    (Outcome::Failed, "failed"),
    (Outcome::Cancelled, "cancelled"),
];

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    answer: Summary,
    passing: AtomicI64,
    outcomes: [AtomicU64; OUTCOMES.len()],
    errors: [AtomicU64; UpstreamError::ALL.len()],
    bad_requests: AtomicU64,
    bytes: AtomicU64,
}

impl Metrics {
    pub(crate) fn passing(&self, requests: i64) {
        self.passing.fetch_add(requests, Relaxed);
    }

    pub(crate) fn answered(&self, elapsed: Duration) {
        self.answer.record(elapsed);
    }

    pub(crate) fn passed(&self, outcome: Outcome) {
        self.passing(-1);
        if let Some(at) = OUTCOMES.iter().position(|(known, _)| *known == outcome) {
            self.outcomes[at].fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn own(&self, own: &Own) {
        match own {
            Own::Failed(error) => {
                if let Some(at) = UpstreamError::ALL.iter().position(|known| known == error) {
                    self.errors[at].fetch_add(1, Relaxed);
                }
            }
            // The gates count these.
            Own::Refused(Refusal::Overloaded(_)) => {}
            Own::Refused(_) | Own::BadHead(_) => drop(self.bad_requests.fetch_add(1, Relaxed)),
        }
    }

    /// Requests at the upstream now.
    pub(crate) fn at_upstream(&self) -> i64 {
        self.passing.load(Relaxed)
    }

    /// How often the upstream gave no answer, by why.
    pub(crate) fn upstream_errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.errors.iter().map(|count| count.load(Relaxed));
        UpstreamError::ALL.iter().map(|error| error.token()).zip(counts)
    }

    /// Everything, at this instant.
    pub(crate) fn collect(
        &self,
        gates: &[NamedGate],
        listeners: &[ListenerStats],
        now: Timestamp,
    ) -> Vec<Sample> {
        let mut samples = vec![
            Sample {
                name: "plimsoll.proxy.answer",
                labels: Vec::new(),
                value: Measured::Summary(self.answer.digest()),
            },
            gauge("plimsoll.proxy.at_upstream", &[], self.at_upstream() as f64),
            counter("plimsoll.proxy.bad_requests", &[], self.bad_requests.load(Relaxed)),
            counter("plimsoll.proxy.answer_bytes", &[], self.bytes.load(Relaxed)),
        ];
        for ((_, name), count) in OUTCOMES.iter().zip(&self.outcomes) {
            samples.push(counter(
                "plimsoll.proxy.passed",
                &[("outcome", name)],
                count.load(Relaxed),
            ));
        }
        for (error, count) in self.upstream_errors() {
            samples.push(counter("plimsoll.proxy.upstream_errors", &[("error", error)], count));
        }
        let sum = |count: fn(&ListenerStats) -> u64| listeners.iter().map(count).sum::<u64>();
        samples.push(gauge("plimsoll.connections.open", &[], sum(ListenerStats::open) as f64));
        samples.push(counter("plimsoll.connections.accepted", &[], sum(|stats| stats.accepted)));
        let cut = sum(|stats| stats.timed_out);
        samples.push(counter("plimsoll.connections.timed_out", &[], cut));
        let snapshots: Vec<_> =
            gates.iter().map(|named| (named.name, named.gate.snapshot(now))).collect();
        gate_samples(&snapshots, &mut samples);
        samples
    }
}

/// By name and then by gate, as Prometheus wants it.
fn gate_samples(gates: &[(&'static str, OpaqueSnapshot)], samples: &mut Vec<Sample>) {
    type Read<T> = fn(&OpaqueSnapshot) -> T;
    let gauges: [(&'static str, Read<f64>); 7] = [
        ("plimsoll.gate.saturation", |gate| gate.saturation),
        ("plimsoll.gate.in_flight", |gate| f64::from(gate.in_flight)),
        ("plimsoll.gate.waiting", |gate| gate.waiting as f64),
        ("plimsoll.gate.load_line", |gate| f64::from(gate.limit)),
        ("plimsoll.gate.capacity", |gate| gate.answers_per_second),
        ("plimsoll.gate.latency_seconds", |gate| gate.latency.as_secs_f64()),
        ("plimsoll.gate.reject_fraction", |gate| gate.reject_fraction),
    ];
    for (name, read) in gauges {
        samples.extend(gates.iter().map(|(gate, at)| gauge(name, &[("gate", gate)], read(at))));
    }
    let counters: [(&'static str, Read<u64>); 2] = [
        ("plimsoll.gate.offered", |gate| gate.counters.offered),
        ("plimsoll.gate.admitted", |gate| gate.counters.admitted),
    ];
    for (name, read) in counters {
        samples.extend(gates.iter().map(|(gate, at)| counter(name, &[("gate", gate)], read(at))));
    }
    for (gate, at) in gates {
        for class in Class::ALL {
            for reason in Reason::ALL {
                let labels = [("gate", *gate), ("class", class.name()), ("reason", reason.name())];
                let refused = at.counters.refused[class.index()][reason.index()];
                samples.push(counter("plimsoll.gate.refused", &labels, refused));
            }
        }
    }
}

fn gauge(name: &'static str, labels: &[(&'static str, &'static str)], value: f64) -> Sample {
    Sample { name, labels: owned(labels), value: Measured::Gauge(value) }
}

fn counter(name: &'static str, labels: &[(&'static str, &'static str)], value: u64) -> Sample {
    Sample { name, labels: owned(labels), value: Measured::Counter(value) }
}

fn owned(labels: &[(&'static str, &'static str)]) -> Vec<(&'static str, Cow<'static, str>)> {
    labels.iter().map(|(key, value)| (*key, Cow::Borrowed(*value))).collect()
}
