//! Facts about the cubbyhole.

use serde_json::{Value, json};

use super::support::{Mounted, caller, refused};
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
