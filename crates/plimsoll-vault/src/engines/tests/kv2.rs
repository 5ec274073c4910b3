//! Facts about kv version 2.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Mounted, refused};
use crate::request::Operation;

pub(super) fn kv2() -> Mounted {
    Mounted::new("kv", "secret/", &[("version", "2")])
}

fn put(kv: &Mounted, path: &str, data: Value) -> u64 {
    kv.written(&format!("data/{path}"), json!({"data": data}))["version"].as_u64().unwrap()
}

fn patch(kv: &Mounted, path: &str, body: Value) -> Result<u16, (u16, String)> {
    match kv.ask(Operation::Patch, path, body) {
        Ok(answer) => Ok(answer.response.status.unwrap_or(200)),
        refusal => Err(refused(refusal)),
    }
}

#[test]
fn a_write_answers_with_its_version_and_a_read_with_its_data() {
    let kv = kv2();
    assert_eq!(refused(kv.read("data/a")), (404, String::new()));
    let written = kv.written("data/a", json!({"data": {"x": 1}}));
    let version = json!({
        "created_time": "2025-11-21T23:04:54.000000005Z", "custom_metadata": null,
        "deletion_time": "", "destroyed": false, "version": 1,
    });
    assert_eq!(Value::Object(written), version);
    assert_eq!(kv.data("data/a"), json!({"data": {"x": 1}, "metadata": version}));
    put(&kv, "a", json!({"x": 2}));
    assert_eq!(kv.data("data/a")["data"], json!({"x": 2}));
    assert_eq!(kv.data("data/a?version=1")["data"], json!({"x": 1}));
    assert_eq!(kv.data("data/a?version=0")["metadata"]["version"], 2);
    assert_eq!(refused(kv.read("data/a?version=3")), (404, String::new()));
    assert_eq!(refused(kv.read("data/a?version=x")).0, 400);
}

#[test]
fn a_write_is_one_transaction_of_two_keys() {
    let decided = kv2().decide(Operation::Write, "data/a", json!({"data": {"x": 1}})).unwrap();
    assert_eq!((decided.txn.puts.len(), decided.txn.deletes.len()), (2, 0));
    assert_eq!(decided.txn.compares.len(), 2, "the config and the metadata");
}

#[test]
fn writes_that_decide_on_the_same_state_do_not_both_commit() {
    let kv = kv2();
    let body = json!({"data": {}, "options": {"cas": 0}});
    let first = kv.decide(Operation::Write, "data/a", body.clone()).unwrap();
    let second = kv.decide(Operation::Write, "data/a", body.clone()).unwrap();
    assert!(kv.commit(first.txn));
    assert!(!kv.commit(second.txn));
    let again = kv.decide(Operation::Write, "data/a", body).map(|decided| decided.answer);
    let text = "check-and-set parameter did not match the current version";
    assert_eq!(refused(again), (400, text.into()));
}

#[test]
fn check_and_set_is_compared_and_can_be_required() {
    let mut kv = kv2();
    let write = |kv: &Mounted, cas: Value| {
        refused_text(kv.write("data/a", json!({"data": {}, "options": {"cas": cas}})))
    };
    let mismatch = Some("check-and-set parameter did not match the current version".to_owned());
    assert_eq!(write(&mut kv, json!(1)), mismatch);
    assert_eq!(write(&mut kv, json!(0)), None);
    assert_eq!(write(&mut kv, json!("1")), None);
    assert_eq!(write(&mut kv, json!(-1)), mismatch);
    let unreadable = Some("error parsing check-and-set parameter".to_owned());
    assert_eq!(write(&mut kv, json!("z")), unreadable);
    kv.write("config", json!({"cas_required": true})).unwrap();
    let plain = kv.write("data/a", json!({"data": {}}));
    assert_eq!(refused(plain), (400, "check-and-set parameter required for this call".into()));
}

fn refused_text(result: Result<crate::backend::Answer, crate::VaultError>) -> Option<String> {
    result.err().map(|error| error.to_string())
}

#[test]
fn a_write_without_data_is_refused() {
    let kv = kv2();
    assert_eq!(refused(kv.write("data/a", json!({}))), (400, "no data provided".into()));
    assert_eq!(refused(kv.write("data/a", json!({"data": "text"}))).0, 400);
    assert_eq!(refused(kv.write("data/a/", json!({"data": {}}))).0, 400);
    assert_eq!(refused(kv.write("data", json!({"data": {}}))), (400, "missing path".into()));
    put(&kv, "null", Value::Null);
    assert_eq!(kv.data("data/null")["data"], Value::Null);
}

