//! The gates beside that of the writes.

use serde_json::json;

use crate::support::{ROOT, Running};

/// More than any disk has.
const EVERYTHING: u64 = u64::MAX;

#[test]
fn a_full_disk_refuses_what_grows_and_serves_the_rest() {
    let server = Running::dev();
    server.mount_kv1();
    server.post("kv/a", &json!({ "k": 1 })).is(204);
    server.post("sys/mounts/kv2", &json!({ "type": "kv", "options": { "version": "2" } })).is(204);
    server.post("kv2/data/a", &json!({ "data": { "k": 1 } })).is(200);
    let server = server.again_with(|options| options.disk_floor_bytes = Some(EVERYTHING));

    let full = server.call("POST", "kv/b").token(ROOT).json(&json!({ "k": 1 })).send();
    let full = full.refuses(507, "no space to store more");
    assert_eq!(full.header("retry-after"), None);
    assert_eq!(full.header("retry-after-ms"), None);
    let body = full.json();
    assert_eq!(body["code"], "insufficient_storage");
    assert_eq!((&body["gate"], &body["executed"]), (&json!("disk"), &json!(false)));
    assert!(body["retry_after_ms"].is_null());

    assert_eq!(server.get("kv/b").status, 404);
    assert_eq!(server.get("kv/a").json()["data"], json!({ "k": 1 }));
    server.call("DELETE", "kv/a").token(ROOT).send().is(204);
    server.post("kv2/delete/a", &json!({ "versions": [1] })).is(204);
    let health = server.call("GET", "sys/health").send().is(200).json();
    assert_eq!(
        (&health["load"], &health["gates"]["disk"]),
        (&json!("overloaded"), &health["load"])
    );
    let metrics = server.get("sys/metrics?format=prometheus").body;
    let metrics = String::from_utf8_lossy(&metrics);
    let refused = "plimsoll_gate_refused{gate=\"disk\",class=\"normal\",reason=\"no_space\"} 1";
    assert!(metrics.contains(refused), "{metrics}");
}

#[test]
fn a_body_that_inflates_beyond_any_request_is_413() {
    let server = Running::dev();
    server.mount_kv1();
    let bomb = format!("{{\"k\":[{}0]}}", "{\"\":0},".repeat(150_000));
    let answer = server.call("POST", "kv/a").token(ROOT).body(bomb).send();
    answer.refuses(413, "when it is decoded");
    server.post("kv/a", &json!({ "k": 1 })).is(204);
    let metrics = server.get("sys/metrics?format=prometheus").body;
    let metrics = String::from_utf8_lossy(&metrics);
    assert!(metrics.contains("plimsoll_gate_saturation{gate=\"memory\"} 0\n"), "{metrics}");
}
