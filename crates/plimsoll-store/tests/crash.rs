//! Power cuts, damage and disk errors at every operation of a recorded workload.
//!
//! The workload freezes tables, merges them into the database and uses the
//! segments of the log again, all on a disk that fails at operation n, for every n.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{key, once, submit};
use plimsoll::Mode;
use plimsoll_store::disk::{Fault, SimDisk};
use plimsoll_store::{
    Key, LogStore, OpenError, OpenOptions, Range, Revision, Store, StoreError, Txn,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// All subsets of the unsynced sectors up to here.
const SECTORS_EXHAUSTIVE_MAX: usize = 10;
/// Else so many of them.
const SUBSETS: u64 = 64;
const SEED: u64 = 0x5EED;

type Model = BTreeMap<Key, Vec<u8>>;

fn open(disk: &SimDisk) -> Result<LogStore, OpenError> {
    LogStore::open(options(disk))
}

fn options(disk: &SimDisk) -> OpenOptions {
    let mut options = OpenOptions::on(Arc::new(disk.clone()));
    // The gate has its own tests.
    options.mode = Mode::Off;
    options.log_segment_bytes = 16 << 10;
    options.log_bytes_max = 64 << 10;
    options.txn_bytes_max = 7 << 10;
    options.table_bytes_max = 4 << 10;
    options.cache_bytes = 1 << 20;
    options.calibrate = false;
    options
}

/// Transactions of one to three operations on few keys, some of several sectors.
fn workload() -> Vec<Txn> {
    let mut rng = SmallRng::seed_from_u64(SEED);
    (0..22)
        .map(|n: u32| {
            let mut txn = Txn::default();
            for part in 0..rng.random_range(1..=3) {
                let name = key(&format!("key/{}", (rng.random_range(0..4) * 3) + part));
                if n > 4 && rng.random_ratio(1, 5) {
                    txn.deletes.push(name);
                } else {
                    let bytes = if rng.random_ratio(1, 6) { 1500 } else { 40 };
                    let value: Vec<u8> = (0..bytes).map(|_| rng.random()).collect();
                    txn.puts.push((name, value.into()));
                }
            }
            txn
        })
        .collect()
}

/// The state after so many transactions.
fn model(txns: &[Txn], revision: Revision) -> Model {
    let mut model = Model::new();
    for txn in &txns[..revision as usize] {
        for (key, value) in &txn.puts {
            model.insert(key.clone(), value.to_vec());
        }
        for key in &txn.deletes {
            model.remove(key);
        }
    }
    model
}

/// What became of each transaction, in the order of submission.
fn run(disk: &SimDisk, txns: &[Txn]) -> Vec<Result<Revision, StoreError>> {
    let Ok(store) = open(disk) else { return Vec::new() };
    let mut answers = Vec::new();
    // Groups of one, two, three, one, ... transactions.
    let mut rest = txns;
    for size in (1..=3).cycle() {
        let (now, later) = rest.split_at(size.min(rest.len()));
        let waiting: Vec<_> = now.iter().map(|txn| submit(&store, txn.clone(), once())).collect();
        answers.extend(waiting.into_iter().map(|answer| answer.blocking_recv().unwrap()));
        rest = later;
        if rest.is_empty() || store.health().is_err() {
            return answers;
        }
    }
    answers
}

fn contents(store: &LogStore) -> (Revision, Model) {
    let view = store.view();
    let range = Range { prefix: b"", after: b"", keys_max: usize::MAX };
    let found = view.range(range).unwrap();
    (view.revision(), found.into_iter().map(|(key, entry)| (key, entry.value.to_vec())).collect())
}

/// Recovers and checks that what is there is a prefix that holds everything
/// acknowledged, and nothing that was answered as not executed.
fn check(
    disk: &SimDisk,
    txns: &[Txn],
    answers: &[Result<Revision, StoreError>],
    what: &dyn Fn() -> String,
) {
    let store = open(disk).unwrap_or_else(|error| panic!("{}: {error}", what()));
    let (revision, found) = contents(&store);
    let acknowledged = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    let denied = answers
        .iter()
        .position(|answer| matches!(answer, Err(StoreError::Stopped(_))))
        .unwrap_or(usize::MAX) as u64;
    assert!(revision >= acknowledged, "{}: {revision} < {acknowledged} acknowledged", what());
    assert!(revision <= denied, "{}: {revision} includes one that was denied", what());
    assert!(revision <= txns.len() as u64, "{}", what());
    assert!(found == model(txns, revision), "{}: torn at {revision}", what());
}

/// Recovers from a power cut with every subset of what was not synced, or some.
fn check_power_cut(
    disk: &SimDisk,
    txns: &[Txn],
    answers: &[Result<Revision, StoreError>],
    what: &dyn Fn() -> String,
) -> u64 {
    let unsynced = disk.unsynced();
    let exhaustive = unsynced <= SECTORS_EXHAUSTIVE_MAX;
    let subsets = if exhaustive { 1 << unsynced } else { SUBSETS };
    for subset in 0..subsets {
        let mut rng = SmallRng::seed_from_u64(SEED ^ subset);
        let mut bits = subset;
        // Of the random ones, the first two are nothing and all.
        let after = disk.after_power_cut(|| match (exhaustive, subset) {
            (true, _) => {
                let survives = bits & 1 == 1;
                bits >>= 1;
                survives
            }
            (false, 0) => false,
            (false, 1) => true,
            (false, _) => rng.random(),
        });
        check(&after, txns, answers, &|| format!("{}, subset {subset} of {unsynced}", what()));
    }
    subsets
}

/// Whether a segment of the log has been used twice.
fn has_recycled(disk: &SimDisk) -> bool {
    let segments = (1..).map_while(|number| disk.read(&format!("{number:08}.seg")));
    let ids = segments.map(|bytes| u64::from_le_bytes(bytes[16..24].try_into().unwrap()));
    let ids: Vec<_> = ids.collect();
    ids.iter().any(|&id| id > ids.len() as u64)
}

/// Runs the workload with a fault at every operation in turn.
fn at_every_operation(
    fault: Fault,
    (first, step): (u64, u64),
    mut then: impl FnMut(&SimDisk, &[Txn], &[Result<Revision, StoreError>], &dyn Fn() -> String),
) {
    let txns = workload();
    for operation in (first..).step_by(step as usize) {
        let disk = SimDisk::new();
        disk.fail_at(operation, fault);
        let answers = run(&disk, &txns);
        if !disk.has_failed() {
            assert!(
                has_recycled(&disk) && operation > 60,
                "the workload is too short to prove anything"
            );
            assert!(answers.iter().all(Result::is_ok) && answers.len() == txns.len());
            return;
        }
        let what = || format!("seed {SEED:#x}, {fault:?} at operation {operation}");
        then(&disk, &txns, &answers, &what);
    }
}

fn power_cuts(half: u64) {
    let mut recoveries = 0;
    at_every_operation(Fault::PowerCut, (half, 2), |disk, txns, answers, what| {
        recoveries += check_power_cut(disk, txns, answers, what);
    });
    assert!(recoveries > 1000, "only {recoveries} recoveries");
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    power_cuts(0);
}

#[test]
fn a_power_cut_at_any_other_operation_loses_nothing_acknowledged() {
    power_cuts(1);
}

/// A fault leaves a store that answers truly: after a restart in the same
/// machine, and after a power cut on top of it.
fn faults(fault: Fault) {
    at_every_operation(fault, (0, 1), |disk, txns, answers, what| {
        check(&disk.after_kill(), txns, answers, what);
        for survives in [true, false] {
            let after = disk.after_power_cut(|| survives);
            check(&after, txns, answers, &|| format!("{}, then a power cut", what()));
        }
    });
}

#[test]
fn an_error_at_any_operation_is_answered_truly() {
    faults(Fault::Eio);
}

#[test]
fn a_full_disk_at_any_operation_is_answered_truly() {
    faults(Fault::Enospc);
}

#[test]
fn a_short_write_at_any_operation_is_answered_truly() {
    faults(Fault::ShortWrite);
}

#[test]
fn a_kill_at_any_operation_loses_nothing_acknowledged() {
    // What is in the page cache survives: the next process must not build on it
    // before it is on the disk.
    at_every_operation(Fault::PowerCut, (0, 1), |disk, txns, answers, what| {
        let killed = disk.after_kill();
        let store = open(&killed).unwrap();
        let (revision, seen) = contents(&store);
        drop(store);
        assert!(revision >= answers.iter().filter(|answer| answer.is_ok()).count() as u64);
        let store = open(&killed.after_power_cut(|| false)).unwrap();
        assert_eq!(contents(&store), (revision, seen), "{}", what());
        assert_eq!(seen_model(&store), model(txns, revision));
    });
}

fn seen_model(store: &LogStore) -> Model {
    contents(store).1
}

/// The groups of a log, by the file and the offset at which they start.
fn groups(disk: &SimDisk) -> Vec<(String, usize, u64)> {
    let names = (1..).map(|number| format!("{number:08}.seg"));
    let segments = names.map_while(|name| disk.read(&name).map(|bytes| (name, bytes)));
    let mut groups = Vec::new();
    for (name, bytes) in segments {
        let field = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        for at in (4096..bytes.len()).step_by(4096) {
            let of_this_use = field(at + 16) == field(16);
            if &bytes[at..at + 4] == b"PlG1" && of_this_use {
                groups.push((name.clone(), at, field(at + 24)));
            }
        }
    }
    groups.sort_by_key(|&(.., sequence)| sequence);
    groups
}

#[test]
fn damage_to_any_group_that_is_followed_by_another_is_refused_by_file_and_offset() {
    let disk = SimDisk::new();
    let mut options = OpenOptions::on(Arc::new(disk.clone()));
    options.mode = Mode::Off;
    options.log_segment_bytes = 16 << 10;
    options.log_bytes_max = 1 << 20;
    options.txn_bytes_max = 7 << 10;
    options.calibrate = false;
    // Several segments, and no checkpoint that would make them superfluous.
    let store = LogStore::open(options).unwrap();
    let txns = workload();
    for txn in &txns {
        submit(&store, txn.clone(), once()).blocking_recv().unwrap().unwrap();
    }
    drop(store);
    let groups = groups(&disk);
    assert_eq!(groups.len(), txns.len());
    let (last, before) = groups.split_last().unwrap();
    for (name, offset, sequence) in before {
        // In the magic, the checksum, the header, the payload.
        for at in [1, 6, 30, 44, 50, 66, 80] {
            let damaged = disk.after_kill();
            damaged.flip(name, offset + at, 0x10);
            let error = open(&damaged).unwrap_err();
            let OpenError::Damage(damage) = &error else { panic!("{error}") };
            assert!(damage.path.ends_with(name), "group {sequence}: {error}");
            assert_eq!(damage.offset, *offset as u64, "group {sequence}: {error}");
            assert_eq!(damage.sequence, *sequence, "{error}");
        }
    }
    let (name, offset, _) = last;
    disk.flip(name, offset + 70, 0x10);
    // Nothing shows that it was ever synced: a torn tail.
    assert_eq!(contents(&open(&disk).unwrap()).0, txns.len() as u64 - 1);
}

#[test]
fn damage_to_the_header_of_a_segment_in_use_is_refused() {
    let disk = SimDisk::new();
    let mut options = OpenOptions::on(Arc::new(disk.clone()));
    options.mode = Mode::Off;
    options.log_segment_bytes = 16 << 10;
    options.log_bytes_max = 1 << 20;
    options.txn_bytes_max = 7 << 10;
    options.calibrate = false;
    let store = LogStore::open(options).unwrap();
    for txn in workload() {
        submit(&store, txn, once()).blocking_recv().unwrap().unwrap();
    }
    drop(store);
    for number in 1..=4 {
        let damaged = disk.after_kill();
        damaged.flip(&format!("{number:08}.seg"), 17, 1);
        assert!(matches!(open(&damaged), Err(OpenError::Damage(_))), "segment {number}");
    }
}

#[test]
fn a_value_that_looks_like_a_group_is_not_taken_for_one() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    submit(&store, workload()[0].clone(), once()).blocking_recv().unwrap().unwrap();
    drop(store);
    // A group with a high sequence, as a client might forge it who does not know
    // the id of the store, where a torn group leaves it at a block's start.
    let mut forged = [0_u8; 64];
    forged[..4].copy_from_slice(b"PlG1");
    forged[8..16].copy_from_slice(&7_u64.to_le_bytes());
    forged[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
    let crc = crc32c::crc32c(&forged[8..]);
    forged[4..8].copy_from_slice(&crc.to_le_bytes());
    let store = open(&disk).unwrap();
    let value: Vec<u8> = forged.iter().copied().cycle().take(6000).collect();
    let txn = Txn { puts: vec![(key("forged"), value.into())], ..Txn::default() };
    let operations = disk.operations();
    disk.fail_at(operations, Fault::PowerCut);
    let _ = submit(&store, txn, once()).blocking_recv().unwrap();
    drop(store);
    let after = disk.after_power_cut(|| true);
    open(&after).unwrap();
}

#[test]
fn a_store_that_is_killed_and_started_again_and_again_keeps_everything() {
    let txns = workload();
    for commits in 1..=5 {
        let mut disk = SimDisk::new();
        let mut revision = 0;
        for round in 0..40 {
            let store = open(&disk).unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(contents(&store).0, revision, "round {round}");
            for txn in txns.iter().take(commits) {
                revision = submit(&store, txn.clone(), once()).blocking_recv().unwrap().unwrap();
            }
            disk = if round % 2 == 0 { disk.after_power_cut(|| false) } else { disk.after_kill() };
            drop(store);
        }
        assert_eq!(revision, 40 * commits as u64);
    }
}

#[test]
fn a_power_cut_in_the_measurement_of_the_disk_loses_nothing() {
    let txns = workload();
    for operation in (0..).step_by(3) {
        let disk = SimDisk::new();
        let answers = run(&disk, &txns[..3]);
        let disk = disk.after_kill();
        disk.fail_at(operation, Fault::PowerCut);
        // Probes of 20 KiB need a segment that they fit into: several of these.
        let store = LogStore::open(OpenOptions {
            calibrate: true,
            log_segment_bytes: 64 << 10,
            log_bytes_max: 256 << 10,
            ..options(&disk)
        });
        let done = store.is_ok_and(|store| store.health().is_ok()) && !disk.has_failed();
        check_power_cut(&disk, &txns[..3], &answers, &|| format!("operation {operation}"));
        if done {
            assert!(operation > 40, "{operation} operations are no measurement");
            return;
        }
    }
}
