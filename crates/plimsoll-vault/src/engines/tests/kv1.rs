//! Facts about kv version 1.

use serde_json::{Value, json};

use super::support::{Mounted, refused};
use crate::request::Operation;

fn kv1() -> Mounted {
    Mounted::new("kv", "kv/", &[])
}

#[test]
fn what_is_written_is_read() {
    let kv = kv1();
    assert_eq!(refused(kv.read("a")), (404, String::new()));
    let written = kv.write("a", json!({"x": 1, "nested": {"y": [1.5]}})).unwrap();
    assert!(written.response.data.is_none(), "204");
    assert_eq!(kv.data("a"), json!({"x": 1, "nested": {"y": [1.5]}}));
    kv.ask(Operation::Delete, "a", Value::Null).unwrap();
    assert_eq!(refused(kv.read("a")), (404, String::new()));
}

#[test]
fn a_write_reads_nothing_and_is_one_put() {
    let decided = kv1().decide(Operation::Write, "a", json!({"x": 1})).unwrap();
    assert!(decided.txn.compares.is_empty());
    assert_eq!((decided.txn.puts.len(), decided.txn.deletes.len()), (1, 0));
}

#[test]
fn the_lease_duration_is_what_the_writer_hints() {
    let kv = kv1();
    for (body, seconds) in [
        (json!({"x": 1}), 2_764_800),
        (json!({"ttl": "1h"}), 3600),
        (json!({"lease": 60}), 60),
        (json!({"lease": "bad"}), 2_764_800),
        (json!({"ttl": 0}), 0),
    ] {
        kv.write("a", body).unwrap();
        assert_eq!(kv.read("a").unwrap().response.lease_duration, seconds);
    }
}

#[test]
fn a_write_of_nothing_or_to_nothing_is_refused() {
    let kv = kv1();
    assert_eq!(refused(kv.write("a", json!({}))), (400, "missing data fields".into()));
    assert_eq!(refused(kv.write("", json!({"x": 1}))), (400, "missing path".into()));
    let text = "cannot write to a path ending in '/'";
    assert_eq!(refused(kv.write("a/", json!({"x": 1}))), (400, text.into()));
    assert_eq!(refused(kv.ask(Operation::Patch, "a", json!({"x": 1}))).0, 405);
}

#[test]
fn folders_are_listed_with_a_slash_and_in_pages() {
    let kv = kv1();
    assert_eq!(refused(kv.ask(Operation::List, "", Value::Null)), (404, String::new()));
    for path in ["a", "a/b", "a-b", "c/d/e", "c/d/f"] {
        kv.write(path, json!({"x": 1})).unwrap();
    }
    assert_eq!(kv.list(""), ["a", "a-b", "a/", "c/"]);
    assert_eq!(kv.list("c"), ["d/"]);
    assert_eq!(kv.list("c/d/"), ["e", "f"]);
    assert_eq!(kv.list("?limit=1"), ["a"]);
    assert_eq!(kv.list("?after=a-b"), ["a/", "c/"]);
    assert_eq!(kv.list("?after=c/"), Vec::<String>::new());
}
