//! A path names what is protected: there is one way only to read it.

use serde_json::json;

use crate::support::{ROOT, Running};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "LIST", "PATCH"];

#[test]
fn whatever_could_be_read_in_two_ways_is_refused_by_every_method() {
    let server = Running::dev();
    for path in [
        "kv/../sys/seal",
        "../v1/sys/seal",
        "secret/data/..",
        "secret/data/./a",
        "secret/%2e%2e/sys/seal",
        "secret/%2E%2E/sys/seal",
        "secret/.%2e/sys/seal",
        "secret/data/a%2Fb",
        "secret/data/a%2fb",
        "secret/data/a%5Cb",
        "secret//data/a",
        "secret/data/a//",
        "/v1/",
        "/v1//sys/health",
        "secret/data/a%00b",
        "secret/data/a%0ab",
        "secret/data/%7f",
        "secret/data/%ff%fe",
        "secret/data/%c0%af",
        "secret/data/%",
        "secret/data/%4",
        "secret/data/%zz",
    ] {
        for method in METHODS {
            let call = server.call(method, path).token(ROOT).json(&json!({ "data": {} }));
            let answer = call.send();
            assert_eq!(answer.status, 400, "{method} {path}");
            assert_eq!(answer.errors().len(), 1, "{method} {path}");
        }
    }
    // None of them reached what it was a detour to.
    assert_eq!(server.get("sys/seal-status").is(200).json()["sealed"], false);
}

#[test]
fn a_path_outside_the_api_is_404() {
    let server = Running::dev();
    for path in ["/", "/v1", "/v2/sys/health", "/ui/", "/V1/sys/health", "/v1secret", "/metrics"] {
        server.call("GET", path).token(ROOT).send().refuses(404, "");
    }
}

#[test]
fn a_path_may_be_long_and_not_endless() {
    let server = Running::dev();
    let name = "n".repeat(2000);
    server.post(&format!("secret/data/{name}"), &json!({ "data": { "k": "v" } })).is(200);
    assert_eq!(server.get(&format!("secret/data/{name}")).text("/data/data/k"), "v");
    for length in [5_000, 20_000] {
        let answer = server.get(&format!("secret/data/{}", "n".repeat(length)));
        answer.refuses(400, "too long");
    }
    // Beyond what a head may hold nobody reads on.
    let status = server.get(&"n".repeat(100_000)).status;
    assert!(matches!(status, 414 | 431), "{status}");
}

#[test]
fn names_with_spaces_and_beyond_ascii_are_names() {
    let server = Running::dev();
    for path in
        ["secret/data/a%20b", "secret/data/%C3%A4", "secret/data/a%252Fb", "secret/data/..."]
    {
        server.post(path, &json!({ "data": { "k": path } })).is(200);
        assert_eq!(server.get(path).text("/data/data/k"), path);
    }
    let keys = server.list("secret/metadata").is(200).json()["data"]["keys"].clone();
    assert_eq!(keys, json!(["...", "a b", "a%2Fb", "\u{e4}"]));
}

#[test]
fn a_method_that_a_path_does_not_know_is_405() {
    let server = Running::dev();
    for method in ["OPTIONS", "TRACE", "BREW", "get", "PROPFIND"] {
        server.call(method, "secret/data/a").token(ROOT).send().blames_the_client().is(405);
    }
    for (method, path) in [
        ("DELETE", "sys/health"),
        ("POST", "sys/health"),
        ("DELETE", "sys/seal-status"),
        ("GET", "sys/unseal"),
        ("DELETE", "sys/init"),
        ("POST", "sys/metrics"),
        ("DELETE", "sys/in-flight-req"),
        ("GET", "sys/seal"),
        ("DELETE", "sys/seal"),
        ("GET", "auth/token/create"),
        ("DELETE", "auth/token/lookup-self"),
        ("PATCH", "auth/token/renew-self"),
        ("LIST", "sys/rotate"),
    ] {
        server.call(method, path).token(ROOT).send().blames_the_client().is(405);
    }
}

#[test]
fn a_path_that_nobody_serves_is_404() {
    let server = Running::dev();
    for path in ["nobody/a", "sys/nothing", "sys/internal/nothing", "auth/nobody/login"] {
        for method in METHODS {
            server
                .call(method, path)
                .token(ROOT)
                .json(&json!({}))
                .send()
                .blames_the_client()
                .is(404);
        }
    }
}
