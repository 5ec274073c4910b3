//! The reservation and release paths under a model checker: random schedules of
//! threads that admit, queue, drop, take and commit at once.
//!
//! `cargo test -p plimsoll --features shuttle --test shuttle`

use std::time::Duration;

use plimsoll::capacity::CapacityGate;
use plimsoll::write::{Batch, CommitSample, Work, WriteGate, WriteGateConfig};
use plimsoll::{Class, Cost, Demand, Flow, Mode, Rejection, Timestamp};
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;
use std::sync::Arc;

const SCHEDULES: usize = 2_000;
const REQUESTS: usize = 4;

struct Job(Arc<AtomicUsize>);

impl Work for Job {
    fn is_abandoned(&self) -> bool {
        false
    }

    fn turned_away(self, _: Rejection) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn demand(flow: u64) -> Demand {
    Demand { class: Class::Normal, flow: Flow(flow), cost: Cost::item(512), deadline: None }
}

/// A gate of two places, so that displacement is the rule.
fn small_gate() -> WriteGate<Job> {
    let config = WriteGateConfig::default().with_batch_max(2, 8192).expect("not zero");
    WriteGate::new(config, Mode::Enforce, Arc::new(()))
}

#[test]
fn every_place_ends_in_exactly_one_way_under_any_schedule() {
    shuttle::check_random(
        || {
            let gate = small_gate();
            let ended = Arc::new(AtomicUsize::new(0));
            let clients: Vec<_> = (0..3u64)
                .map(|flow| {
                    let (gate, ended) = (gate.clone(), Arc::clone(&ended));
                    thread::spawn(move || {
                        for request in 0..REQUESTS {
                            let Ok(place) = gate.admit(Timestamp::ZERO, &demand(flow)) else {
                                ended.fetch_add(1, Ordering::SeqCst);
                                continue;
                            };
                            if request == 0 {
                                drop(place);
                                ended.fetch_add(1, Ordering::SeqCst);
                                continue;
                            }
                            let job = Job(Arc::clone(&ended));
                            let queued = gate.enqueue(Timestamp::ZERO, place, Cost::item(512), job);
                            if queued.is_err() {
                                ended.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    })
                })
                .collect();
            let committer = {
                let (gate, ended) = (gate.clone(), Arc::clone(&ended));
                thread::spawn(move || {
                    for _ in 0..4 {
                        commit(&gate, &ended);
                    }
                })
            };
            for client in clients {
                client.join().expect("no panic");
            }
            committer.join().expect("no panic");
            while gate.has_waiting() {
                commit(&gate, &ended);
            }
            assert_eq!(ended.load(Ordering::SeqCst), 3 * REQUESTS);
            let snapshot = gate.snapshot(Timestamp::ZERO);
            assert_eq!((snapshot.reserved_units, snapshot.waiting_units), (0, 0));
        },
        SCHEDULES,
    );
}

#[test]
fn capacity_is_never_exceeded_nor_lost_under_any_schedule() {
    shuttle::check_random(
        || {
            let gate = CapacityGate::memory(4, Mode::Enforce).expect("not zero");
            let clients: Vec<_> = (0..3u64)
                .map(|client| {
                    let gate = gate.clone();
                    thread::spawn(move || {
                        for _ in 0..REQUESTS {
                            let held = gate.hold(Timestamp::ZERO, Class::Normal, 1 + client);
                            let Ok(mut held) = held else { continue };
                            let _ = held.grow(Timestamp::ZERO, 1);
                            assert!(gate.held() <= 4);
                            held.shrink_to(1);
                        }
                    })
                })
                .collect();
            for client in clients {
                client.join().expect("no panic");
            }
            assert_eq!(gate.held(), 0);
        },
        SCHEDULES,
    );
}

fn commit(gate: &WriteGate<Job>, ended: &AtomicUsize) {
    let mut batch = Batch::default();
    gate.take(Timestamp::ZERO, false, &mut batch);
    ended.fetch_add(batch.payloads.len(), Ordering::SeqCst);
    let (flush, work) = (Duration::from_millis(1), Duration::from_millis(1));
    gate.committed(Timestamp::ZERO, CommitSample { units: batch.units, flush, work });
}
