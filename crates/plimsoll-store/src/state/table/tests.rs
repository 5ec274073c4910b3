#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const SEED: u64 = 0x7AB1E;
const ALL: Range<'_> = Range { prefix: &[], after: &[], keys_max: usize::MAX };

fn name(n: u32) -> Key {
    // Some are prefixes of others.
    Key::from(format!("k/{}/{n}", n % 7))
}

fn value(revision: Revision) -> Option<Bytes> {
    (!revision.is_multiple_of(5)).then(|| Bytes::from(revision.to_string()))
}

fn entry(revision: Revision) -> Version {
    value(revision).map(|value| Entry { value, mod_revision: revision })
}

/// Every version of every key, in a table and in a model: revision n writes n % 5
/// as a deletion.
fn filled(revisions: Revision) -> (Table, BTreeMap<Key, Vec<Revision>>) {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let (table, mut model) = (Table::default(), BTreeMap::<Key, Vec<Revision>>::new());
    for revision in 1..=revisions {
        let key = name(rng.random_range(0..9_000));
        table.insert(key.clone(), revision, value(revision));
        model.entry(key).or_default().push(revision);
    }
    (table, model)
}

fn expected(model: &BTreeMap<Key, Vec<Revision>>, at: Revision) -> Vec<(Key, Version)> {
    let last = |revisions: &[Revision]| revisions.iter().rfind(|&&n| n <= at).copied();
    model.iter().filter_map(|(key, all)| Some((key.clone(), entry(last(all)?)))).collect()
}

#[test]
fn every_revision_reads_as_it_was() {
    let (table, model) = filled(20_000);
    for at in [0, 1, 999, 1024, 10_000, 20_000] {
        let expected = expected(&model, at);
        assert!(table.iter(&ALL, at).eq(expected.iter().cloned()), "seed {SEED:#x}, at {at}");
        for (key, version) in expected.iter().step_by(97) {
            assert_eq!(table.get(key, at).as_ref(), Some(version), "seed {SEED:#x}, at {at}");
        }
    }
    assert_eq!(table.get(b"k", 20_000), None);
}

#[test]
fn a_range_has_the_keys_of_its_prefix_after_its_page() {
    let (table, model) = filled(9_000);
    for (prefix, after) in [("k/3/", ""), ("k/3/", "k/3/41"), ("k/3/4", "k/3/"), ("k/9", "")] {
        let range = Range { prefix: prefix.as_bytes(), after: after.as_bytes(), keys_max: 1 };
        let expected: Vec<_> = expected(&model, 9_000)
            .into_iter()
            .filter(|(key, _)| key.starts_with(range.prefix) && key > range.after)
            .collect();
        assert!(table.iter(&range, 9_000).eq(expected), "{prefix} after {after}");
    }
}

#[test]
fn the_newest_of_a_frozen_table_reads_the_same_before_and_after() {
    let (table, model) = filled(9_000);
    for _ in 0..2 {
        assert!(table.newest() == expected(&model, Revision::MAX), "seed {SEED:#x}");
        assert!(table.iter(&ALL, 4_000).eq(expected(&model, 4_000)), "seed {SEED:#x}");
    }
}

#[test]
fn a_reader_at_a_fixed_revision_sees_nothing_of_later_writes() {
    let (table, model) = filled(3_000);
    let expected = expected(&model, 3_000);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for revision in 3_001..30_000 {
                table.insert(name((revision % 11_000) as u32), revision, value(revision));
            }
            done.store(true, Memory::Release);
        });
        // At least once after the last write.
        loop {
            let over = done.load(Memory::Acquire);
            assert!(table.iter(&ALL, 3_000).eq(expected.iter().cloned()), "seed {SEED:#x}");
            if over {
                return;
            }
        }
    });
}
