use super::*;

fn at(micros: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_micros(micros)
}

/// A gate in front of one processor that knows what a turn costs, and has been alarmed by
/// something that passed.
fn gate(turn: Duration) -> CpuGate {
    of_processors(1, turn)
}

fn of_processors(count: u32, takes: Duration) -> CpuGate {
    let gate = CpuGate::new(count, Mode::Enforce).expect("not zero");
    probed(&gate, ALARM);
    probe(&gate, CALM);
    run(turn(&gate), takes);
    gate
}

/// A wait that was all for the server's own work.
fn probed(gate: &CpuGate, wait: Duration) {
    gate.probed(wait, wait * gate.lanes());
}

/// As many probes as are remembered.
fn probe(gate: &CpuGate, wait: Duration) {
    (0..8).for_each(|_| probed(gate, wait));
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
    let cases = [(400, 138, 51), (1000, 56, 21), (40_000, 2, 1), (200_000, 1, 1)];
    for (micros, passing, standing) in cases {
        let gate = gate(Duration::from_micros(micros));
        assert_eq!(fill(&gate, Class::Normal).len(), passing, "{micros} us");
        let rejection = gate.admit(at(0), Class::Normal).map(drop);
        assert!(rejection.is_ok(), "what was given back can be taken again");
        probe(&gate, ALARM);
        assert_eq!(fill(&gate, Class::Normal).len(), standing, "{micros} us");
    }
}

#[test]
fn who_matters_more_waits_longer_before_anybody_refuses_it() {
    let gate = gate(Duration::from_millis(1));
    let mut held = fill(&gate, Class::Low);
    assert_eq!(held.len(), 26);
    held.extend(fill(&gate, Class::Normal));
    assert_eq!(held.len(), 56);
    held.extend(fill(&gate, Class::High));
    assert_eq!(held.len(), 86);
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
    probed(&gate, Duration::ZERO);
    held.extend(fill(&gate, Class::Normal));
    assert_eq!(held.len(), 61);
    probe(&gate, Duration::from_millis(30));
    drop(held);
    assert_eq!(fill(&gate, Class::Normal).len(), 11);
}

#[test]
fn a_gate_before_which_nothing_stands_is_calm_and_refuses_nobody() {
    let gate = CpuGate::new(1, Mode::Enforce).expect("one");
    let has_turns = || gate.admit(at(0), Class::High).is_ok_and(|turn| turn.is_some());
    probe(&gate, ALARM - CALM);
    for _ in 0..10_000 {
        assert!(gate.admit(at(0), Class::Low).is_ok_and(|turn| turn.is_none()));
    }
    probed(&gate, ALARM);
    assert!(has_turns(), "one long wait is enough");
    let held = fill(&gate, Class::Normal);
    probe(&gate, Duration::ZERO);
    assert!(has_turns(), "others wait, whatever the probe says");
    drop(held);
    probed(&gate, CALM);
    assert!(has_turns());
    probed(&gate, CALM / 2);
    assert!(!has_turns());
}

#[test]
fn a_processor_that_was_given_to_others_is_no_overload() {
    let gate = CpuGate::new(2, Mode::Enforce).expect("two");
    let has_turns = || gate.admit(at(0), Class::High).is_ok_and(|turn| turn.is_some());
    gate.probed(ALARM * 3, ALARM);
    assert!(!has_turns(), "of the three, two processors together had worked for one");
    gate.probed(ALARM * 4, Duration::ZERO);
    assert!(has_turns(), "however little they worked");
    gate.probed(CALM / 2, Duration::MAX);
    assert!(!has_turns(), "nobody waits for longer than it waits");
}

#[test]
fn before_any_turn_has_ended_some_are_given_out() {
    let gate = CpuGate::new(1, Mode::Enforce).expect("one");
    probed(&gate, ALARM);
    assert_eq!(fill(&gate, Class::Normal).len(), 61);
}

#[test]
fn one_long_turn_says_little_about_the_next() {
    let gate = gate(Duration::from_millis(1));
    run(turn(&gate), Duration::from_secs(10));
    assert_eq!(fill(&gate, Class::Normal).len(), 48);
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
    assert!((28..32).contains(&held), "{held}");
}

#[test]
fn two_processors_do_twice_as_much_in_a_budget() {
    let gate = of_processors(2, Duration::from_millis(1));
    assert_eq!(fill(&gate, Class::Normal).len(), 111);
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
