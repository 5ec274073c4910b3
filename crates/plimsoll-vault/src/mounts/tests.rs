#![allow(clippy::unwrap_used)]

use super::*;
use crate::token::Ttls;

fn table(paths: &[&str]) -> MountTable {
    let mut table = MountTable::default();
    for path in paths {
        table.add(MountEntry::new(MountKind::Secret, path, "kv").unwrap()).unwrap();
    }
    table
}

fn routed<'p>(table: &MountTable, path: &'p str) -> Option<(String, &'p str)> {
    table.route(path).map(|(entry, rest)| (entry.path.clone(), rest))
}

#[test]
fn a_path_goes_to_the_mount_in_front_of_it() {
    let table = table(&["secret/", "team/a/", "team/b/"]);
    assert_eq!(routed(&table, "secret/data/x"), Some(("secret/".to_owned(), "data/x")));
    assert_eq!(routed(&table, "team/a/x/y"), Some(("team/a/".to_owned(), "x/y")));
    assert_eq!(routed(&table, "team/b/"), Some(("team/b/".to_owned(), "")));
    assert_eq!(routed(&table, "secret"), Some(("secret/".to_owned(), "")));
    assert_eq!(routed(&table, "team/c/x"), None);
    assert_eq!(routed(&table, "secretx/y"), None);
}

#[test]
fn mounts_do_not_overlap() {
    let mut table = table(&["secret/", "team/a/"]);
    for path in ["secret/", "secret/x/", "team/"] {
        let mount = MountEntry::new(MountKind::Secret, path, "kv").unwrap();
        let taken = table.add(mount).unwrap_err().to_string();
        assert!(taken.starts_with("path is already in use at "), "{path}: {taken}");
    }
}

#[test]
fn what_the_server_needs_is_neither_mounted_over_nor_unmounted() {
    let mut table = table(&[]);
    let mount = MountEntry::new(MountKind::Secret, "auth/foo/", "kv").unwrap();
    assert_eq!(table.add(mount).unwrap_err().to_string(), "cannot mount \"auth/foo/\"");
    let error = table.remove(MountKind::Secret, "sys/").unwrap_err();
    assert_eq!(error.to_string(), "cannot unmount \"sys/\"");
    let error = table.remove(MountKind::Auth, "token/").unwrap_err();
    assert_eq!(error.to_string(), "token credential backend cannot be disabled");
    assert!(table.remove(MountKind::Secret, "nope/").unwrap().is_none());
}

#[test]
fn a_table_survives_being_stored() {
    let table = table(&["secret/", "team/a/"]);
    let stored = serde_json::to_vec(&table).unwrap();
    let restored: MountTable = serde_json::from_slice(&stored).unwrap();
    let uuids = |table: &MountTable| table.iter().map(|e| e.uuid.clone()).collect::<Vec<_>>();
    assert_eq!(uuids(&restored), uuids(&table));
}

#[test]
fn a_mount_has_the_systems_times_unless_it_sets_its_own() {
    let system = Ttls { default: 100, max: 200 };
    let mut mount = MountEntry::new(MountKind::Secret, "a/", "kv").unwrap();
    assert_eq!(mount.ttls(system).default, 100);
    mount.max_lease_ttl = 50;
    let view = mount.view(system);
    assert_eq!((view.default_lease_ttl, view.max_lease_ttl), (50, 50));
}
