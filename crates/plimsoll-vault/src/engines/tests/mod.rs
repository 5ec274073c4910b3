#![allow(clippy::unwrap_used)]

mod approle;
mod cubbyhole;
mod kv1;
mod kv2;
mod kv2_model;
mod support;
mod userpass;

use std::collections::BTreeMap;

use serde_json::json;

use crate::engines::{backend_for, is_name, login_flow_key};

#[test]
fn kinds_of_mounts_have_their_engines() {
    let versioned = |version: &str| BTreeMap::from([("version".into(), version.into())]);
    for (kind, options, debug) in [
        ("kv", BTreeMap::new(), "Kv1"),
        ("kv", versioned("1"), "Kv1"),
        ("kv", versioned("2"), "Kv2"),
        ("kv-v2", BTreeMap::new(), "Kv2"),
        ("generic", BTreeMap::new(), "Kv1"),
        ("approle", BTreeMap::new(), "AppRole"),
    ] {
        assert_eq!(format!("{:?}", backend_for(kind, &options).unwrap()), debug);
    }
    assert!(backend_for("kv", &versioned("3")).is_none());
    assert!(backend_for("transit", &BTreeMap::new()).is_none());
}

#[test]
fn a_login_belongs_to_its_role_or_user() {
    let key =
        |kind, path, body: serde_json::Value| login_flow_key(kind, path, body.as_object().unwrap());
    assert_eq!(key("approle", "login", json!({"role_id": " r "})).as_deref(), Some("r"));
    assert_eq!(key("userpass", "login/AL", json!({})).as_deref(), Some("al"));
    assert_eq!(key("approle", "login", json!({})), None);
    assert_eq!(key("approle", "login", json!({"role_id": "x".repeat(500)})), None);
    assert_eq!(key("approle", "role/r", json!({"role_id": "r"})), None);
    assert_eq!(key("userpass", "loginx", json!({})), None);
}

#[test]
fn names_are_words() {
    for name in ["a", "x.y-z_", "A1"] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "-x", "x.", "a b", "a/b", "bad$name", "\u{e9}"] {
        assert!(!is_name(name), "{name}");
    }
}
