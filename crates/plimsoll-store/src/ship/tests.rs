#![allow(clippy::unwrap_used)]

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use plimsoll::write::WriteGateConfig;
use tokio::sync::oneshot;

use crate::disk::{Delays, Disk, SimDisk, SlowDisk};
use crate::ship::{FollowError, LogReader, ReadLogError, Shipment};
use crate::{Entry, History, LogStore, OpenOptions, Range, Revision, Store, Transact, Txn, View};

fn options(disk: &SimDisk, following: bool, retain: u64) -> OpenOptions {
    let mut options = OpenOptions::on(Arc::new(disk.clone()) as Arc<dyn Disk>);
    options.mode = plimsoll::Mode::Off;
    options.log_segment_bytes = 64 << 10;
    options.log_bytes_max = 256 << 10;
    options.log_retain_bytes = retain;
    options.txn_bytes_max = 32 << 10;
    options.table_bytes_max = 64 << 10;
    options.cache_bytes = 1 << 20;
    options.calibrate = false;
    options.following = following;
    options
}

fn primary(disk: &SimDisk) -> LogStore {
    LogStore::open(options(disk, false, 64 << 20)).unwrap()
}

fn follower(disk: &SimDisk) -> LogStore {
    LogStore::open(options(disk, true, 0)).unwrap()
}

fn submit(store: &LogStore, txn: Txn) -> Result<Revision, crate::StoreError> {
    let decide = Box::new(|_: &dyn View| Err(crate::StoreError::Conflict));
    store.submit(Transact { txn, decide, place: None }).blocking_recv().unwrap()
}

fn write(store: &LogStore, from: u32, to: u32) {
    for n in from..to {
        let puts = vec![(format!("key/{:03}", n % 300).into(), n.to_le_bytes().repeat(40).into())];
        let deletes = match n % 5 {
            0 => vec![Bytes::from(format!("key/{:03}", (n + 17) % 300))],
            _ => Vec::new(),
        };
        submit(store, Txn { puts, deletes, ..Txn::default() }).unwrap();
    }
}

fn position(store: &LogStore) -> (Revision, History) {
    store.position()
}

fn reader(primary: &LogStore, follower: &LogStore) -> Result<LogReader, ReadLogError> {
    let (revision, history) = position(follower);
    primary.read_log(revision, history)
}

type Answer = oneshot::Receiver<Result<Revision, FollowError>>;

fn ship(reader: &mut LogReader, follower: &LogStore) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(shipment) = reader.next_group().unwrap() {
        answers.push(follower.follow(shipment));
    }
    answers
}

fn all_taken(answers: Vec<Answer>) {
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
}

fn contents(store: &LogStore) -> Vec<(Bytes, Entry)> {
    store.view().range(Range { prefix: b"", after: b"", keys_max: usize::MAX }).unwrap()
}

#[track_caller]
fn assert_same(primary: &LogStore, follower: &LogStore) {
    assert_eq!(position(primary), position(follower));
    assert!(contents(primary) == contents(follower));
}

#[test]
fn a_follower_holds_what_the_primary_holds() {
    let (primary, follower) = (primary(&SimDisk::new()), follower(&SimDisk::new()));
    let mut reader = reader(&primary, &follower).unwrap();
    for round in 0..10 {
        write(&primary, round * 70, (round + 1) * 70);
        all_taken(ship(&mut reader, &follower));
        assert_same(&primary, &follower);
    }
}

#[test]
fn groups_that_are_put_together_come_out_as_they_were() {
    let (primary, follower) = (primary(&SimDisk::new()), follower(&SimDisk::new()));
    let mut reader = reader(&primary, &follower).unwrap();
    for step in 0..5 {
        write(&primary, step * 10, step * 10 + 7);
        let mut joined = reader.next_group().unwrap().unwrap();
        while let Some(next) = reader.next_group().unwrap() {
            joined = joined.joined(&next);
        }
        assert_eq!(joined.last_revision(), position(&primary).0);
        all_taken(vec![follower.follow(joined)]);
    }
    assert_same(&primary, &follower);
}

#[test]
fn a_follower_goes_on_where_it_was_after_a_restart_of_either() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    for round in 0..6 {
        let (primary, follower) = (primary(&here), follower(&there));
        let mut reader = reader(&primary, &follower).unwrap();
        write(&primary, round * 200, (round + 1) * 200);
        all_taken(ship(&mut reader, &follower));
        // Some that it is not sent any more.
        write(&primary, 0, 30);
    }
    let (primary, follower) = (primary(&here), follower(&there));
    all_taken(ship(&mut reader(&primary, &follower).unwrap(), &follower));
    assert_same(&primary, &follower);
}

#[test]
fn a_follower_that_is_far_behind_reads_what_the_log_has_kept() {
    let disk = SimDisk::new();
    let first = primary(&disk);
    write(&first, 0, 1500);
    drop(first);
    // The checkpoint has long been past it, and there was a restart.
    let (primary, follower) = (primary(&disk), follower(&SimDisk::new()));
    write(&primary, 0, 1500);
    all_taken(ship(&mut reader(&primary, &follower).unwrap(), &follower));
    assert_same(&primary, &follower);
}

