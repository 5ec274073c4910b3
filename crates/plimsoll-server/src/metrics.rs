//! Metrics under Vault's names, and the gate's own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll::write::WriteSnapshot;
use plimsoll::{Class, Event, GateSnapshot, Observer, Reason};
use plimsoll_daemon::metrics::{Measured, Sample, Summary};

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) handle_request: Summary,
    pub(crate) handle_login_request: Summary,
    flush: Summary,
    batch: Summary,
    commits: AtomicU64,
}

impl Observer for Metrics {
    fn event(&self, event: &Event) {
        if let Event::Committed(sample) = event {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.flush.record(sample.flush + sample.work);
            self.batch.record_value(f64::from(sample.units));
        }
    }
}

impl Metrics {
    pub(crate) fn record_request(&self, login: bool, elapsed: Duration) {
        let summary = if login { &self.handle_login_request } else { &self.handle_request };
        summary.record(elapsed);
    }

    /// Everything, at this instant.
    pub(crate) fn collect(
        &self,
        gate: &WriteSnapshot,
        gates: &[GateSnapshot],
        in_flight: usize,
        sealed: bool,
    ) -> Vec<Sample> {
        let gauge =
            |name, value| Sample { name, labels: Vec::new(), value: Measured::Gauge(value) };
        let summary = |name, summary: &Summary| Sample {
            name,
            labels: Vec::new(),
            value: Measured::Summary(summary.digest()),
        };
        let mut samples = vec![
            gauge("core.unsealed", f64::from(u8::from(!sealed))),
            gauge("core.in_flight_requests", in_flight as f64),
            summary("core.handle_request", &self.handle_request),
            summary("core.handle_login_request", &self.handle_login_request),
            gauge("wal.write_controller.reject_fraction", gate.reject_fraction),
            // Vault's controller terms: this one has none.
            gauge("wal.write_controller.p", 0.0),
            gauge("wal.write_controller.i", 0.0),
            gauge("wal.write_controller.d", 0.0),
            gauge("wal.flushReady.queue_len", gate.waiting_units as f64),
            summary("wal.flushReady", &self.flush),
            summary("plimsoll.commit.units", &self.batch),
            counter("plimsoll.commits", self.commits.load(Ordering::Relaxed)),
            labelled("plimsoll.gate.reserved", gate.reserved_units as f64),
            labelled("plimsoll.gate.waiting", gate.waiting_units as f64),
            labelled("plimsoll.gate.load_line", f64::from(gate.batch_units)),
            labelled("plimsoll.gate.capacity", gate.units_per_second),
            gauge("plimsoll.disk.flush_seconds", gate.flush.as_secs_f64()),
            gauge("plimsoll.disk.unit_seconds", gate.per_unit.as_secs_f64()),
            counter("plimsoll.gate.admitted", gate.counters.admitted),
        ];
        let each = |name, value: fn(&GateSnapshot) -> Measured| {
            gates.iter().map(move |gate| Sample {
                name,
                labels: vec![("gate", gate.gate.name().into())],
                value: value(gate),
            })
        };
        samples.extend(each("plimsoll.gate.saturation", |gate| Measured::Gauge(gate.saturation)));
        samples.extend(each("plimsoll.gate.reject_fraction", |gate| {
            Measured::Gauge(gate.reject_fraction)
        }));
        samples.extend(each("plimsoll.gate.offered", |gate| Measured::Counter(gate.offered)));
        samples.extend(gates.iter().flat_map(refusals));
        samples
    }
}

/// Refusals of a gate by class and reason.
fn refusals(gate: &GateSnapshot) -> Vec<Sample> {
    let mut samples = Vec::new();
    for class in Class::ALL {
        for reason in Reason::ALL {
            samples.push(Sample {
                name: "plimsoll.gate.refused",
                labels: vec![
                    ("gate", gate.gate.name().into()),
                    ("class", class.name().into()),
                    ("reason", reason.name().into()),
                ],
                value: Measured::Counter(gate.refused[class.index()][reason.index()]),
            });
        }
    }
    samples
}

fn labelled(name: &'static str, value: f64) -> Sample {
    Sample { name, labels: vec![("gate", "write".into())], value: Measured::Gauge(value) }
}

fn counter(name: &'static str, value: u64) -> Sample {
    Sample { name, labels: Vec::new(), value: Measured::Counter(value) }
}
