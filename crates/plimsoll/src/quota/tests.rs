use core::time::Duration;
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

fn limit(units_max: u32, interval: Duration) -> Limit {
    Limit::new(units_max, interval).expect("valid")
}

fn windows(windows: &[(u64, u32, Limit)]) -> Windows {
    let mut list = Windows::default();
    for (key, cost, limit) in windows {
        assert!(list.push(Window { key: *key, cost: *cost, limit: *limit }));
    }
    list
}

fn one(key: u64, limit: Limit) -> Windows {
    windows(&[(key, 1, limit)])
}

#[test]
fn a_burst_takes_the_quota_and_waits_for_the_rest() {
    let (table, limit) = (QuotaTable::new(100), limit(3, SECOND));
    for remaining in [2, 1, 0] {
        let usage = table.charge(at(40), &one(1, limit)).expect("fits").usage.expect("a window");
        assert_eq!((usage.units_max, usage.remaining), (3, remaining));
    }
    let exceeded = table.charge(at(50), &one(1, limit)).expect_err("full");
    // What came in the sub-window from 0 to 100 ms leaves with it.
    assert_eq!(exceeded.retry_after, Duration::from_millis(950));
    assert!(table.charge(at(999), &one(1, limit)).is_err());
    assert!(table.charge(at(1000), &one(1, limit)).is_ok());
    assert!(table.charge(at(50), &one(2, limit)).is_ok(), "another client");
}

#[test]
fn a_client_that_keeps_its_rate_is_never_refused() {
    let (table, limit) = (QuotaTable::new(100), limit(7, SECOND));
    for request in 0..10_000_u64 {
        let now = at(request * 1000 / 7 + 13);
        assert!(table.charge(now, &one(1, limit)).is_ok(), "request {request}");
    }
}

#[test]
fn the_edge_of_a_window_lets_nothing_extra_through() {
    let (table, limit) = (QuotaTable::new(100), limit(100, SECOND));
    let passed = |ms| (0..1000).filter(|_| table.charge(at(ms), &one(1, limit)).is_ok()).count();
    assert_eq!((passed(1999), passed(2000), passed(2050), passed(2899)), (100, 0, 0, 0));
    assert_eq!(passed(2900), 100);
}

#[test]
fn a_request_that_one_window_refuses_uses_up_nothing_of_the_others() {
    let table = QuotaTable::new(100);
    let (second, minute) = (limit(2, SECOND), limit(3, 60 * SECOND));
    let both = windows(&[(1, 1, second), (2, 1, minute)]);
    assert!(table.charge(at(0), &both).is_ok());
    assert!(table.charge(at(0), &both).is_ok());
    for _ in 0..10 {
        let exceeded = table.charge(at(0), &both).expect_err("two a second");
        assert_eq!((exceeded.window, exceeded.retry_after), (0, SECOND));
    }
    assert!(table.charge(at(1000), &both).is_ok(), "the minute has one left");
    let exceeded = table.charge(at(2000), &both).expect_err("three a minute");
    assert_eq!((exceeded.window, exceeded.retry_after), (1, 58 * SECOND));
    assert!(table.charge(at(2000), &one(1, second)).is_ok(), "the second is untouched");
}

#[test]
fn the_longest_wait_is_told_because_before_it_a_retry_is_in_vain() {
    let table = QuotaTable::new(100);
    let both = windows(&[(1, 1, limit(1, 60 * SECOND)), (2, 1, limit(1, SECOND))]);
    assert!(table.charge(at(0), &both).is_ok());
    let exceeded = table.charge(at(0), &both).expect_err("both are full");
    assert_eq!((exceeded.window, exceeded.retry_after), (0, 60 * SECOND));
}

#[test]
fn what_was_not_executed_is_given_back() {
    let (table, limit) = (QuotaTable::new(100), limit(1, SECOND));
    let charge = table.charge(at(0), &one(1, limit)).expect("fits");
    assert!(table.charge(at(10), &one(1, limit)).is_err());
    table.refund(&one(1, limit), &charge);
    let charge = table.charge(at(20), &one(1, limit)).expect("fits again");
    assert!(table.charge(at(1500), &one(1, limit)).is_ok());
    table.refund(&one(1, limit), &charge);
    assert!(table.charge(at(1600), &one(1, limit)).is_err(), "too late to give back");
}

#[test]
fn a_blocked_client_stays_out_however_quiet_it_is() {
    let table = QuotaTable::new(100);
    let limit = limit(1, SECOND).with_block(10 * SECOND);
    assert!(table.charge(at(0), &one(1, limit)).is_ok());
    let exceeded = table.charge(at(500), &one(1, limit)).expect_err("full");
    assert_eq!(exceeded.retry_after, 10 * SECOND);
    let exceeded = table.charge(at(9500), &one(1, limit)).expect_err("blocked");
    assert_eq!((exceeded.retry_after, exceeded.usage), (SECOND, None));
    assert!(table.charge(at(10_500), &one(1, limit)).is_ok(), "asking did not prolong it");
}