#[test]
fn a_deleted_version_answers_404_with_its_metadata_until_it_is_undeleted() {
    let mut kv = kv2();
    put(&kv, "a", json!({"x": 1}));
    kv.ask(Operation::Delete, "data/a", Value::Null).unwrap();
    let deleted = kv.read("data/a").unwrap().response;
    assert_eq!(deleted.status, Some(404));
    let data = deleted.data.unwrap();
    assert_eq!(data["data"], Value::Null);
    assert_eq!(data["metadata"]["deletion_time"], "2025-11-21T23:04:54.000000005Z");
    assert_eq!(patch(&kv, "data/a", json!({"data": {}})), Ok(404));
    kv.now += Duration::from_secs(1);
    kv.write("delete/a", json!({"versions": [1]})).unwrap();
    let again = kv.read("data/a").unwrap().response.data.unwrap();
    assert_eq!(again["metadata"], data["metadata"], "it was deleted before");
    kv.write("undelete/a", json!({"versions": ["1"]})).unwrap();
    assert_eq!(kv.data("data/a")["data"], json!({"x": 1}));
    kv.write("delete/a", json!({"versions": "1,7"})).unwrap();
    assert_eq!(kv.read("data/a").unwrap().response.status, Some(404));
}

#[test]
fn a_destroyed_version_is_gone_for_good() {
    let kv = kv2();
    put(&kv, "a", json!({"x": 1}));
    kv.write("destroy/a", json!({"versions": [1]})).unwrap();
    assert_eq!(kv.stored("versions/"), Vec::<String>::new());
    kv.write("undelete/a", json!({"versions": [1]})).unwrap();
    let destroyed = kv.read("data/a").unwrap().response;
    assert_eq!(destroyed.status, Some(404));
    assert_eq!(destroyed.data.unwrap()["metadata"]["destroyed"], true);
    for path in ["delete/a", "undelete/a"] {
        let text = "No version number provided".to_owned();
        assert_eq!(refused(kv.write(path, json!({}))), (400, text));
    }
    assert_eq!(refused(kv.write("destroy/a", json!({}))).1, "no version number provided");
}

#[test]
fn what_changes_nothing_needs_no_commit() {
    let kv = kv2();
    put(&kv, "a", json!({}));
    kv.ask(Operation::Delete, "data/a", Value::Null).unwrap();
    for (operation, path, body) in [
        (Operation::Delete, "data/a", Value::Null),
        (Operation::Delete, "data/none", Value::Null),
        (Operation::Write, "delete/none", json!({"versions": [1]})),
        (Operation::Write, "destroy/a", json!({"versions": [9]})),
        (Operation::Write, "metadata/a", json!({})),
        (Operation::Write, "config", json!({})),
    ] {
        assert!(kv.decide(operation, path, body).unwrap().txn.is_empty(), "{path}");
    }
}

#[test]
fn old_versions_are_dropped_with_the_write_that_pushes_them_out() {
    let kv = kv2();
    for number in 1..=12 {
        put(&kv, "a", json!({"n": number}));
    }
    let metadata = kv.data("metadata/a");
    assert_eq!(metadata["oldest_version"], 3);
    assert_eq!(metadata["versions"].as_object().unwrap().len(), 10);
    assert_eq!(kv.stored("versions/").len(), 10);
    kv.write("metadata/a", json!({"max_versions": 2})).unwrap();
    put(&kv, "a", json!({"n": 13}));
    assert_eq!(kv.stored("versions/"), ["versions/a/12", "versions/a/13"]);
    assert_eq!(refused(kv.read("data/a?version=11")), (404, String::new()));
}

#[test]
fn a_patch_makes_a_new_version() {
    let kv = kv2();
    assert_eq!(patch(&kv, "data/a", json!({"data": {}})), Err((404, String::new())));
    put(&kv, "a", json!({"x": 1, "y": {"z": 1}}));
    let body = json!({"data": {"x": null, "y": {"w": 2}}, "options": {"cas": 1}});
    assert_eq!(patch(&kv, "data/a", body.clone()), Ok(200));
    assert_eq!(kv.data("data/a")["data"], json!({"y": {"z": 1, "w": 2}}));
    assert_eq!(patch(&kv, "data/a", body).unwrap_err().0, 400, "cas is 2 by now");
    let text = "no data provided".to_owned();
    assert_eq!(patch(&kv, "data/a", json!({})), Err((400, text)));
}

#[test]
fn versions_delete_themselves_after_the_shorter_time() {
    let mut kv = kv2();
    kv.write("config", json!({"delete_version_after": "30m"})).unwrap();
    kv.write("metadata/a", json!({"delete_version_after": "10s"})).unwrap();
    put(&kv, "a", json!({"x": 1}));
    let deletion_time = kv.data("data/a")["metadata"]["deletion_time"].clone();
    assert_eq!(deletion_time, "2025-11-21T23:05:04.000000005Z");
    kv.now += Duration::from_secs(10);
    assert_eq!(kv.read("data/a").unwrap().response.status, Some(404));
    kv.write("config", json!({"delete_version_after": "-1s"})).unwrap();
    assert_eq!(kv.data("config")["delete_version_after"], "-1s");
    kv.write("undelete/a", json!({"versions": [1]})).unwrap();
    assert_eq!(kv.data("data/a")["metadata"]["deletion_time"], "");
}

