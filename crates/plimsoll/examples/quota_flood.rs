//! What a flood of clients costs a quota: `bench/run quotas`.
//!
//! 100,000 clients a second whom nobody has seen before, for a minute of their own
//! time, at a table for a million; in between a client that is far over its quota.

use std::time::{Duration, Instant};

use plimsoll::Timestamp;
use plimsoll::quota::{InvalidLimit, Limit, QuotaTable, Window, Windows};

const CLIENTS_MAX: usize = 1_000_000;
const CLIENTS_PER_SECOND: u64 = 100_000;
const SECONDS: u64 = 60;
const QUOTA: u32 = 100;
/// The greedy client asks once for so many others.
const GREEDY_EVERY: u64 = 50;

#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measuring tool")]
fn main() -> Result<(), InvalidLimit> {
    for interval_s in [1, 10, 60] {
        let before = resident_bytes();
        let table = QuotaTable::new(CLIENTS_MAX);
        let limit = Limit::new(QUOTA, Duration::from_secs(interval_s))?;
        let (mut greedy, mut refused) = (0_u64, 0_u64);
        let began = Instant::now();
        for request in 0..CLIENTS_PER_SECOND * SECONDS {
            let now = Timestamp::from_nanos(request * (1_000_000_000 / CLIENTS_PER_SECOND));
            let is_greedy = request.is_multiple_of(GREEDY_EVERY);
            let key = if is_greedy { 1 } else { request + 2 };
            let mut windows = Windows::default();
            windows.push(Window { key, cost: 1, limit });
            let fits = table.charge(now, &windows).is_ok();
            greedy += u64::from(is_greedy && fits);
            refused += u64::from(!is_greedy && !fits);
        }
        let each = began.elapsed().as_secs_f64() * 1e9 / (CLIENTS_PER_SECOND * SECONDS) as f64;
        let resident = resident_bytes().saturating_sub(before);
        println!(
            "interval {interval_s:>2} s: {each:.0} ns a check, {:.1} MB resident of {:.1} MB at \
             most; the greedy client passed {greedy} times (quota {QUOTA} in {interval_s} s), \
             {refused} others were refused",
            resident as f64 / 1e6,
            table.bytes_max() as f64 / 1e6,
        );
    }
    Ok(())
}

fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
