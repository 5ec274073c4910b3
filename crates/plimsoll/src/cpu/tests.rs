use super::*;

fn at(micros: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_micros(micros)
}

/// A gate in front of one processor that knows what a turn costs.
fn gate(turn: Duration) -> CpuGate {
    let gate = CpuGate::new(1, Mode::Enforce).expect("one processor");
    run(gate.admit(at(0), Class::Normal).expect("empty"), turn);
    gate
}

fn run(mut turn: Turn, takes: Duration) {
    turn.begin(at(0));
    turn.end(at(0) + takes);
}

/// Turns that are given out before somebody is refused.
fn fill(gate: &CpuGate, class: Class) -> Vec<Turn> {
    (0..10_000).map_while(|_| gate.admit(at(0), class).ok()).collect()
}

#[test]
fn turns_are_given_out_for_one_budget() {
    for (micros, expected) in [(400, 101), (1000, 41), (40_000, 2), (200_000, 1)] {
        let gate = gate(Duration::from_micros(micros));
        assert_eq!(fill(&gate, Class::Normal).len(), expected, "{micros} us");
        let rejection = gate.admit(at(0), Class::Normal).map(drop);
        assert!(rejection.is_ok(), "what was given back can be taken again");
    }
}

#[test]
fn who_matters_more_waits_longer_before_anybody_refuses_it() {
    let gate = gate(Duration::from_millis(1));
    let mut held = fill(&gate, Class::Low);
    assert_eq!(held.len(), 21);
    held.extend(fill(&gate, Class::Normal));
    assert_eq!(held.len(), 41);
    held.extend(fill(&gate, Class::High));
    assert_eq!(held.len(), 61);
    assert!(gate.admit(at(0), Class::Critical).is_ok());
}

#[test]
fn a_processor_that_nobody_waits_for_refuses_nobody() {
    let gate = gate(Duration::from_secs(10));
    for _ in 0..100 {
        gate.probed(Duration::from_secs(10));
    }
    let turn = gate.admit(at(0), Class::Low).expect("nobody waits");
    assert!(gate.admit(at(0), Class::High).is_err());
    drop(turn);
    assert!(gate.peek(at(0), Class::Low).is_ok());
}

#[test]
fn only_a_standing_wait_is_taken_off_the_budget() {
    let gate = gate(Duration::from_millis(1));
    for wait in [90, 90, 90, 0, 90, 90, 90, 90] {
        gate.probed(Duration::from_millis(wait));
    }
    assert_eq!(fill(&gate, Class::Normal).len(), 41);
    for _ in 0..8 {
        gate.probed(Duration::from_millis(30));
    }
    assert_eq!(fill(&gate, Class::Normal).len(), 11);
}

#[test]
fn one_long_turn_says_little_about_the_next() {
    let gate = gate(Duration::from_millis(1));
    run(gate.admit(at(0), Class::Normal).expect("empty"), Duration::from_secs(10));
    assert_eq!(fill(&gate, Class::Normal).len(), 35);
}

#[test]
fn refusing_between_the_turns_is_part_of_what_they_take() {
    let gate = gate(Duration::from_millis(1));
    // Turns of 1 ms that come every 2 ms while others wait.
    let held = fill(&gate, Class::Normal);
    for (number, mut turn) in (1..).zip(held) {
        turn.begin(at(number * 2000 - 1000));
        turn.end(at(number * 2000));
    }
    let held = fill(&gate, Class::Normal).len();
    assert!((21..25).contains(&held), "{held}");
}

#[test]
fn two_processors_do_twice_as_much_in_a_budget() {
    let gate = CpuGate::new(2, Mode::Enforce).expect("two");
    run(gate.admit(at(0), Class::Normal).expect("empty"), Duration::from_millis(1));
    assert_eq!(fill(&gate, Class::Normal).len(), 81);
}

#[test]
fn a_turn_leaves_the_queue_once_however_it_ends() {
    let gate = gate(Duration::from_millis(1));
    let mut turn = gate.admit(at(0), Class::Normal).expect("empty");
    turn.end(at(5));
    turn.begin(at(10));
    turn.begin(at(20));
    turn.end(at(30));
    turn.end(at(40));
    drop(turn);
    drop(gate.admit(at(0), Class::Normal).expect("empty"));
    assert!(gate.snapshot(at(0)).saturation < 1e-9);
}

#[test]
fn monitor_counts_what_it_would_refuse_and_lets_it_through() {
    let gate = gate(Duration::from_millis(1));
    gate.set_mode(Mode::Monitor);
    let held: Vec<_> = (0..50).map_while(|_| gate.admit(at(0), Class::Normal).ok()).collect();
    assert_eq!(held.len(), 50);
    assert_eq!(gate.snapshot(at(0)).refused.iter().flatten().sum::<u64>(), 9);
    assert!(gate.peek(at(0), Class::Normal).is_ok());
}
