#![allow(clippy::unwrap_used)]

use core::ops::Bound;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::disk::{Disk, SimDisk};
use crate::log::Position;
use crate::state::{Base, Database, Table};
use crate::store::Revision;

const SEED: u64 = 0xBA5E;

type Model = BTreeMap<Bytes, (Bytes, Revision)>;

fn contents(base: &Base) -> Model {
    let rows = base.iter_from(Bound::Unbounded).unwrap();
    let rows = rows.map(|row| {
        let (key, entry) = row.unwrap();
        let entry = entry.unwrap();
        assert_eq!(base.get(&key).unwrap(), Some(entry.clone()));
        (key, (entry.value, entry.mod_revision))
    });
    rows.collect()
}

/// Checkpoints of 200 changes each; calls `then` after each, with the bytes of what it put.
fn checkpoints(
    rounds: u64,
    keys: u32,
    deletes: f64,
    mut then: impl FnMut(&Database, &Model, usize),
) -> Database {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let file = disk.create("state").unwrap();
    let mut database = Database::open(disk, file, 1 << 20).unwrap();
    let (mut rng, mut model) = (SmallRng::seed_from_u64(SEED), Model::new());
    for round in 1..=rounds {
        let (table, mut put_bytes) = (Table::default(), 0);
        for n in 0..200 {
            let revision = round * 200 + n;
            let key = Bytes::from(format!("key/{}", rng.random_range(0..keys)));
            let value = (!rng.random_bool(deletes)).then(|| {
                let bytes = if rng.random_ratio(1, 50) { 9_000 } else { 300 };
                Bytes::from((0..bytes).map(|_| rng.random()).collect::<Vec<u8>>())
            });
            match &value {
                Some(value) => {
                    put_bytes += row_bytes(&key, value);
                    model.insert(key.clone(), (value.clone(), revision));
                }
                None => {
                    model.remove(&key);
                }
            }
            table.insert(key, revision, value);
        }
        let position = Position { sequence: round, revision: round * 200, ..Position::default() };
        database.merge(&table, position, &mut |_| {}).unwrap();
        then(&database, &model, put_bytes);
    }
    database
}

fn row_bytes(key: &[u8], value: &[u8]) -> usize {
    12 + key.len() + value.len()
}

#[test]
fn every_checkpoint_holds_what_was_written_and_no_more() {
    checkpoints(40, 500, 0.2, |database, model, _| {
        assert!(contents(&database.base().unwrap()) == *model, "seed {SEED:#x}");
    });
}

#[test]
fn a_view_of_an_earlier_checkpoint_outlives_the_cleaning() {
    let mut views = Vec::new();
    let _open = checkpoints(12, 300, 0.2, |database, model, _| {
        views.push((database.base().unwrap(), model.clone()));
    });
    for (base, model) in views {
        assert!(contents(&base) == model, "seed {SEED:#x}");
    }
}

#[test]
fn what_is_dead_is_cleaned_up_before_it_is_more_than_what_is_alive() {
    for deletes in [0.0, 0.5, 0.95] {
        let (mut alive_before, mut put_before) = (0, 0);
        checkpoints(30, 400, deletes, |database, model, put_bytes| {
            let rows = model.iter().map(|(key, (value, _))| row_bytes(key, value));
            let alive = rows.sum::<usize>();
            let (stored, dead) = database.value_bytes().unwrap();
            assert_eq!(stored - dead, alive as u64, "seed {SEED:#x}, {deletes}");
            // At the start of the checkpoint, but for the newest file.
            let stored_max = 2 * alive_before + put_bytes + put_before;
            assert!(
                stored <= stored_max as u64,
                "seed {SEED:#x}, {deletes}: {stored} stored, {alive} alive"
            );
            (alive_before, put_before) = (alive, put_bytes);
        });
    }
}

