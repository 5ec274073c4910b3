use super::*;

const NOW: Timestamp = Timestamp::ZERO;
const GB: u64 = 1_000_000_000;

fn gate() -> HeadroomGate {
    HeadroomGate::new(Mode::Enforce)
}

fn grows(gate: &HeadroomGate) -> bool {
    gate.admit(NOW, Class::High, || false).is_ok()
}

#[test]
fn a_small_disk_keeps_100_mb_and_a_large_one_a_twentieth() {
    for (total, floor) in [(GB, FLOOR_BYTES_MIN), (2 * GB, FLOOR_BYTES_MIN), (200 * GB, 10 * GB)] {
        let gate = gate();
        gate.report(floor, total);
        assert!(grows(&gate), "{total}");
        gate.report(floor - floor / 1000, total);
        assert!(!grows(&gate), "{total}");
    }
}

#[test]
fn what_frees_space_passes_a_full_disk_and_so_does_critical_work() {
    let gate = gate();
    gate.report(0, GB);
    gate.admit(NOW, Class::Normal, || true).expect("frees space");
    gate.admit(NOW, Class::Critical, || false).expect("critical");
    let rejection = gate.admit(NOW, Class::High, || false).expect_err("grows");
    assert_eq!((rejection.gate, rejection.reason), (Gate::Disk, Reason::NoSpace));
}

#[test]
fn it_reopens_with_the_first_report_of_room() {
    let gate = gate();
    gate.report(0, GB);
    assert!(!grows(&gate));
    gate.report(GB / 2, GB);
    assert!(grows(&gate));
    assert!(gate.snapshot(NOW).saturation < 0.5);
}

#[test]
fn a_disk_that_nobody_has_looked_at_is_not_full() {
    assert!(grows(&gate()));
}

#[test]
fn monitor_counts_and_off_does_not() {
    for (mode, counted) in [(Mode::Monitor, 1), (Mode::Off, 0)] {
        let gate = HeadroomGate::new(mode);
        gate.report(0, GB);
        assert!(grows(&gate));
        assert_eq!(gate.snapshot(NOW).refused.iter().flatten().sum::<u64>(), counted);
    }
}
