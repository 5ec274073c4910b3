//! What a decision costs: `cargo bench -p plimsoll`.

use std::sync::Arc;
use std::time::Duration;

use divan::{AllocProfiler, Bencher};
use plimsoll::write::{Batch, CommitSample, Work, WriteGate, WriteGateConfig};
use plimsoll::{Class, Cost, Demand, Flow, Mode, Rejection, Timestamp};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

struct Job;

impl Work for Job {
    fn is_abandoned(&self) -> bool {
        false
    }

    fn turned_away(self, _: Rejection) {}
}

fn main() {
    divan::main();
}

fn gate(mode: Mode) -> WriteGate<Job> {
    let gate = WriteGate::new(WriteGateConfig::default(), mode, Arc::new(()));
    for _ in 0..3 {
        let (flush, work) = (Duration::from_millis(10), Duration::from_millis(2));
        gate.committed(Timestamp::ZERO, CommitSample { units: 1, flush, work });
    }
    gate
}

fn demand(flow: u64) -> Demand {
    Demand { class: Class::Normal, flow: Flow(flow), cost: Cost::item(512), deadline: None }
}

/// Ticket taken and given back.
#[divan::bench(args = [Mode::Off, Mode::Enforce], threads = [1, 2], sample_size = 500)]
fn admit(bencher: Bencher<'_, '_>, mode: Mode) {
    let gate = gate(mode);
    bencher.bench(|| gate.admit(Timestamp::ZERO, &demand(1)).is_ok());
}

/// Refused by a full gate of one flow.
#[divan::bench(threads = [1, 2], sample_size = 500)]
fn refuse(bencher: Bencher<'_, '_>) {
    let gate = gate(Mode::Enforce);
    let places: Vec<_> =
        core::iter::from_fn(|| gate.admit(Timestamp::ZERO, &demand(1)).ok()).collect();
    bencher.bench(|| gate.admit(Timestamp::ZERO, &demand(1)).is_ok());
    drop(places);
}

/// Everything a request does at the gate, shared commit included: 64 flows.
#[divan::bench]
fn pass(bencher: Bencher<'_, '_>) {
    let gate = gate(Mode::Enforce);
    let mut batch = Batch::default();
    bencher.counter(64u32).bench_local(|| {
        for flow in 0..64 {
            if let Ok(place) = gate.admit(Timestamp::ZERO, &demand(flow)) {
                let _ = gate.enqueue(Timestamp::ZERO, place, Cost::item(512), Job);
            }
        }
        gate.take(Timestamp::ZERO, false, &mut batch);
        batch.units
    });
}
