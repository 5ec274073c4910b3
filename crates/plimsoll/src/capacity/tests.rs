use super::*;

const NOW: Timestamp = Timestamp::ZERO;

fn memory(bytes_max: u64) -> CapacityGate {
    CapacityGate::memory(bytes_max, Mode::Enforce).expect("not zero")
}

fn refusals(gate: &CapacityGate) -> u64 {
    gate.snapshot(NOW).refused.iter().flatten().sum()
}

#[test]
fn what_fits_is_held_and_the_rest_is_refused_until_it_is_given_back() {
    let gate = memory(100);
    let first = gate.hold(NOW, Class::Normal, 60).expect("room");
    let rejection = gate.hold(NOW, Class::Normal, 41).expect_err("full");
    assert_eq!((rejection.gate, rejection.reason), (Gate::Memory, Reason::Full));
    assert!(!rejection.retry_after.is_zero());
    drop(first);
    assert!(gate.hold(NOW, Class::Normal, 41).is_ok());
    assert_eq!(gate.held(), 0);
}

#[test]
fn one_round_of_hashes_may_wait_behind_the_one_that_runs() {
    let gate = CapacityGate::crypto(3, Mode::Enforce).expect("not zero");
    let held: Vec<_> = (0..10).map_while(|_| gate.hold(NOW, Class::Normal, 1).ok()).collect();
    assert_eq!(held.len(), 6);
}

#[test]
fn an_empty_gate_admits_what_is_larger_than_itself() {
    let gate = memory(10);
    let held = gate.hold(NOW, Class::Low, 1000).expect("alone");
    assert!(gate.hold(NOW, Class::Low, 1).is_err());
    assert_eq!(held.units(), 1000);
}

#[test]
fn critical_work_always_passes_and_is_counted() {
    let gate = memory(10);
    let _full = gate.hold(NOW, Class::Normal, 10).expect("room");
    let held = gate.hold(NOW, Class::Critical, 5).expect("critical");
    assert_eq!((gate.held(), refusals(&gate)), (15, 0));
    drop(held);
    assert_eq!(gate.held(), 10);
}

#[test]
fn what_grows_keeps_what_it_had_when_it_is_refused_more() {
    let gate = memory(100);
    let mut held = gate.hold(NOW, Class::Normal, 0).expect("nothing yet");
    let _other = gate.hold(NOW, Class::Normal, 50).expect("room");
    held.grow(NOW, 50).expect("room");
    held.grow(NOW, 1).expect_err("full");
    assert_eq!((held.units(), gate.held()), (50, 100));
    held.grow_regardless(7);
    assert_eq!(gate.held(), 107);
    held.shrink_to(10);
    assert_eq!(gate.held(), 60);
}

#[test]
fn who_asks_for_nothing_is_never_refused() {
    let gate = memory(10);
    let mut full = gate.hold(NOW, Class::Normal, 10).expect("room");
    full.grow_regardless(1);
    assert!(gate.hold(NOW, Class::Low, 0).is_ok());
    assert_eq!(refusals(&gate), 0);
}

#[test]
fn a_connection_has_a_quarter_of_the_gate_or_what_its_only_request_needs() {
    let gate = memory(100);
    let (connection, other) = (Share::default(), Share::default());
    let hold =
        |share: &Share, units| gate.hold_within(NOW, Class::Normal, units, Some(share.clone()));
    let mut alone = hold(&connection, 30).expect("alone");
    alone.grow(NOW, 20).expect("still alone");
    hold(&connection, 1).expect_err("its share is taken");
    hold(&other, 25).expect("another connection has its own");
    alone.shrink_to(10);
    let second = hold(&connection, 15).expect("a quarter in all");
    alone.grow(NOW, 1).expect_err("no longer alone");
    drop((alone, second));
    assert_eq!((connection.held(), gate.held()), (0, 0));
}

#[test]
fn monitor_counts_what_it_would_refuse_and_lets_it_through() {
    let gate = memory(1);
    gate.set_mode(Mode::Monitor);
    let held = [1, 1].map(|units| gate.hold(NOW, Class::Normal, units).expect("let through"));
    assert_eq!((gate.held(), refusals(&gate)), (2, 1));
    assert!((gate.snapshot(NOW).reject_fraction - 0.5).abs() < 1e-9);
    drop(held);
    assert_eq!(gate.held(), 0);
}

#[test]
fn off_holds_and_counts_nothing() {
    let gate = memory(1);
    gate.set_mode(Mode::Off);
    let held = gate.hold(NOW, Class::Normal, 50).expect("let through");
    assert_eq!((gate.held(), gate.snapshot(NOW).offered), (0, 0));
    gate.set_mode(Mode::Enforce);
    drop(held);
    assert_eq!(gate.held(), 0);
}

#[test]
fn a_gate_of_nothing_cannot_be_built() {
    assert!(CapacityGate::crypto(0, Mode::Enforce).is_err());
}
