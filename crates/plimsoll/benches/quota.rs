//! What a quota check costs: `cargo bench -p plimsoll --bench quota`.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use divan::{AllocProfiler, Bencher};
use plimsoll::Timestamp;
use plimsoll::quota::{Limit, QuotaTable, Window, Windows};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

/// As many as the server keeps.
const CLIENTS: usize = 1_000_000;

fn main() {
    divan::main();
}

fn minute(units_max: u32) -> Limit {
    Limit::new(units_max, Duration::from_secs(60)).unwrap_or_else(|error| panic!("{error}"))
}

fn windows<const N: usize>(client: u64, limit: Limit) -> Windows {
    let mut list = Windows::default();
    for rule in 0..N as u64 {
        list.push(Window { key: client * 8 + rule, cost: 1, limit });
    }
    list
}

/// Visits the clients in an order that no cache knows.
fn stranger(number: &AtomicU64) -> u64 {
    number.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) % CLIENTS as u64
}

fn full() -> QuotaTable {
    let table = QuotaTable::new(CLIENTS);
    for client in 0..CLIENTS as u64 {
        let _ = table.charge(Timestamp::ZERO, &windows::<1>(client, minute(u32::MAX)));
    }
    table
}

/// One client in one, two or four windows.
#[divan::bench(consts = [1, 2, 4], threads = [1, 2])]
fn charge<const N: usize>(bencher: Bencher<'_, '_>) {
    let table = QuotaTable::new(CLIENTS);
    let list = windows::<N>(1, minute(u32::MAX));
    bencher.bench(|| table.charge(Timestamp::ZERO, &list).is_ok());
}

/// One client that is over its quota.
#[divan::bench(threads = [1, 2])]
fn refuse(bencher: Bencher<'_, '_>) {
    let table = QuotaTable::new(CLIENTS);
    let list = windows::<1>(1, minute(1));
    bencher.bench(|| table.charge(Timestamp::ZERO, &list).is_ok());
}

/// A million clients in turn: every one is out of the caches.
#[divan::bench(threads = [1, 2], sample_count = 1000, sample_size = 1000)]
fn charge_one_of_a_million(bencher: Bencher<'_, '_>) {
    let (table, number) = (full(), AtomicU64::new(0));
    bencher.bench(|| {
        let list = windows::<1>(stranger(&number), minute(u32::MAX));
        table.charge(Timestamp::ZERO, &list).is_ok()
    });
}

/// Newcomers of whom each takes the place of one whose window is empty.
#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn charge_a_newcomer(bencher: Bencher<'_, '_>) {
    let (table, number) = (full(), AtomicU64::new(CLIENTS as u64));
    let later = Timestamp::ZERO + Duration::from_secs(100);
    bencher.bench(|| {
        let client = number.fetch_add(1, Ordering::Relaxed);
        table.charge(later, &windows::<1>(client, minute(u32::MAX))).is_ok()
    });
}

/// Newcomers while all slots are in use: each takes the place of the least.
#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn charge_a_newcomer_in_a_flood(bencher: Bencher<'_, '_>) {
    let (table, number) = (full(), AtomicU64::new(CLIENTS as u64));
    for _ in 0..2 * CLIENTS {
        let client = number.fetch_add(1, Ordering::Relaxed);
        let _ = table.charge(Timestamp::ZERO, &windows::<1>(client, minute(u32::MAX)));
    }
    bencher.bench(|| {
        let client = number.fetch_add(1, Ordering::Relaxed);
        table.charge(Timestamp::ZERO, &windows::<1>(client, minute(u32::MAX))).is_ok()
    });
}
