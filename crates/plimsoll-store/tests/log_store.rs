//! The store on a real directory, as a server uses it.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use common::{commit, key, once, put, submit, value};
use plimsoll_store::{
    Entry, LogStore, OpenError, OpenOptions, Range, Store, StoreError, Transact, Txn,
};

fn options(dir: &Path) -> OpenOptions {
    let mut options = OpenOptions::new(dir).unwrap();
    options.log_segment_bytes = 1 << 20;
    options.log_bytes_max = 8 << 20;
    options.txn_bytes_max = 256 << 10;
    options.table_bytes_max = 1 << 20;
    // The gate has its own tests.
    options.mode = plimsoll::Mode::Off;
    options.calibrate = false;
    options
}

fn open(dir: &Path) -> LogStore {
    LogStore::open(options(dir)).unwrap()
}

#[test]
fn an_acknowledged_write_is_visible_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(commit(&store, put("a", "1")).unwrap(), 1);
    assert_eq!(commit(&store, put("b", "2")).unwrap(), 2);
    assert_eq!(value(&store, "a").as_deref(), Some("1"));
    drop(store);
    let store = open(dir.path());
    assert_eq!(value(&store, "a").as_deref(), Some("1"));
    assert_eq!(value(&store, "b").as_deref(), Some("2"));
    assert_eq!(store.view().revision(), 2);
    assert_eq!(commit(&store, put("c", "3")).unwrap(), 3);
}

#[test]
fn a_view_does_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    commit(&store, put("a", "1")).unwrap();
    let view = store.view();
    commit(&store, put("a", "2")).unwrap();
    let delete = Txn { deletes: vec![key("a")], ..Txn::default() };
    commit(&store, delete).unwrap();
    let entry = Entry { value: Bytes::from_static(b"1"), mod_revision: 1 };
    assert_eq!(view.get(b"a").unwrap(), Some(entry));
    assert_eq!(store.view().get(b"a").unwrap(), None);
}

#[test]
fn a_range_merges_tables_and_database_in_key_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let filler = "x".repeat(100_000);
    for round in 0..40 {
        commit(&store, put(&format!("p/{:02}", round % 20), &format!("{round}"))).unwrap();
        commit(&store, put("q/filler", &filler)).unwrap();
    }
    commit(&store, Txn { deletes: vec![key("p/07")], ..Txn::default() }).unwrap();
    let range = Range { prefix: b"p/", after: b"p/03", keys_max: 5 };
    let found = store.view().range(range).unwrap();
    let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, ["p/04", "p/05", "p/06", "p/08", "p/09"].map(key));
    assert_eq!(found[0].1.value, "24");
}

#[test]
fn a_lost_compare_is_decided_again_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    commit(&store, put("n", "0")).unwrap();
    let stale = store.view();
    // All decided on one view, so all but the first lose and are decided again.
    let answers: Vec<_> = (0..64)
        .map(|_| {
            let mut decide: plimsoll_store::Decide = Box::new(|view| {
                let entry = view.get(b"n")?.unwrap();
                let n: u32 = String::from_utf8_lossy(&entry.value).parse().unwrap();
                let mut txn = put("n", &(n + 1).to_string());
                txn.compares.push((key("n"), entry.mod_revision));
                Ok(txn)
            });
            let txn = decide(&*stale).unwrap();
            submit(&store, txn, decide)
        })
        .collect();
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
    assert_eq!(value(&store, "n").as_deref(), Some("64"));
}

#[test]
fn compares_that_are_always_lost_end_in_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let losing = || Txn { compares: vec![(key("a"), 77)], ..put("a", "1") };
    let answer = submit(
        &store,
        losing(),
        Box::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(losing())
        }),
    );
    assert!(matches!(answer.blocking_recv().unwrap(), Err(StoreError::Conflict)));
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert_eq!(value(&store, "a"), None);
}

#[test]
fn a_decision_that_panics_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let losing = Txn { compares: vec![(key("a"), 77)], ..put("a", "1") };
    let answer = submit(&store, losing, Box::new(|_| panic!("as the test wants it")));
    assert!(matches!(answer.blocking_recv().unwrap(), Err(StoreError::Internal(_))));
    commit(&store, put("a", "2")).unwrap();
}

#[test]
fn background_work_needs_no_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let answers: Vec<_> = (0..3000)
        .map(|n| {
            let txn = put(&format!("{n}"), "v");
            store.submit(Transact { txn, decide: once(), place: None })
        })
        .collect();
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
    assert_eq!(value(&store, "2999").as_deref(), Some("v"));
}

#[test]
fn too_much_background_work_is_refused_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.background_items_max = 0;
    let store = LogStore::open(options).unwrap();
    let answer = store.submit(Transact { txn: put("a", "1"), decide: once(), place: None });
    let answer = answer.blocking_recv().unwrap();
    assert!(matches!(answer, Err(StoreError::BackgroundFull { items_max: 0 })), "{answer:?}");
    commit(&store, put("a", "2")).unwrap();
    store.health().unwrap();
}

#[test]
fn a_thread_that_panics_stops_the_store_and_answers_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.observer = Arc::new(PanicsOnce::default());
    let store = LogStore::open(options).unwrap();
    let answers: Vec<_> =
        (0..3).map(|n| submit(&store, put(&format!("{n}"), "v"), once())).collect();
    for answer in answers {
        let answer = answer.blocking_recv().unwrap();
        let told = matches!(answer, Err(StoreError::OutcomeUnknown(_) | StoreError::Stopped(_)));
        assert!(told, "{answer:?}");
    }
    while store.health().is_ok() {
        std::thread::yield_now();
    }
    assert!(matches!(commit(&store, put("late", "v")), Err(StoreError::Stopped(_))));
}

