//! A write that is sent twice, over a socket.

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Running};

fn create(server: &Running, key: &str, body: &Value) -> Answer {
    let call = server.call("POST", "auth/token/create").token(ROOT).json(body);
    call.header("Idempotency-Key", key).send()
}

#[test]
fn a_repeated_request_gets_the_same_bytes_and_a_mark() {
    let server = Running::dev();
    let body = json!({ "ttl": "1h" });
    let first = create(&server, "\"k\"", &body).is(200);
    let again = create(&server, "\"k\"", &body).is(200);
    assert_eq!(first.body, again.body);
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let reused = create(&server, "\"k\"", &json!({ "ttl": "2h" }));
    reused.refuses(422, "used for a different request");
}

#[test]
fn a_malformed_key_is_refused_before_anything_is_done() {
    let server = Running::dev();
    for key in ["k", "\"\"", &format!("\"{}\"", "k".repeat(10_000))] {
        create(&server, key, &json!({})).refuses(400, "must be one quoted string");
    }
}

#[test]
fn a_refusal_is_not_what_a_key_stands_for() {
    let server = Running::dev();
    let call = || {
        let call = server.call("POST", "auth/token/create").token(ROOT).json(&json!({}));
        call.header("Idempotency-Key", "\"k\"")
    };
    call().header("X-Vault-AOP-Force-Reject", "true").send().is(503);
    let first = call().send().is(200);
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(call().send().is(200).header("idempotency-replayed"), Some("true"));
}