#[test]
fn beyond_what_is_kept_the_reader_is_told_so() {
    let (disk, follower) = (SimDisk::new(), follower(&SimDisk::new()));
    let primary = LogStore::open(options(&disk, false, 128 << 10)).unwrap();
    let mut reader = reader(&primary, &follower).unwrap();
    write(&primary, 0, 20);
    // Forgets the groups in memory, so that only the files are left.
    drop(core::mem::replace(&mut reader, primary.read_log(0, History::default()).unwrap()));
    let mut late = primary.read_log(0, History::default()).unwrap();
    assert!(late.next_group().unwrap().is_some());
    drop((reader, late));
    write(&primary, 0, 2000);
    let mut reader = primary.read_log(0, History::default()).unwrap();
    let error = reader.next_group().unwrap_err();
    assert!(matches!(error, ReadLogError::Recycled { wanted: 1 }), "{error}");
}

#[test]
fn a_follower_of_another_history_is_refused() {
    let (primary, other) = (primary(&SimDisk::new()), primary(&SimDisk::new()));
    write(&primary, 0, 50);
    write(&other, 1, 41);
    let (revision, history) = position(&other);
    let error = primary.read_log(revision, history).unwrap().next_group().unwrap_err();
    assert!(matches!(error, ReadLogError::Diverged { revision: 40, .. }), "{error}");
    write(&other, 0, 10);
    let (revision, history) = position(&other);
    assert!(matches!(primary.read_log(revision, history), Err(ReadLogError::Diverged { .. })));
    write(&other, 0, 10);
    let (revision, history) = position(&other);
    let ahead = primary.read_log(revision, history);
    assert!(matches!(ahead, Err(ReadLogError::Diverged { revision: 60, .. })));
}

#[test]
fn a_group_that_differs_is_final_and_changes_nothing() {
    let (primary, follower) = (primary(&SimDisk::new()), follower(&SimDisk::new()));
    write(&primary, 0, 10);
    let mut reader = reader(&primary, &follower).unwrap();
    let mut shipments = Vec::new();
    while let Some(shipment) = reader.next_group().unwrap() {
        shipments.push(shipment);
    }
    let mut altered = shipments[0].clone();
    let mut payload = altered.payload.to_vec();
    *payload.last_mut().unwrap() ^= 1;
    altered.payload = payload.into();
    let take = |shipment: &Shipment| follower.follow(shipment.clone()).blocking_recv().unwrap();
    assert!(matches!(take(&altered), Err(FollowError::Diverged { revision: 1, .. })));
    let cut = Shipment { payload: shipments[0].payload.slice(..7), ..shipments[0].clone() };
    assert!(matches!(take(&cut), Err(FollowError::Malformed { .. })));
    let skipped = take(&shipments[1]);
    assert_eq!(skipped, Err(FollowError::OutOfOrder { wanted: 1, found: 2 }));
    assert_eq!(follower.view().revision(), 0);
    for shipment in &shipments {
        take(shipment).unwrap();
    }
    assert_same(&primary, &follower);
}

#[test]
fn groups_that_wait_share_a_sync_up_to_the_load_line_and_no_further() {
    const LINE: u32 = 64;
    let (primary, there) = (primary(&SimDisk::new()), SimDisk::new());
    write(&primary, 0, 300);
    // While it syncs the first group, all others come to wait.
    let delays = Delays::new(Duration::from_millis(20), Duration::ZERO);
    let mut options = options(&there, true, 0);
    options.disk = Arc::new(SlowDisk::new(options.disk, delays));
    options.gate = WriteGateConfig::default().with_batch_max(LINE, 4 << 20).unwrap();
    let follower = LogStore::open(options).unwrap();
    all_taken(ship(&mut reader(&primary, &follower).unwrap(), &follower));
    let mut groups = follower.read_log(0, History::default()).unwrap();
    let mut largest = 0;
    while let Some(group) = groups.next_group().unwrap() {
        assert!(group.txns <= LINE, "a group of {}", group.txns);
        largest = group.txns.max(largest);
    }
    assert!(largest > 1);
    assert_same(&primary, &follower);
}

#[test]
fn a_follower_takes_no_writes_of_its_own_until_it_is_promoted() {
    let (primary, follower) = (primary(&SimDisk::new()), follower(&SimDisk::new()));
    write(&primary, 0, 10);
    let mut reader = reader(&primary, &follower).unwrap();
    all_taken(ship(&mut reader, &follower));
    let txn = || Txn { puts: vec![("own".into(), "1".into())], ..Txn::default() };
    assert!(matches!(submit(&follower, txn()), Err(crate::StoreError::Following)));
    follower.set_following(false);
    assert_eq!(submit(&follower, txn()).unwrap(), 11);
    write(&primary, 0, 10);
    let late = reader.next_group().unwrap().unwrap();
    let refused = follower.follow(late).blocking_recv().unwrap();
    assert_eq!(refused, Err(FollowError::NotFollowing));
}
