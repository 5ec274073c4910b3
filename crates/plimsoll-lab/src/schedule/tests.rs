#![allow(clippy::unwrap_used)]

use super::*;

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap()
}

fn in_second(arrivals: &[Duration], second: u64) -> usize {
    arrivals.iter().filter(|time| time.as_secs_f64().ceil() as u64 == second + 1).count()
}

#[test]
fn even_arrivals_are_exactly_as_many_as_asked_for() {
    let arrivals: Vec<_> =
        schedule("10s:300,20s:2000,10s:300").arrivals(Spacing::Constant).collect();
    assert_eq!(arrivals.len(), 46_000);
    assert!((0..40).all(|second| {
        let expected = if (10..30).contains(&second) { 2_000 } else { 300 };
        in_second(&arrivals, second) == expected
    }));
}

#[test]
fn arrivals_are_in_order_and_within_the_schedule() {
    for spacing in [Spacing::Constant, Spacing::Poisson(1)] {
        let schedule = schedule("1s:77,500ms:0,2s:1333.3");
        let arrivals: Vec<_> = schedule.arrivals(spacing).collect();
        assert!(arrivals.is_sorted());
        assert!(arrivals.iter().all(|time| *time <= schedule.duration()));
        assert_eq!(
            in_second(&arrivals, 1),
            arrivals.iter().filter(|t| { (1.5..=2.0).contains(&t.as_secs_f64()) }).count()
        );
    }
}

#[test]
fn poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
    let seed = 7;
    eprintln!("seed {seed}");
    let arrivals: Vec<_> = schedule("100s:100").arrivals(Spacing::Poisson(seed)).collect();
    let per_second: Vec<_> = (0..100).map(|s| in_second(&arrivals, s) as f64).collect();
    let mean = per_second.iter().sum::<f64>() / 100.0;
    let variance = per_second.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 100.0;
    // Five standard errors of the mean; the variance equals the mean.
    assert!((mean - 100.0).abs() < 5.0, "mean {mean}");
    assert!((50.0..200.0).contains(&variance), "variance {variance}");
}

#[test]
fn the_same_seed_gives_the_same_arrivals_and_another_seed_others() {
    let times = |seed| schedule("1s:1000").arrivals(Spacing::Poisson(seed)).collect::<Vec<_>>();
    assert_eq!(times(1), times(1));
    assert_ne!(times(1), times(2));
}

#[test]
fn a_phase_without_requests_is_a_pause() {
    let arrivals: Vec<_> = schedule("1s:1,5s:0,1s:1").arrivals(Spacing::Constant).collect();
    assert_eq!(arrivals, [Duration::from_secs(1), Duration::from_secs(7)]);
}

#[test]
fn the_rate_of_a_moment_is_that_of_its_phase() {
    let schedule = schedule("10s:300,20s:2000");
    let at = |s| schedule.rate_at(Duration::from_secs(s));
    assert_eq!((at(0), at(10), at(30)), (300.0, 2_000.0, 0.0));
}

#[test]
fn a_bad_schedule_is_named() {
    let error = |text: &str| text.parse::<Schedule>().unwrap_err().to_string();
    assert_eq!(error(""), "a schedule needs at least one phase, such as 10s:300");
    assert_eq!(error("10s"), "phase \"10s\" is not of the form duration:rate, such as 10s:300");
    assert_eq!(
        error("10s:1,x:300"),
        "phase \"x:300\": \"x\" is not a duration such as 500ms, 10s or 2m"
    );
    assert_eq!(error("0s:300"), "phase \"0s:300\": the duration is zero");
    for rate in ["NaN", "inf", "-1", "1e9", ""] {
        assert!(error(&format!("1s:{rate}")).contains("the rate is not"), "{rate}");
    }
    assert!(error("NaNs:1").contains("is not a duration"));
}