#[test]
fn the_config_is_read_as_it_was_written() {
    let kv = kv2();
    let unset = json!({"cas_required": false, "delete_version_after": "0s", "max_versions": 0,
                       "metadata_cas_required": false});
    assert_eq!(kv.data("config"), unset);
    kv.write("config", json!({"max_versions": "4", "delete_version_after": "1h2m3s"})).unwrap();
    assert_eq!(kv.data("config")["max_versions"], 4);
    assert_eq!(kv.data("config")["delete_version_after"], "1h2m3s");
    assert_eq!(refused(kv.write("config", json!({"max_versions": -1}))).0, 400);
    let many = kv.write("config", json!({"max_versions": 1_000_000})).unwrap();
    assert_eq!(many.response.warnings, ["no more than 4096 versions are kept of a key"]);
}

#[test]
fn metadata_are_written_patched_and_deleted() {
    let kv = kv2();
    let settings = json!({"max_versions": 3, "cas_required": true,
                          "custom_metadata": {"a": "b", "n": 5}});
    kv.write("metadata/a", settings).unwrap();
    let metadata = kv.data("metadata/a");
    assert_eq!(metadata["custom_metadata"], json!({"a": "b", "n": "5"}));
    assert_eq!((&metadata["current_version"], &metadata["versions"]), (&json!(0), &json!({})));
    assert_eq!(refused(kv.read("data/a")), (404, String::new()));
    assert_eq!(refused(kv.write("data/a", json!({"data": {}}))).0, 400, "cas is required");
    kv.write("data/a", json!({"data": {}, "options": {"cas": 0}})).unwrap();
    let changes = json!({"custom_metadata": {"a": null, "c": "d"}, "max_versions": null});
    assert_eq!(patch(&kv, "metadata/a", changes), Ok(200));
    let metadata = kv.data("metadata/a");
    assert_eq!(metadata["custom_metadata"], json!({"c": "d", "n": "5"}));
    assert_eq!((&metadata["max_versions"], &metadata["cas_required"]), (&json!(0), &json!(true)));
    let none = patch(&kv, "metadata/none", json!({"max_versions": 1}));
    assert_eq!(none, Err((404, String::new())));
    kv.ask(Operation::Delete, "metadata/a", Value::Null).unwrap();
    assert_eq!(kv.stored(""), Vec::<String>::new());
}

#[test]
fn custom_metadata_have_limits() {
    let kv = kv2();
    let text =
        |custom: Value| refused(kv.write("metadata/a", json!({"custom_metadata": custom}))).1;
    let prefix = "custom_metadata validation failed";
    assert_eq!(
        text(json!({"": "b"})),
        format!(
            "1 error occurred:\n\t* {prefix}: length of key \"\" is 0 but must be 0 < len(key) \
             <= 128\n\n"
        )
    );
    assert_eq!(
        text(json!({"k\n": "v\n"})),
        format!(
            "2 errors occurred:\n\t* {prefix}: key \"k\\n\" (k\n) contains unprintable \
             characters\n\t* {prefix}: value for key \"k\\n\" contains unprintable \
             characters\n\n"
        )
    );
    let many: serde_json::Map<String, Value> =
        (0..65).map(|number| (number.to_string(), "b".into())).collect();
    assert!(text(many.into()).contains("payload must contain at most 64 keys, provided 65"));
    assert!(text(json!({"a": {"x": 1}})).contains("unconvertible type"));
}

#[test]
fn keys_and_folders_of_the_same_name_do_not_collide() {
    let kv = kv2();
    for path in ["a", "a/1", "a/1/1", "a/b"] {
        put(&kv, path, json!({"path": path}));
    }
    for path in ["a", "a/1", "a/1/1", "a/b"] {
        assert_eq!(kv.data(&format!("data/{path}"))["data"]["path"], path);
    }
    assert_eq!(kv.list("metadata"), ["a", "a/"]);
    assert_eq!(kv.list("metadata/a"), ["1", "1/", "b"]);
    kv.ask(Operation::Delete, "metadata/a", Value::Null).unwrap();
    assert_eq!(kv.data("data/a/1")["data"]["path"], "a/1");
}

#[test]
fn subkeys_have_no_values() {
    let kv = kv2();
    put(&kv, "a", json!({"x": {"y": 1}, "l": [1]}));
    assert_eq!(kv.data("subkeys/a")["subkeys"], json!({"x": {"y": null}, "l": null}));
    assert_eq!(kv.data("subkeys/a?depth=1")["subkeys"], json!({"x": null, "l": null}));
}

#[test]
fn a_client_of_version_1_is_told_so() {
    let answer = kv2().read("a").unwrap().response;
    assert_eq!(answer.status, Some(404));
    assert!(answer.warnings[0].starts_with("Invalid path for a versioned K/V secrets engine."));
    assert!(answer.warnings[0].ends_with("use 'vault kv get' for this operation."));
}