#[test]
fn files_of_values_that_nobody_points_to_are_removed() {
    let disk = SimDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let open = || Database::open(Arc::clone(&shared), shared.create("state").unwrap(), 1 << 20);
    drop(open().unwrap());
    // An interrupted checkpoint may leave one.
    shared.create("00000001.val").unwrap();
    let mut database = open().unwrap();
    assert!(disk.read("00000001.val").is_none());
    for round in 1..20 {
        let table = Table::default();
        table.insert(Bytes::from("key"), round, Some(Bytes::from(vec![0; 1000])));
        let position = Position { sequence: round, revision: round, ..Position::default() };
        database.merge(&table, position, &mut |_| {}).unwrap();
        // The one that was alive before this checkpoint goes with the next.
        assert!(shared.list().unwrap().len() <= 3, "{:?}", shared.list());
    }
}

#[test]
fn changes_far_apart_and_before_all_others_find_their_blocks() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let file = disk.create("state").unwrap();
    let mut database = Database::open(disk, file, 1 << 20).unwrap();
    let (mut model, mut revision) = (Model::new(), 0);
    let mut merge = |keys: &mut dyn Iterator<Item = String>, value: Option<&'static str>| {
        revision += 1;
        let table = Table::default();
        for key in keys.map(Bytes::from) {
            table.insert(key.clone(), revision, value.map(Bytes::from));
            match value {
                Some(value) => model.insert(key, (Bytes::from(value), revision)),
                None => model.remove(&key),
            };
        }
        let position = Position { sequence: revision, revision, ..Position::default() };
        database.merge(&table, position, &mut |_| {}).unwrap();
        assert!(contents(&database.base().unwrap()) == model, "{revision}");
    };
    let name = |n: u32| format!("key/{n:05}");
    merge(&mut (0..5_000).map(name), Some("all"));
    merge(&mut (0..5_000).step_by(997).map(name), Some("a few"));
    // The block of the first keys goes; then it is wanted again.
    merge(&mut (0..500).map(name), None);
    merge(&mut ["a", "key/00000", "key/02500", "z"].into_iter().map(String::from), Some("again"));
    merge(&mut (0..5_000).map(name), None);
    merge(&mut (0..3).map(name), Some("anew"));
}

#[test]
fn a_damaged_value_is_not_read() {
    let disk = SimDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let file = shared.create("state").unwrap();
    let mut database = Database::open(shared, file, 1 << 20).unwrap();
    let table = Table::default();
    table.insert(Bytes::from("key"), 1, Some(Bytes::from(vec![0; 1000])));
    database.merge(&table, Position::default(), &mut |_| {}).unwrap();
    for at in [1, 5, 9, 13, 500] {
        disk.flip("00000001.val", at, 4);
        let error = database.base().unwrap().get(b"key").unwrap_err();
        assert_eq!(error.to_string(), "storage: 00000001.val: no value at 0");
        disk.flip("00000001.val", at, 4);
    }
    assert!(database.base().unwrap().get(b"key").unwrap().is_some());
}

#[test]
fn what_was_read_once_is_not_read_from_the_disk_again_before_the_next_checkpoint() {
    let disk = SimDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let file = shared.create("state").unwrap();
    let mut database = Database::open(shared, file, 1 << 20).unwrap();
    let mut put = |revision: Revision, value: &'static str| {
        let table = Table::default();
        table.insert(Bytes::from("key"), revision, Some(Bytes::from(value)));
        let position = Position { sequence: revision, revision, ..Position::default() };
        database.merge(&table, position, &mut |_| {}).unwrap();
        database.base().unwrap()
    };
    let first = put(1, "one");
    let read = |base: &Base, key: &[u8]| base.get(key).unwrap().map(|entry| entry.value);
    assert_eq!((read(&first, b"key"), read(&first, b"none")), (Some("one".into()), None));
    disk.flip("00000001.val", 13, 4);
    assert_eq!((read(&first, b"key"), read(&first, b"none")), (Some("one".into()), None));
    assert_eq!(read(&put(2, "two"), b"key"), Some("two".into()));
    first.close();
    assert!(first.get(b"key").is_err(), "a view that is too old is too old for this, too");
}