#[test]
fn a_cost_beyond_the_quota_never_fits_and_is_told_the_interval() {
    let table = QuotaTable::new(100);
    let exceeded = table.charge(at(0), &windows(&[(1, 5, limit(4, SECOND))])).expect_err("5 > 4");
    assert_eq!(exceeded.retry_after, SECOND);
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let no = |units, interval| Limit::new(units, interval).expect_err("invalid");
    assert_eq!(no(0, SECOND), InvalidLimit::Zero);
    assert_eq!(no(1, Duration::ZERO), InvalidLimit::Interval);
    assert_eq!(no(1, Duration::MAX), InvalidLimit::Interval);
}

#[test]
fn two_windows_of_a_newcomer_never_share_a_slot() {
    let limit = limit(1000, SECOND);
    let table = QuotaTable::new(1);
    for client in 0..10_000_u64 {
        let both = windows(&[(2 * client, 1, limit), (2 * client + 1, 2, limit)]);
        if table.charge(at(client / 100), &both).is_err() {
            continue;
        }
        for key in [2 * client, 2 * client + 1] {
            let usage = table.charge(at(client / 100), &one(key, limit));
            let used =
                usage.ok().and_then(|charge| charge.usage).map(|u| u.units_max - u.remaining);
            assert!(used >= Some(2), "{key}: {used:?}");
        }
    }
}

#[test]
fn threads_share_a_quota_to_the_last_unit() {
    let table = Arc::new(QuotaTable::new(100));
    let (second, minute) = (limit(1000, SECOND), limit(500, 60 * SECOND));
    let clients: Vec<_> = (0..4)
        .map(|thread| {
            let table = Arc::clone(&table);
            // Half of the threads name the windows the other way round.
            let mut both = [(1, 1, second), (2, 1, minute)];
            both.rotate_left(thread % 2);
            thread::spawn(move || {
                (0..400).filter(|_| table.charge(at(0), &windows(&both)).is_ok()).count()
            })
        })
        .collect();
    let passed: usize = clients.into_iter().map(|client| client.join().expect("no panic")).sum();
    assert_eq!(passed, 500);
}

/// `plimsoll-server` keeps so many.
const CLIENTS: u64 = 1_000_000;

#[test]
fn a_million_clients_are_kept_apart_in_the_bytes_that_were_told() {
    let (table, limit) = (QuotaTable::new(CLIENTS as usize), limit(2, 3600 * SECOND));
    assert_eq!(table.bytes_max(), 95_023_104);
    for client in 0..CLIENTS {
        assert!(table.charge(at(client / 100), &one(client, limit)).is_ok());
    }
    // Whoever was forgotten would find more left, or less if it inherited.
    let exact = (0..CLIENTS).filter(|client| {
        let usage = table.charge(at(10_000), &one(*client, limit)).ok().and_then(|c| c.usage);
        usage.is_some_and(|usage| usage.remaining == 0)
    });
    assert_eq!(exact.count() as u64, CLIENTS);
    assert_eq!(table.bytes_max(), 95_023_104);
}

#[test]
fn a_flood_of_made_up_clients_gives_a_greedy_one_no_fresh_start() {
    let (table, limit) = (QuotaTable::new(3000), limit(100, 3600 * SECOND));
    let mut passed = 0;
    for request in 0..300_000_u64 {
        // Fifty made-up clients, then the greedy one again.
        let key = if request % 50 == 0 { 0 } else { request };
        let is_greedy = key == 0;
        passed += u32::from(table.charge(at(request / 100), &one(key, limit)).is_ok() && is_greedy);
    }
    assert_eq!(passed, 100);
}

#[test]
fn a_flood_leaves_an_honest_newcomer_most_of_its_quota() {
    let (table, limit) = (QuotaTable::new(10_000), limit(100, 3600 * SECOND));
    for flooder in 0..100_000_u64 {
        let _ = table.charge(at(flooder / 100), &one(flooder + 1, limit));
    }
    let passed = (0..200).filter(|_| table.charge(at(1000), &one(0, limit)).is_ok()).count();
    // Ten made-up clients for each that can be kept.
    assert!((85..=100).contains(&passed), "{passed}");
}

fn passes(table: &QuotaTable, tariff: &Tariff, key: u64, class: &str, operations: u32) -> u32 {
    let class = tariff.class(class).expect("a class");
    let mut list = Windows::default();
    assert!(list.push(tariff.vault(class, key)));
    let passed = (0..operations).filter(|_| table.charge(at(0), &list).is_ok());
    u32::try_from(passed.count()).expect("few")
}

#[test]
fn each_published_class_passes_exactly_its_limit() {
    let tariff = Tariff::key_vault(false).expect("valid");
    for (class, max) in KEY_VAULT_CLASSES {
        let table = QuotaTable::new(100);
        assert_eq!(passes(&table, &tariff, 1, class, max + 10), max, "{class}");
    }
}