#[derive(Debug, Default)]
struct PanicsOnce(AtomicU32);

impl plimsoll::Observer for PanicsOnce {
    fn event(&self, event: &plimsoll::Event) {
        let committed = matches!(event, plimsoll::Event::Committed(_));
        let first = committed && self.0.fetch_add(1, Ordering::Relaxed) == 0;
        assert!(!first, "as the test wants it");
    }
}

#[test]
fn a_transaction_that_fits_no_group_is_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let answer = commit(&store, put("a", &"x".repeat(300_000)));
    assert!(matches!(answer, Err(StoreError::TooLarge { .. })));
}

#[test]
fn a_second_opener_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    let second = LogStore::open(options(dir.path()));
    assert!(matches!(second, Err(OpenError::InUse { .. })));
}

#[test]
fn a_directory_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("format"), "plimsoll-store 9 0123\n").unwrap();
    let refused = LogStore::open(options(dir.path())).unwrap_err();
    assert!(refused.to_string().contains("format: not a store of this version"), "{refused}");
}

#[test]
fn what_was_accepted_is_finished_at_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let answers: Vec<_> =
        (0..500).map(|n| submit(&store, put(&format!("{n}"), "v"), once())).collect();
    store.shutdown();
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
    let late = commit(&store, put("late", "v"));
    assert!(matches!(late, Err(StoreError::Stopped(_))));
}

#[test]
fn the_log_is_used_again_and_everything_is_still_there() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = open(dir.path());
        for n in 0..120 {
            commit(&store, put(&format!("{round}/{n}"), &"v".repeat(100_000))).unwrap();
        }
    }
    let store = open(dir.path());
    for round in 0..3 {
        for n in 0..120 {
            let name = format!("{round}/{n}");
            assert_eq!(value(&store, &name).map(|value| value.len()), Some(100_000), "{name}");
        }
    }
    assert_eq!(store.view().revision(), 360);
    let segments = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "seg"))
        .count();
    assert!(segments <= 12, "{segments} segments for 36 MB");
}

#[test]
fn a_full_table_does_not_stop_a_store_without_protection() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.mode = plimsoll::Mode::Off;
    let store = LogStore::open(options).unwrap();
    // Twenty tables in one go.
    let answers: Vec<_> = (0..400)
        .map(|n| submit(&store, put(&format!("{n}"), &"v".repeat(50_000)), once()))
        .collect();
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
    assert_eq!(store.view().revision(), 400);
}

#[test]
fn a_slowed_disk_can_be_changed_while_it_runs() {
    use std::time::Duration;

    use plimsoll_store::disk::{Delays, RealDisk, SlowDisk};

    let dir = tempfile::tempdir().unwrap();
    let delays = Delays::new(Duration::ZERO, Duration::ZERO);
    let mut options = options(dir.path());
    let disk = RealDisk::new(dir.path()).unwrap();
    options.disk = Arc::new(SlowDisk::new(Arc::new(disk), Arc::clone(&delays)));
    let store = LogStore::open(options).unwrap();
    delays.set(Duration::from_millis(20), Duration::from_millis(3));
    let before = store.now();
    commit(&store, put("a", "1")).unwrap();
    // A lower bound is no matter of luck: the delays are real.
    assert!(store.now() - before >= Duration::from_millis(23));
    let snapshot = store.gate().snapshot(store.now());
    assert!(snapshot.flush >= Duration::from_millis(20));
    assert!(snapshot.per_unit >= Duration::from_millis(3));
}

#[test]
fn a_door_that_asks_both_gates_gets_a_place_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let admission = store.admission();
    let place = Some(admission.admit(store.now(), &common::demand()).unwrap());
    let answer = store.submit(Transact { txn: put("a", "1"), decide: once(), place });
    assert_eq!(answer.blocking_recv().unwrap().unwrap(), 1);
}

#[test]
fn the_disk_is_measured_before_the_first_client_and_nothing_is_left_of_it() {
    use std::time::Duration;

    use plimsoll_store::disk::{Delays, SimDisk, SlowDisk};

    let dir = tempfile::tempdir().unwrap();
    // Nothing but the delays takes time: a real disk that is busy hides what they are.
    let log = Arc::new(SimDisk::new());
    let open = || {
        let mut options = options(dir.path());
        let delays = Delays::new(Duration::from_millis(4), Duration::from_millis(20));
        options.disk = Arc::new(SlowDisk::new(log.clone(), delays));
        options.calibrate = true;
        LogStore::open(options).unwrap()
    };
    for round in 0..3 {
        let store = open();
        let snapshot = store.gate().snapshot(store.now());
        assert!(snapshot.flush >= Duration::from_millis(4), "{snapshot:?}");
        // Of the 20 ms, half: a sleep may last longer in a small group than in a large one, by
        // 300 ms.
        assert!(snapshot.per_unit >= Duration::from_millis(10), "{snapshot:?}");
        assert_eq!(store.view().revision(), round);
        let all = Range { prefix: b"", after: b"", keys_max: 10 };
        assert_eq!(store.view().range(all).unwrap().len(), usize::from(round > 0));
        assert_eq!(commit(&store, put("a", "1")).unwrap(), round + 1);
    }
}
