//! Before there are keys, and without them.

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Running, dev_options, plain_options};

fn initialised() -> (Running, Vec<String>, String) {
    let server = Running::fresh();
    let keys = server.post("sys/init", &json!({ "secret_shares": 3, "secret_threshold": 2 }));
    let keys = keys.is(200).json();
    let shares = keys["keys_base64"].as_array().unwrap();
    let shares = shares.iter().map(|share| share.as_str().unwrap().to_owned()).collect();
    (server, shares, keys["root_token"].as_str().unwrap().to_owned())
}

fn offer(server: &Running, key: &str) -> Answer {
    server.call("POST", "sys/unseal").json(&json!({ "key": key })).send()
}

#[test]
fn before_it_is_initialised_nothing_but_that_is_answered() {
    let server = Running::fresh();
    server.call("GET", "sys/health").send().is(501);
    assert_eq!(server.get("sys/init").is(200).json(), json!({ "initialized": false }));
    let status = server.get("sys/seal-status").is(200).json();
    assert_eq!((&status["initialized"], &status["sealed"]), (&json!(false), &json!(true)));
    for method in ["GET", "POST", "LIST", "DELETE", "PATCH"] {
        for path in ["secret/data/a", "sys/mounts", "auth/token/lookup-self", "nobody/a"] {
            let answer = server.call(method, path).token(ROOT).json(&json!({})).send();
            answer.refuses(503, "Vault is sealed");
        }
    }
    offer(&server, "AAAA").refuses(400, "not initialized");
}

#[test]
fn shares_that_make_no_sense_initialise_nothing() {
    let server = Running::fresh();
    for body in [
        json!({}),
        json!({ "secret_shares": 0, "secret_threshold": 0 }),
        json!({ "secret_shares": 1, "secret_threshold": 2 }),
        json!({ "secret_shares": 3, "secret_threshold": 1 }),
        json!({ "secret_shares": 256, "secret_threshold": 2 }),
        json!({ "secret_shares": -1, "secret_threshold": -1 }),
        json!({ "secret_shares": "3", "secret_threshold": "2" }),
        json!({ "secret_shares": [3], "secret_threshold": {} }),
        json!({ "secret_shares": 1.5, "secret_threshold": 1 }),
        json!({ "secret_shares": u64::MAX, "secret_threshold": 2 }),
        json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": ["k"] }),
    ] {
        server.post("sys/init", &body).blames_the_client().is(400);
    }
    assert_eq!(server.get("sys/init").json()["initialized"], false);
}

#[test]
fn shares_that_are_none_unseal_nothing() {
    let (server, shares, root) = initialised();
    for wrong in [
        json!({}),
        json!({ "key": "" }),
        json!({ "key": 1 }),
        json!({ "key": ["AAAA"] }),
        json!({ "key": "not a key" }),
        json!({ "key": "AAAA" }),
        json!({ "key": "00" }),
        json!({ "key": "A".repeat(100_000) }),
        json!({ "key": "\u{0}" }),
    ] {
        server.call("POST", "sys/unseal").json(&wrong).send().blames_the_client().is(400);
    }
    let status = server.get("sys/seal-status").json();
    assert_eq!((&status["sealed"], &status["progress"]), (&json!(true), &json!(0)));
    server.call("GET", "sys/mounts").token(&root).send().refuses(503, "Vault is sealed");
    // The right ones still do.
    assert_eq!(offer(&server, &shares[0]).is(200).json()["progress"], 1);
    assert_eq!(offer(&server, &shares[2]).is(200).json()["sealed"], false);
    server.call("GET", "sys/mounts").token(&root).send().is(200);
}

#[test]
fn shares_of_another_server_are_refused_together_and_forgotten() {
    let (server, shares, root) = initialised();
    let (_other, foreign, _) = initialised();
    assert_eq!(offer(&server, &shares[0]).is(200).json()["progress"], 1);
    offer(&server, &foreign[1]).blames_the_client().is(400);
    let status = server.get("sys/seal-status").json();
    assert_eq!((&status["sealed"], &status["progress"]), (&json!(true), &json!(0)));
    // The same share twice is one.
    offer(&server, &shares[0]).is(200);
    assert_eq!(offer(&server, &shares[0]).is(200).json()["progress"], 1);
    let reset = server.call("POST", "sys/unseal").json(&json!({ "reset": true })).send();
    assert_eq!(reset.is(200).json()["progress"], 0);
    offer(&server, &shares[0]).is(200);
    assert_eq!(offer(&server, &shares[1]).is(200).json()["sealed"], false);
    server.call("GET", "sys/mounts").token(&root).send().is(200);
}

