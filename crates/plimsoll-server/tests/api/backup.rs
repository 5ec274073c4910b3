//! Snapshots over the API, as Vault's clients take and restore them.

use serde_json::json;

use crate::support::{Answer, Running, plain_options};

const SNAPSHOT: &str = "sys/storage/raft/snapshot";
const FORCE: &str = "sys/storage/raft/snapshot-force";

/// Takes the lengths out of a body that was sent in chunks.
fn whole(answer: &Answer) -> Vec<u8> {
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let (mut rest, mut whole) = (&answer.body[..], Vec::new());
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
        if length == 0 {
            break;
        }
    }
    whole
}

pub(crate) fn save(server: &Running) -> Vec<u8> {
    whole(&server.get(SNAPSHOT).is(200))
}

fn restore(server: &Running, path: &str, snapshot: &[u8]) -> Answer {
    server.call("POST", path).token(crate::support::ROOT).body(snapshot).send()
}

/// Puts a snapshot of the same cluster in the place of what a server holds.
pub(crate) fn restore_own(server: &Running, snapshot: &[u8]) -> Answer {
    restore(server, SNAPSHOT, snapshot)
}

fn put(server: &Running, value: &str) {
    server.post("kv/a", &json!({ "value": value })).is(204);
}

fn value(server: &Running) -> String {
    server.get("kv/a").is(200).text("/data/value")
}

#[test]
fn a_restore_brings_back_what_was_saved_and_keeps_it_over_a_restart() {
    let server = Running::dev();
    server.mount_kv1();
    put(&server, "before");
    let token = server.token(&json!({ "policies": ["default"] }));
    let saved = save(&server);
    put(&server, "after");
    server.post("auth/token/revoke", &json!({ "token": token })).is(204);
    restore(&server, SNAPSHOT, &saved).is(204);
    assert_eq!(value(&server), "before");
    server.post("auth/token/lookup", &json!({ "token": token })).is(200);
    put(&server, "again");
    let key = server.server().dev_keys().unwrap().unseal_key.clone();
    let server = Running::in_dir(server.stop(), plain_options);
    server.post("sys/unseal", &json!({ "key": key })).is(200);
    assert_eq!(value(&server), "again");
    // And once more, from a directory that was restored.
    restore(&server, SNAPSHOT, &saved).is(204);
    assert_eq!(value(&server), "before");
}

#[test]
fn a_snapshot_that_is_cut_short_or_altered_changes_nothing() {
    let server = Running::dev();
    server.mount_kv1();
    let saved = save(&server);
    put(&server, "kept");
    let cut = restore(&server, SNAPSHOT, &saved[..saved.len() / 2]);
    assert_eq!(cut.is(400).text("/errors/0"), "the snapshot is cut short");
    let mut altered = saved.clone();
    altered[saved.len() / 2] ^= 1;
    let altered = restore(&server, FORCE, &altered);
    assert!(altered.is(400).text("/errors/0").starts_with("the snapshot was altered"));
    let other = restore(&server, SNAPSHOT, b"something else");
    assert!(other.is(400).text("/errors/0").starts_with("not a snapshot"));
    assert_eq!(value(&server), "kept");
    restore(&server, SNAPSHOT, &saved).is(204);
    server.get("kv/a").is(404);
}

#[test]
fn a_snapshot_of_another_cluster_needs_force_and_then_that_clusters_keys() {
    let (server, other) = (Running::dev(), Running::dev());
    other.mount_kv1();
    put(&other, "other");
    let saved = save(&other);
    let refused = restore(&server, SNAPSHOT, &saved);
    assert!(refused.is(400).text("/errors/0").contains("snapshot-force"));
    server.get("sys/mounts").is(200);
    restore(&server, FORCE, &saved).is(204);
    assert_eq!(server.get("sys/seal-status").is(200).json()["sealed"], json!(true));
    let key = other.server().dev_keys().unwrap().unseal_key.clone();
    server.post("sys/unseal", &json!({ "key": key })).is(200);
    assert_eq!(value(&server), "other");
}

#[test]
fn a_token_needs_a_policy_for_it() {
    let server = Running::dev();
    let token = server.token(&json!({ "policies": ["default"] }));
    server.call("GET", SNAPSHOT).token(&token).send().is(403);
    server.call("GET", SNAPSHOT).send().is(403);
    server.call("POST", FORCE).token(&token).body("x").send().is(403);
    let policy = r#"path "sys/storage/raft/snapshot" { capabilities = ["read"] }"#;
    server.post("sys/policies/acl/backup", &json!({ "policy": policy })).is(204);
    let token = server.token(&json!({ "policies": ["backup"] }));
    server.call("GET", SNAPSHOT).token(&token).send().is(200);
    server.call("POST", SNAPSHOT).token(&token).body("x").send().is(403);
}