#[test]
fn the_published_example_of_the_weighted_sum_holds() {
    // "Only one of: 4,000 RSA 2,048-bit software GETs, 2,000 RSA 2,048-bit HSM GETs,
    // 250 RSA 4,096-bit HSM GETs, 248 RSA 4,096-bit and 16 RSA 2,048-bit HSM GETs."
    let tariff = Tariff::key_vault(false).expect("valid");
    for (class, max) in [("rsa_2048_software", 4000), ("rsa_2048_hsm", 2000), ("rsa_4096_hsm", 250)]
    {
        let table = QuotaTable::new(100);
        assert_eq!(passes(&table, &tariff, 1, class, max), max);
        for (other, _) in KEY_VAULT_CLASSES {
            assert_eq!(passes(&table, &tariff, 1, other, 1), 0, "{class}, then {other}");
        }
    }
    let table = QuotaTable::new(100);
    assert_eq!(passes(&table, &tariff, 1, "rsa_4096_hsm", 248), 248);
    assert_eq!(passes(&table, &tariff, 1, "rsa_2048_hsm", 20), 16);
    assert_eq!(passes(&table, &tariff, 1, "rsa_2048_software", 1), 0);
}

#[test]
fn a_subscription_has_five_vaults_worth() {
    let tariff = Tariff::key_vault(false).expect("valid");
    for (class, max) in [("rsa_4096_hsm", 250), ("secret_create", 300), ("other", 4000)] {
        let table = QuotaTable::new(100);
        let class = tariff.class(class).expect("a class");
        let passed = |vault: u64| {
            let mut list = Windows::default();
            assert!(list.push(tariff.vault(class, vault)));
            assert!(list.push(tariff.subscription(class, 99)));
            (0..max + 1).filter(|_| table.charge(at(0), &list).is_ok()).count()
        };
        let vaults: Vec<usize> = (1..=6).map(passed).collect();
        assert_eq!(vaults, [max, max, max, max, max, 0]);
    }
}

#[test]
fn refused_operations_count_or_do_not_as_the_policy_says() {
    for (count_rejected, later) in [(true, 0), (false, 10)] {
        let tariff = Tariff::key_vault(count_rejected).expect("valid");
        let class = tariff.class("rsa_2048_hsm_create").expect("a class");
        let table = QuotaTable::new(100);
        let mut list = Windows::default();
        assert!(list.push(tariff.vault(class, 1)));
        let passed = |ms| (0..20).filter(|_| table.charge(at(ms), &list).is_ok()).count();
        assert_eq!(passed(0), 10);
        // A client that does not wait: ten refused ones a second.
        let mut late = 0;
        for second in 1..=10 {
            late += passed(second * 1000);
        }
        assert_eq!(late, later, "count_rejected = {count_rejected}");
        // One that waits gets in again.
        assert_eq!(passed(25_000), 10);
    }
}

#[test]
fn tariffs_that_make_no_sense_are_refused() {
    let no = |classes: &[(&str, u32)]| Tariff::new(classes, SECOND, false).expect_err("invalid");
    assert_eq!(no(&[("a", 0)]), InvalidTariff::Class("a".to_owned()));
    assert_eq!(no(&[("a", 10_001)]), InvalidTariff::Class("a".to_owned()));
    assert_eq!(no(&[("a", 1), ("a", 2)]), InvalidTariff::Repeated("a".to_owned()));
    let interval = Tariff::new(&[("a", 1)], Duration::ZERO, false).expect_err("invalid");
    assert_eq!(interval, InvalidTariff::Interval(InvalidLimit::Interval));
}

proptest! {
    /// Against the log of all requests: in no nine tenths of an interval, rounded to
    /// its sub-windows, does more than the quota pass, and what is refused would
    /// have exceeded it in a whole one.
    #[test]
    fn no_more_passes_than_the_quota_and_no_less(
        gaps in prop::collection::vec((0_u64..400, 1_u32..4), 1..300),
        units_max in 3_u32..20,
    ) {
        let (table, limit) = (QuotaTable::new(10), limit(units_max, SECOND));
        let (mut now, mut log) = (0, Vec::<(u64, u32)>::new());
        for (gap, cost) in gaps {
            now += gap;
            let within = |ms: u64| -> u32 {
                let recent = log.iter().filter(|(then, _)| now - then < ms);
                recent.map(|(_, cost)| cost).sum()
            };
            let (nine_tenths, whole) = (within(900), within(1000));
            match table.charge(at(now), &windows(&[(1, cost, limit)])) {
                Ok(_) => {
                    prop_assert!(nine_tenths + cost <= units_max);
                    log.push((now, cost));
                }
                Err(exceeded) => {
                    prop_assert!(whole + cost > units_max);
                    let wait = u64::try_from(exceeded.retry_after.as_millis()).expect("short");
                    prop_assert!((1..=1000).contains(&wait));
                    let again = at(now + wait);
                    let charge = table.charge(again, &windows(&[(1, cost, limit)]));
                    prop_assert!(charge.is_ok(), "not after the wait that was told");
                    table.refund(&windows(&[(1, cost, limit)]), &charge.expect("just checked"));
                    now += wait;
                }
            }
        }
    }
}