#[test]
fn a_truncated_share_counts_until_it_is_combined() {
    let (server, shares, _) = initialised();
    let truncated = &shares[0][..shares[0].len() - 4];
    assert_eq!(offer(&server, truncated).is(200).json()["progress"], 1);
    offer(&server, &shares[1]).refuses(400, "failed to compute combined key");
    offer(&server, &shares[0]).is(200);
    assert_eq!(offer(&server, &shares[1]).is(200).json()["sealed"], false);
}

#[test]
fn sealed_it_says_so_and_forgets_nothing() {
    let server = Running::dev();
    server.post("secret/data/a", &json!({ "data": { "k": "v" } })).is(200);
    server.post("sys/seal", &json!({})).is(204);
    for (method, path) in [
        ("GET", "secret/data/a"),
        ("POST", "secret/data/a"),
        ("DELETE", "secret/data/a"),
        ("LIST", "secret/metadata"),
        ("POST", "auth/approle/login"),
        ("GET", "sys/mounts"),
        ("POST", "sys/capabilities-self"),
        ("POST", "auth/token/renew-self"),
    ] {
        let answer = server.call(method, path).token(ROOT).json(&json!({})).send();
        let answer = answer.refuses(503, "Vault is sealed");
        assert_eq!(answer.header("retry-after"), None, "waiting does not unseal it");
    }
    server.call("GET", "sys/health").send().is(503);
    assert_eq!(server.get("sys/leader").is(200).json()["ha_enabled"], false);
    let key = server.server().dev_keys().unwrap().unseal_key.clone();
    assert_eq!(offer(&server, &key).is(200).json()["sealed"], false);
    assert_eq!(server.get("secret/data/a").text("/data/data/k"), "v");
}

#[test]
fn after_a_restart_it_is_sealed_and_everything_is_there() {
    let server = Running::dev();
    let role_id = server.mount_role(&json!({ "secret_id_num_uses": 3 }));
    let secret_id = server.secret_id();
    let login = |server: &Running| {
        let body = json!({ "role_id": role_id, "secret_id": secret_id });
        server.call("POST", "auth/approle/login").json(&body).send()
    };
    let token = login(&server).is(200).text("/auth/client_token");
    server.post("secret/data/a", &json!({ "data": { "k": "v" } })).is(200);
    let key = server.server().dev_keys().unwrap().unseal_key.clone();

    let server = Running::in_dir(server.stop(), plain_options);
    assert_eq!(server.get("sys/seal-status").json()["sealed"], true);
    server.get("secret/data/a").refuses(503, "Vault is sealed");
    offer(&server, &key).is(200);
    assert_eq!(server.get("secret/data/a").text("/data/data/k"), "v");
    let whose = server.call("GET", "auth/token/lookup-self").token(&token).send();
    assert_eq!(whose.is(200).json()["data"]["meta"]["role_name"], "r");
    // One use was counted before, two are left.
    login(&server).is(200);
    login(&server).is(200);
    login(&server).is(400);
}

#[test]
fn dev_mode_does_not_take_over_a_directory_that_is_in_use_for_more() {
    let server = Running::dev();
    server.post("secret/data/a", &json!({ "data": { "k": "v" } })).is(200);
    let key = server.server().dev_keys().unwrap().unseal_key.clone();
    let dir = server.stop();
    let error = crate::support::refused_start(&dev_options(dir.path().to_owned()));
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    let server = Running::in_dir(dir, plain_options);
    offer(&server, &key).is(200);
    assert_eq!(server.get("secret/data/a").json()["data"]["data"], json!({ "k": "v" }));
    let status: Value = server.get("sys/seal-status").json();
    assert_eq!(status["n"], 1);
}

#[test]
fn a_step_down_of_the_only_node_is_204_and_it_goes_on() {
    let server = Running::dev();
    server.call("PUT", "sys/step-down").send().is(403);
    server.call("PUT", "sys/step-down").token(ROOT).send().is(204);
    assert_eq!(server.get("sys/seal-status").json()["sealed"], false);
}
