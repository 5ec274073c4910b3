use super::*;

fn at(micros: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_micros(micros)
}

/// A gate in front of one processor that knows what a turn costs, and is just no longer
/// calm.
fn gate(turn: Duration) -> CpuGate {
    of_processors(1, turn)
}

fn of_processors(count: u32, takes: Duration) -> CpuGate {
    let gate = CpuGate::new(count, Mode::Enforce).expect("not zero");
    probe(&gate, CALM);
    run(turn(&gate), takes);
    gate
}

/// As many probes as are remembered.
fn probe(gate: &CpuGate, wait: Duration) {
    (0..8).for_each(|_| gate.probed(wait));
}

fn turn(gate: &CpuGate) -> Turn {
    gate.admit(at(0), Class::Normal).expect("nobody waits").expect("not calm")
}

fn run(mut turn: Turn, takes: Duration) {
    turn.begin(at(0));
    turn.end(at(0) + takes);
}

/// Turns that are given out before somebody is refused.
fn fill(gate: &CpuGate, class: Class) -> Vec<Turn> {
    (0..10_000).map_while(|_| gate.admit(at(0), class).ok().flatten()).collect()
}

#[test]
fn turns_are_given_out_for_one_budget() {
    for (micros, expected) in [(400, 88), (1000, 36), (40_000, 1), (200_000, 1)] {
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
    assert_eq!(held.len(), 16);
    held.extend(fill(&gate, Class::Normal));
    assert_eq!(held.len(), 36);
    held.extend(fill(&gate, Class::High));
    assert_eq!(held.len(), 56);
    assert!(gate.admit(at(0), Class::Critical).is_ok());
}

#[test]
fn a_processor_that_nobody_waits_for_refuses_nobody() {
    let gate = gate(Duration::from_secs(10));
    probe(&gate, Duration::from_secs(10));
    let turn = gate.admit(at(0), Class::Low).expect("nobody waits");
    assert!(gate.admit(at(0), Class::High).is_err());
    drop(turn);
    assert!(gate.peek(at(0), Class::Low).is_ok());
}

#[test]
fn only_a_standing_wait_is_taken_off_the_budget() {
    let gate = gate(Duration::from_millis(1));
    let mut held = fill(&gate, Class::Normal);
    gate.probed(Duration::ZERO);
    held.extend(fill(&gate, Class::Normal));
    assert_eq!(held.len(), 41);
    probe(&gate, Duration::from_millis(30));
    drop(held);
    assert_eq!(fill(&gate, Class::Normal).len(), 11);
}

#[test]
fn a_gate_before_which_nothing_stands_is_calm_and_refuses_nobody() {
    let gate = gate(Duration::from_millis(1));
    let held = fill(&gate, Class::Normal);
    for wait in [90, 90, 90, 0, 90, 90, 90, 90] {
        gate.probed(Duration::from_millis(wait));
    }
    let turn = gate.admit(at(0), Class::Normal);
    assert!(turn.is_ok_and(|turn| turn.is_some()), "others wait, whatever the probe says");
    drop(held);
    gate.probed(Duration::from_millis(90));
    assert!(gate.admit(at(0), Class::Normal).is_ok_and(|turn| turn.is_some()));
    gate.probed(Duration::from_millis(4));
    for _ in 0..10_000 {
        assert!(gate.admit(at(0), Class::Low).is_ok_and(|turn| turn.is_none()));
    }
    for _ in 0..7 {
        gate.probed(Duration::from_millis(10));
    }
    assert!(gate.admit(at(0), Class::Low).is_ok_and(|turn| turn.is_none()));
    gate.probed(Duration::from_millis(10));
    assert!(gate.admit(at(0), Class::Low).is_ok_and(|turn| turn.is_some()));
}

#[test]
fn before_any_turn_has_ended_some_are_given_out() {
    let gate = CpuGate::new(1, Mode::Enforce).expect("one");
    probe(&gate, CALM);
    assert_eq!(fill(&gate, Class::Normal).len(), 36);
}

#[test]
fn one_long_turn_says_little_about_the_next() {
    let gate = gate(Duration::from_millis(1));
    run(turn(&gate), Duration::from_secs(10));
    assert_eq!(fill(&gate, Class::Normal).len(), 31);
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
    assert!((18..22).contains(&held), "{held}");
}

#[test]
fn two_processors_do_twice_as_much_in_a_budget() {
    let gate = of_processors(2, Duration::from_millis(1));
    assert_eq!(fill(&gate, Class::Normal).len(), 71);
}

#[test]
fn a_turn_leaves_the_queue_once_however_it_ends() {
    let gate = gate(Duration::from_millis(1));
    let mut first = turn(&gate);
    first.end(at(5));
    first.begin(at(10));
    first.begin(at(20));
    first.end(at(30));
    first.end(at(40));
    drop(first);
    drop(turn(&gate));
    assert_eq!(gate.0.lock().waiting, 0);
}

#[test]
fn monitor_counts_what_it_would_refuse_and_makes_nobody_wait() {
    let gate = gate(Duration::from_millis(1));
    gate.set_mode(Mode::Monitor);
    let refused = || gate.snapshot(at(0)).refused.iter().flatten().sum::<u64>();
    for (wait, expected) in [(BUDGET, 0), (BUDGET + CALM, 14)] {
        probe(&gate, wait);
        for _ in 0..14 {
            assert!(gate.admit(at(0), Class::Normal).is_ok_and(|turn| turn.is_none()));
        }
        assert_eq!(refused(), expected);
    }
    assert!(gate.peek(at(0), Class::Normal).is_ok());
}

#[test]
fn one_long_wait_brings_turns_at_once_and_a_short_one_ends_them() {
    let gate = CpuGate::new(1, Mode::Enforce).expect("one");
    let has_turns = || gate.admit(at(0), Class::Normal).is_ok_and(|turn| turn.is_some());
    gate.probed(ALARM - CALM);
    assert!(!has_turns());
    gate.probed(ALARM);
    assert_eq!(fill(&gate, Class::Normal).len(), 41, "the whole budget");
    assert!(has_turns());
    gate.probed(Duration::ZERO);
    assert!(!has_turns());
}
