#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, SimDisk};
use crate::snapshot::{SnapshotError, SnapshotReader, Summary, restore, restore_dir};
use crate::{LogStore, OpenOptions, Range, Store, Transact, Txn, View};

fn open(disk: Arc<dyn Disk>) -> LogStore {
    let mut options = OpenOptions::on(disk);
    options.mode = plimsoll::Mode::Off;
    options.log_segment_bytes = 64 << 10;
    options.log_bytes_max = 256 << 10;
    options.txn_bytes_max = 32 << 10;
    options.table_bytes_max = 32 << 10;
    options.cache_bytes = 1 << 20;
    options.calibrate = false;
    LogStore::open(options).unwrap()
}

fn commit(store: &LogStore, txn: Txn) {
    let decide = Box::new(|_: &dyn View| Err(crate::StoreError::Conflict));
    store.submit(Transact { txn, decide, place: None }).blocking_recv().unwrap().unwrap();
}

fn put(store: &LogStore, key: String, value: Vec<u8>) {
    commit(store, Txn { puts: vec![(key.into(), value.into())], ..Txn::default() });
}

/// Keys in the database, in a frozen and in the active table, some of them deleted.
fn filled() -> LogStore {
    let store = open(Arc::new(SimDisk::new()));
    for n in 0..600_u32 {
        put(&store, format!("key/{:03}", n % 400), n.to_le_bytes().repeat(60));
        if n % 7 == 0 {
            let key = Bytes::from(format!("key/{:03}", (n + 31) % 400));
            commit(&store, Txn { deletes: vec![key], ..Txn::default() });
        }
    }
    store
}

fn contents(store: &LogStore) -> Vec<(Bytes, crate::Entry)> {
    store.view().range(Range { prefix: b"", after: b"", keys_max: usize::MAX }).unwrap()
}

fn save(store: &LogStore) -> (Summary, Vec<u8>) {
    let seal = |sums: &[u8]| Ok(sums.len().to_string().into_bytes());
    store.snapshot().unwrap().write_to(Vec::new(), &seal, &mut |_| {}).unwrap()
}

fn restored(saved: &[u8]) -> Result<LogStore, SnapshotError> {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    restore(&mut SnapshotReader::open(saved)?, &disk, &mut |_| {})?;
    Ok(open(disk))
}

#[test]
fn what_is_restored_is_what_was_there_and_goes_on_from_its_revision() {
    let store = filled();
    let (summary, saved) = save(&store);
    // What comes later is not in it.
    put(&store, "later".to_owned(), vec![1]);
    let copy = restored(&saved).unwrap();
    assert_eq!(copy.view().revision() + 1, store.view().revision());
    assert_eq!(contents(&copy).len() as u64, summary.keys);
    assert_eq!(copy.snapshot().unwrap().summary().unwrap(), summary);
    assert_ne!(store.snapshot().unwrap().summary().unwrap(), summary);
    put(&copy, "later".to_owned(), vec![1]);
    assert!(contents(&copy) == contents(&store));
    let (here, there) = (copy.snapshot().unwrap(), store.snapshot().unwrap());
    assert_eq!(here.meta(), there.meta(), "told the same, so the same rolling digest");
    assert_eq!(here.summary().unwrap(), there.summary().unwrap());
}

#[test]
fn a_snapshot_outlives_the_checkpoints_after_it() {
    let store = filled();
    let (before, source) = (contents(&store), store.snapshot().unwrap());
    for n in 0..2_000_u32 {
        put(&store, format!("key/{:03}", n % 400), vec![7; 200]);
    }
    let (_, saved) = source.write_to(Vec::new(), &|_| Ok(vec![1]), &mut |_| {}).unwrap();
    assert!(contents(&restored(&saved).unwrap()) == before);
}

#[test]
fn a_snapshot_cut_short_anywhere_is_refused() {
    let (_, saved) = save(&filled());
    for part in 0..40 {
        let end = saved.len() * part / 40;
        let error = restored(&saved[..end]).unwrap_err();
        assert!(matches!(error, SnapshotError::Truncated), "at {end}: {error}");
    }
    let error = restored(&saved[..saved.len() - 1]).unwrap_err();
    assert_eq!(error.to_string(), "the snapshot is cut short");
}

#[test]
fn a_snapshot_with_a_flipped_bit_is_refused_or_reads_the_same() {
    let store = filled();
    let (summary, saved) = save(&store);
    for part in 0..400 {
        let mut altered = saved.clone();
        altered[saved.len() * part / 400] ^= 1 << (part % 8);
        let read = SnapshotReader::open(&*altered).and_then(SnapshotReader::verify);
        // A few bits mean nothing, such as the time in the header of gzip.
        if let Ok((_, found)) = read {
            assert_eq!(found, summary, "byte {}", saved.len() * part / 400);
            assert!(part < 2, "byte {} is not covered", saved.len() * part / 400);
        }
    }
}

#[test]
fn something_else_is_no_snapshot() {
    for other in [&b""[..], b"PK\x03\x04 something else", &[0; 4096]] {
        let error = SnapshotReader::open(other).unwrap_err();
        assert!(matches!(error, SnapshotError::Format(_) | SnapshotError::Truncated), "{error}");
    }
}

#[test]
fn a_snapshot_is_restored_into_a_fresh_directory_and_nowhere_else() {
    let (summary, saved) = save(&filled());
    let parent = tempfile::tempdir().unwrap();
    let target = parent.path().join("data");
    let try_restore =
        |saved: &[u8], dir: &Path| restore_dir(&mut SnapshotReader::open(saved)?, dir, &mut |_| {});
    assert!(try_restore(&saved[..saved.len() / 2], &target).is_err());
    let left: Vec<_> = parent.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(try_restore(&saved, &target).unwrap(), summary);
    let error = try_restore(&saved, &target).unwrap_err();
    assert!(matches!(error, SnapshotError::NotFresh(_)), "{error}");
    let copy = open(Arc::new(crate::disk::RealDisk::new(&target).unwrap()));
    assert_eq!(copy.snapshot().unwrap().summary().unwrap(), summary);
}
