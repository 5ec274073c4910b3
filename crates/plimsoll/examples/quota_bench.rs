//! What a quota check costs, and what a flood of clients does: `bench/run quotas`.
//!
//! Times are medians of batches, with the server's allocator. The flood is 100,000
//! clients a second whom nobody has seen before, for a minute of the table's time, at a
//! table for a million; in between a client that is far over its quota. A figure that
//! misses its mark is shown with `!`.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measuring tool")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll::Timestamp;
use plimsoll::quota::{InvalidLimit, Limit, QuotaTable, Window, Windows};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many as the server keeps.
const CLIENTS_MAX: u64 = 1_000_000;
/// What a check may cost.
const CHECK_NS_MAX: f64 = 300.0;

const BATCHES: usize = 201;
const CHECKS_PER_BATCH: u64 = 2000;

const FLOOD_PER_SECOND: u64 = 100_000;
const FLOOD_SECONDS: u64 = 60;
const QUOTA: u32 = 100;
/// The greedy client asks once for so many others.
const GREEDY_EVERY: u64 = 50;

/// Its size classes are an eighth apart.
const ALLOCATOR_ROUNDS_UP_MAX: f64 = 1.125;

fn main() -> Result<(), InvalidLimit> {
    let base_bytes = resident_bytes();
    println!("{FLOOD_PER_SECOND} unknown clients a second for {FLOOD_SECONDS} s");
    for interval_s in [1, 10, 60] {
        flood(interval_s, base_bytes)?;
    }

    let minute = Limit::new(u32::MAX, Duration::from_secs(60))?;
    let one = Limit::new(1, Duration::from_secs(60))?;
    println!("\none check, median of {BATCHES} batches");
    for count in [1, 2, 4] {
        let (table, list) = (table(), windows(count, 1, minute));
        let mark = if count == 1 { CHECK_NS_MAX } else { f64::INFINITY };
        row(&format!("known client, windows: {count}"), cost(|_| charge(&table, 0, &list)), mark);
    }
    let (refusing, list) = (table(), windows(1, 1, one));
    row("known client, refused", cost(|_| charge(&refusing, 0, &list)), CHECK_NS_MAX);

    let full = table();
    let ask = |second, client| charge(&full, second, &windows(1, client, minute));
    (0..CLIENTS_MAX).for_each(|client| ask(0, client));
    // An order that no cache knows.
    let any = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % CLIENTS_MAX;
    row("one of a million, out of the caches", cost(|n| ask(0, any(n))), f64::INFINITY);
    let stop = AtomicU64::new(0);
    let beside = thread::scope(|scope| {
        scope.spawn(|| {
            (0..).take_while(|_| stop.load(Ordering::Relaxed) == 0).for_each(|n| ask(0, any(n)));
        });
        let beside = cost(|n| ask(0, any(n + 500_000)));
        stop.store(1, Ordering::Relaxed);
        beside
    });
    row("the same beside another thread", beside, f64::INFINITY);
    row(
        "newcomer in place of an empty window",
        cost(|n| ask(100, 2 * CLIENTS_MAX + n)),
        f64::INFINITY,
    );
    Ok(())
}

fn table() -> QuotaTable {
    QuotaTable::new(usize::try_from(CLIENTS_MAX).unwrap_or(usize::MAX))
}

fn windows(count: u64, client: u64, limit: Limit) -> Windows {
    let mut list = Windows::default();
    for rule in 0..count {
        list.push(Window { key: client * 8 + rule, cost: 1, limit });
    }
    list
}

fn charge(table: &QuotaTable, second: u64, windows: &Windows) {
    let now = Timestamp::ZERO + Duration::from_secs(second);
    let _ = std::hint::black_box(table.charge(now, windows));
}

/// Nanoseconds of a check, numbered from 0.
fn cost(mut check: impl FnMut(u64)) -> f64 {
    let mut batches: Vec<f64> = (0..BATCHES as u64)
        .map(|batch| {
            let began = Instant::now();
            let first = batch * CHECKS_PER_BATCH;
            (first..first + CHECKS_PER_BATCH).for_each(&mut check);
            began.elapsed().as_secs_f64() * 1e9 / CHECKS_PER_BATCH as f64
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[BATCHES / 2]
}

fn row(name: &str, ns: f64, mark: f64) {
    let marked = if mark.is_finite() { format!("<= {mark:.0}") } else { String::new() };
    println!("{name:<38}{ns:>6.0} ns  {marked}{}", if ns > mark { " !" } else { "" });
}

fn flood(interval_s: u64, base_bytes: u64) -> Result<(), InvalidLimit> {
    let table = table();
    let limit = Limit::new(QUOTA, Duration::from_secs(interval_s))?;
    let (mut greedy, mut refused) = (0_u64, 0_u64);
    let began = Instant::now();
    for request in 0..FLOOD_PER_SECOND * FLOOD_SECONDS {
        let now = Timestamp::from_nanos(request * (1_000_000_000 / FLOOD_PER_SECOND));
        let is_greedy = request.is_multiple_of(GREEDY_EVERY);
        let client = if is_greedy { 1 } else { request + 2 };
        let fits = table.charge(now, &windows(1, client, limit)).is_ok();
        greedy += u64::from(is_greedy && fits);
        refused += u64::from(!is_greedy && !fits);
    }
    let each = began.elapsed().as_secs_f64() * 1e9 / (FLOOD_PER_SECOND * FLOOD_SECONDS) as f64;
    let megabytes = resident_bytes().saturating_sub(base_bytes) as f64 / 1e6;
    let megabytes_max = table.bytes_max() as f64 / 1e6 * ALLOCATOR_ROUNDS_UP_MAX;
    println!(
        "quota of {QUOTA} in {interval_s:>2} s: {each:.0} ns a check; {megabytes:.1} MB resident, \
         <= {megabytes_max:.1}{}; the greedy client passed {greedy} times, {refused} others were \
         refused",
        if megabytes > megabytes_max { " !" } else { "" },
    );
    Ok(())
}

fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
