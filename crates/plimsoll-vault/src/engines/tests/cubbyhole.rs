//! Facts about the cubbyhole.

use serde_json::{Value, json};

use super::support::{Mounted, caller, refused};
use crate::engines::cubbyhole::purge;
use crate::request::Operation;

fn cubbyhole() -> Mounted {
    Mounted::new("cubbyhole", "cubbyhole/", &[])
}

#[test]
fn every_token_has_its_own() {
    let mut mounted = cubbyhole();
    mounted.write("a/b", json!({"x": 1})).unwrap();
    assert_eq!(mounted.data("a/b"), json!({"x": 1}));
    assert_eq!((mounted.list(""), mounted.list("a")), (vec!["a/".into()], vec!["b".into()]));
    mounted.caller = Some(caller("two"));
    assert_eq!(refused(mounted.read("a/b")), (404, String::new()));
    assert!(mounted.list("").is_empty());
    mounted.ask(Operation::Delete, "a/b", Value::Null).unwrap();
    mounted.caller = Some(caller("one"));
    assert_eq!(mounted.data("a/b"), json!({"x": 1}));
}

#[test]
fn a_request_without_a_token_or_data_is_refused() {
    let mut mounted = cubbyhole();
    assert_eq!(refused(mounted.write("a", json!({}))), (400, "missing data fields".into()));
    assert_eq!(refused(mounted.read("")), (400, "missing path".into()));
    mounted.caller = None;
    assert_eq!(refused(mounted.read("a")).0, 403);
}

#[test]
fn it_is_purged_in_bounded_bites_and_no_other_is() {
    let mut mounted = cubbyhole();
    for path in ["a", "a/b", "a/c/d", "e", "f/g"] {
        mounted.write(path, json!({"x": 1})).unwrap();
    }
    mounted.caller = Some(caller("two"));
    mounted.write("mine", json!({"x": 1})).unwrap();
    let bite = |mounted: &mut Mounted| {
        mounted.with_context(|context| purge(&mut context.scope("mount/"), "one", 2).unwrap())
    };
    let mut bites = 1;
    while !bite(&mut mounted) {
        bites += 1;
        assert!(bites < 10);
    }
    assert_eq!(mounted.stored(""), ["two/mine"]);
    assert!(bites >= 3);
}
