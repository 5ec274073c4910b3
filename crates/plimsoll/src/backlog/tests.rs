use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

/// Reports once a second how late the work is, for half a minute; then asks.
fn ask_after(gate: &BacklogGate, late: impl Fn(u64) -> u64) -> Result<(), Rejection> {
    for second in 0..=30 {
        gate.report(at(second), Duration::from_secs(late(second)));
    }
    gate.admit(at(30), Class::High)
}

#[test]
fn work_that_is_never_done_in_time_closes_it() {
    // Late by more and more, by no less, and by a little less only.
    for (name, late) in [
        ("grows", (|t| 40 + t) as fn(u64) -> u64),
        ("stands", |_| 61),
        ("crawls", |t| 3600 - 10 * t),
    ] {
        let rejection = ask_after(&BacklogGate::new(Mode::Enforce), late).expect_err(name);
        assert_eq!((rejection.gate, rejection.reason), (Gate::Leases, Reason::Full), "{name}");
        assert!(rejection.retry_after >= Duration::from_secs(1), "{name}");
    }
}

#[test]
fn late_work_that_catches_up_does_not_and_neither_does_work_that_is_late_by_little() {
    // A night's leases after a restart, a minute's that all end in one second.
    for (name, late) in [
        ("a night", (|t| 30_000 - 600 * t) as fn(u64) -> u64),
        ("one second", |t| t),
        ("nothing", |_| 0),
    ] {
        assert_eq!(ask_after(&BacklogGate::new(Mode::Enforce), late), Ok(()), "{name}");
    }
}

#[test]
fn it_opens_when_the_work_catches_up_or_has_caught_up() {
    let gate = BacklogGate::new(Mode::Enforce);
    assert!(ask_after(&gate, |t| 100 + t).is_err());
    for second in 31..=60 {
        let late = 130_u64.saturating_sub(4 * (second - 30));
        gate.report(at(second), Duration::from_secs(late));
    }
    assert_eq!(gate.admit(at(60), Class::Low), Ok(()));
    let gate = BacklogGate::new(Mode::Enforce);
    assert!(ask_after(&gate, |t| 100 + t).is_err());
    gate.report(at(31), Duration::ZERO);
    assert_eq!(gate.admit(at(31), Class::Low), Ok(()));
    assert!(gate.snapshot(at(31)).saturation < 0.01);
}

#[test]
fn a_clock_that_jumps_closes_nothing() {
    let gate = BacklogGate::new(Mode::Enforce);
    gate.report(at(0), Duration::ZERO);
    gate.report(at(1), Duration::from_secs(100_000));
    assert_eq!(gate.admit(at(1), Class::Low), Ok(()), "the pace is not known yet");
}

#[test]
fn critical_work_passes_monitor_counts_and_off_does_not() {
    for (mode, counted) in [(Mode::Enforce, 1), (Mode::Monitor, 1), (Mode::Off, 0)] {
        let gate = BacklogGate::new(mode);
        assert_eq!(ask_after(&gate, |t| 100 + t).is_err(), mode == Mode::Enforce);
        assert_eq!(gate.admit(at(30), Class::Critical), Ok(()));
        assert_eq!(gate.snapshot(at(30)).refused.iter().flatten().sum::<u64>(), counted);
    }
}
