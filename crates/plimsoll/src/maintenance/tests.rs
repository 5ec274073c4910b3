use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + seconds)
}

const YEAR_S: u64 = 366 * 24 * 3600;

fn made(extent: Extent, begin: u64, end: Option<u64>) -> Result<Plan, InvalidPlan> {
    Plan::new(extent, at(begin), end.map(at), at(1000))
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    for (begin, end, why) in [
        (2000, Some(1999), InvalidPlan::EndsBeforeItBegins),
        (2000, Some(2000), InvalidPlan::EndsBeforeItBegins),
        (0, Some(1000), InvalidPlan::Over),
        (2000, Some(2001 + YEAR_S), InvalidPlan::TooLong),
        (1001 + YEAR_S, None, InvalidPlan::TooFarAhead),
    ] {
        assert_eq!(made(Extent::Full, begin, end), Err(why), "{begin} {end:?}");
    }
    assert_eq!(made(Extent::Retired, 2000, Some(3000)), Err(InvalidPlan::RetiredEnds));
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(Plan::new(Extent::Full, before, None, at(0)), Err(InvalidPlan::TooFarBack));
}

#[test]
fn extents_that_make_no_sense_are_refused() {
    for (name, percentage) in [
        ("percentage", None),
        ("percentage", Some(0)),
        ("percentage", Some(101)),
        ("percentage", Some(u64::MAX)),
        ("full", Some(50)),
    ] {
        assert_eq!(Extent::parse(name, percentage), Err(InvalidPlan::Percentage), "{name}");
    }
    assert_eq!(Extent::parse("off", None), Err(InvalidPlan::Extent));
}

#[test]
fn what_goes_into_headers_and_sentences_is_one_short_line() {
    let plan = made(Extent::Full, 2000, None).expect("valid");
    for reason in ["a\r\nb", "\u{0}", &"x".repeat(REASON_BYTES_MAX + 1)] {
        assert_eq!(plan.clone().because(reason), Err(InvalidPlan::Reason));
    }
    for page in ["", "javascript:alert(1)", "https://a/ b", "https://a/>", "https://a/\r\nb", "a"] {
        assert_eq!(plan.clone().explained_at(page), Err(InvalidPlan::StatusPage), "{page:?}");
    }
    for page in ["/status", "https://status.example.com/"] {
        assert!(plan.clone().explained_at(page).is_ok(), "{page}");
    }
}

#[test]
fn a_window_is_ahead_then_in_force_then_over() {
    let plan = made(Extent::Full, 2000, Some(3000)).expect("valid");
    let s = Duration::from_secs;
    assert_eq!(plan.phase(at(1999)), Phase::Ahead(s(1)));
    assert_eq!(plan.phase(at(2000)), Phase::InForce(Some(s(1000))));
    assert_eq!(plan.phase(at(3000)), Phase::Over);
    let open_end = made(Extent::Full, 0, None).expect("valid");
    assert_eq!(open_end.phase(at(u64::from(u32::MAX))), Phase::InForce(None));
}
