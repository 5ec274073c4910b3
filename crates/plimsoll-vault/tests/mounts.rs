//! Mounts, and what clients learn of them.

#![allow(clippy::unwrap_used)]

mod common;

use common::{data, refusal, server};
use plimsoll_store::{Range, Store};
use plimsoll_vault::{Operation, Vault};
use serde_json::{Value, json};

fn keys(store: &dyn Store, prefix: &str) -> usize {
    let range = Range { prefix: prefix.as_bytes(), after: b"", keys_max: 1_000_000 };
    store.view().range(range).unwrap().len()
}

#[tokio::test]
async fn the_first_mounts_are_those_of_a_development_server() {
    let server = server().await;
    let mounts = server.read("sys/mounts").await.unwrap();
    let body = mounts.raw.unwrap();
    for path in ["cubbyhole/", "secret/", "sys/"] {
        assert_eq!(body[path], body["data"][path], "{path}");
        assert!(body[path]["accessor"].is_string());
    }
    assert_eq!(body["secret/"]["type"], "kv");
    assert_eq!(body["secret/"]["options"], json!({ "version": "2" }));
    assert_eq!(body["secret/"]["config"]["default_lease_ttl"], 0);
    let auth = data(&server.read("sys/auth").await.unwrap());
    assert_eq!(auth["token/"]["config"]["token_type"], "default-service");
    assert_eq!(auth.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_mount_is_enabled_tuned_and_disabled() {
    let server = server().await;
    let body = json!({
        "type": "kv", "description": "d", "options": { "version": 1 },
        "config": { "default_lease_ttl": "1h", "max_lease_ttl": "24h" },
    });
    server.write("sys/mounts/team/kv", body).await.unwrap();
    server.write("team/kv/a", json!({ "k": "v" })).await.unwrap();
    assert_eq!(data(&server.read("team/kv/a").await.unwrap()), json!({ "k": "v" }));

    let tune = json!({ "max_lease_ttl": 7200, "description": "e" });
    server.write("sys/mounts/team/kv/tune", tune).await.unwrap();
    let tuned = data(&server.read("sys/mounts/team/kv/tune").await.unwrap());
    assert_eq!(tuned["max_lease_ttl"], 7200);
    assert_eq!(tuned["description"], "e");
    assert_eq!(data(&server.read("sys/mounts/team/kv").await.unwrap())["description"], "e");

    server.delete("sys/mounts/team/kv").await.unwrap();
    assert_eq!(server.read("team/kv/a").await.unwrap_err().status(), 404);
    server.write("sys/mounts/team/kv", json!({ "type": "kv" })).await.unwrap();
    assert_eq!(server.read("team/kv/a").await.unwrap_err().status(), 404, "a fresh one is empty");
}

#[tokio::test]
async fn what_cannot_be_mounted_is_refused_in_vaults_words() {
    let server = server().await;
    for (path, body, message) in [
        ("sys/mounts/secret", json!({ "type": "kv" }), "path is already in use at secret/"),
        ("sys/mounts/secret/x", json!({ "type": "kv" }), "path is already in use at secret/"),
        ("sys/mounts/a", json!({ "type": "foo" }), "plugin not found in the catalog: foo"),
        ("sys/mounts/a", json!({}), "backend type must be specified as a string"),
        ("sys/mounts/sys", json!({ "type": "kv" }), "cannot mount \"sys/\""),
        ("sys/mounts/auth/foo", json!({ "type": "kv" }), "cannot mount \"auth/foo/\""),
        ("sys/auth/a", json!({ "type": "kv" }), "plugin not found in the catalog: kv"),
        ("sys/mounts/a", json!({ "type": "approle" }), "plugin not found in the catalog: approle"),
        ("sys/mounts/a", json!({ "type": "system" }), "plugin not found in the catalog: system"),
    ] {
        let refused = refusal(server.write(path, body).await);
        assert_eq!(refused, (400, message.to_owned()), "{path}");
    }
    assert_eq!(
        refusal(server.delete("sys/mounts/sys").await),
        (400, "cannot unmount \"sys/\"".to_owned())
    );
    assert_eq!(
        refusal(server.delete("sys/auth/token").await),
        (400, "token credential backend cannot be disabled".to_owned())
    );
    assert!(server.delete("sys/mounts/nope").await.is_ok());
    let tune = server.write(
        "sys/mounts/secret/tune",
        json!({ "max_lease_ttl": "1h", "default_lease_ttl": "5h" }),
    );
    assert_eq!(
        refusal(tune.await).1,
        "backend max lease TTL of 3600 would be less than backend default lease TTL of 18000"
    );
}

#[tokio::test]
async fn an_unmount_deletes_in_chunks_and_goes_on_after_a_restart() {
    let server = server().await;
    server.write("sys/mounts/big", json!({ "type": "kv" })).await.unwrap();
    let before = keys(&*server.store, "logical/");
    for number in 0..1_100 {
        server.write(&format!("big/{number}"), json!({ "k": number })).await.unwrap();
    }
    assert_eq!(keys(&*server.store, "logical/"), before + 1_100);
    server.delete("sys/mounts/big").await.unwrap();
    assert_eq!(server.read("big/1").await.unwrap_err().status(), 404, "at once");
    assert_eq!(keys(&*server.store, "logical/"), before + 1_100, "but nothing is deleted yet");
    assert_eq!(server.vault.background_step().await.unwrap(), 512);
    assert_eq!(keys(&*server.store, "logical/"), before + 588);

    let vault = Vault::open(std::sync::Arc::clone(&server.store), server.clock.options()).unwrap();
    let body = json!({ "key": server.unseal_key });
    let unseal = common::request(Operation::Write, "sys/unseal", body, "");
    vault.handle(unseal, None).await.unwrap();
    while vault.background_step().await.unwrap() > 0 {}
    assert_eq!(keys(&*server.store, "logical/"), before);
    assert_eq!(keys(&*server.store, "core/unmount/"), 0);
}

#[tokio::test]
async fn a_disabled_auth_method_takes_its_tokens_along() {
    let server = server().await;
    server.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
    server
        .write(
            "auth/approle/role/r",
            json!({ "bind_secret_id": false, "token_bound_cidrs": "127.0.0.1" }),
        )
        .await
        .unwrap();
    let id = data(&server.read("auth/approle/role/r/role-id").await.unwrap());
    let login = json!({ "role_id": id["role_id"] });
    let made = server.ask(Operation::Write, "auth/approle/login", login, "").await.unwrap();
    let token = made.auth.unwrap().client_token;
    let path = "auth/token/lookup-self";
    assert!(server.ask(Operation::Read, path, Value::Null, &token).await.is_ok());
    server.delete("sys/auth/approle").await.unwrap();
    assert_eq!(
        server.ask(Operation::Read, path, Value::Null, &token).await.unwrap_err().status(),
        403
    );
}

#[tokio::test]
async fn clients_learn_which_mount_a_path_belongs_to_if_they_may_use_it() {
    let server = server().await;
    let policy = r#"path "secret/data/team/*" { capabilities = ["read"] }"#;
    server.write("sys/policies/acl/p", json!({ "policy": policy })).await.unwrap();
    server.write("sys/mounts/other", json!({ "type": "kv" })).await.unwrap();
    let token = server.token(&["p"]).await;
    let ask = async |path: &str, token: &str| {
        server.ask(Operation::Read, path, Value::Null, token).await.map(|response| data(&response))
    };
    let found = ask("sys/internal/ui/mounts/secret/team/a", &token).await.unwrap();
    assert_eq!(
        (found["path"].clone(), found["options"]["version"].clone()),
        (json!("secret/"), json!("2"))
    );
    let denied = ask("sys/internal/ui/mounts/other/a", &token).await.unwrap_err();
    assert_eq!(denied.status(), 403);
    assert_eq!(
        denied.to_string(),
        "preflight capability check returned 403, please ensure client's policies grant access \
         to path \"other/a/\""
    );
    assert_eq!(ask("sys/internal/ui/mounts/secret/a", "").await.unwrap_err().status(), 403);
    let visible = ask("sys/internal/ui/mounts", &token).await.unwrap();
    let names: Vec<_> = visible["secret"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["cubbyhole/", "secret/", "sys/"], "the policy default has rules for two");
    assert_eq!(
        ask("sys/internal/ui/mounts", "").await.unwrap(),
        json!({ "auth": {}, "secret": {} })
    );
}

#[tokio::test]
async fn capabilities_are_told_for_oneself_for_a_token_and_for_an_accessor() {
    let server = server().await;
    let policy = r#"path "secret/data/*" { capabilities = ["read", "list"] }"#;
    server.write("sys/policies/acl/p", json!({ "policy": policy })).await.unwrap();
    let made = server.write("auth/token/create", json!({ "policies": ["p"] })).await.unwrap();
    let auth = made.auth.unwrap();
    let body = json!({ "paths": ["secret/data/a"] });
    let own = server.ask(Operation::Write, "sys/capabilities-self", body, &auth.client_token).await;
    let expected = json!({ "secret/data/a": ["list", "read"], "capabilities": ["list", "read"] });
    assert_eq!(data(&own.unwrap()), expected);
    let body = json!({ "path": "secret/data/a", "token": auth.client_token });
    assert_eq!(data(&server.write("sys/capabilities", body).await.unwrap()), expected);
    let body = json!({ "path": "secret/data/a", "accessor": auth.accessor });
    assert_eq!(data(&server.write("sys/capabilities-accessor", body).await.unwrap()), expected);
    let body = json!({ "paths": ["a", "b"] });
    let root = data(&server.write("sys/capabilities-self", body).await.unwrap());
    assert_eq!(root, json!({ "a": ["root"], "b": ["root"] }));
    let none = server.write("sys/capabilities-self", json!({})).await;
    assert_eq!(refusal(none), (400, "paths must be supplied".to_owned()));
}
