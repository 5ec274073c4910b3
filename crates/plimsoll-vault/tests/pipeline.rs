//! What every request goes through, whatever it asks for.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{FakeClock, data, refusal, request, server};
use plimsoll::{Gate, Reason, Rejection};
use plimsoll_store::{MemoryStore, Store};
use plimsoll_vault::{Operation, Vault, VaultError};
use serde_json::{Value, json};

#[tokio::test]
async fn a_secret_is_written_and_read() {
    let server = server().await;
    let written = server.write("secret/data/a", json!({ "data": { "k": "v" } })).await.unwrap();
    assert_eq!(data(&written)["version"], 1);
    assert_eq!(data(&server.read("secret/data/a").await.unwrap())["data"], json!({ "k": "v" }));
    assert_eq!(data(&server.list("secret/metadata").await.unwrap())["keys"], json!(["a"]));
}

#[tokio::test]
async fn without_a_good_token_nothing_is_told() {
    let server = server().await;
    for token in ["", "bad", "hvs.bad", "hvb.bad", &"x".repeat(100_000)] {
        for path in ["secret/data/a", "nope/a", "sys/mounts", "auth/nope/x", "sys/nope"] {
            let result = server.ask(Operation::Read, path, Value::Null, token).await;
            assert_eq!(refusal(result), (403, "permission denied".to_owned()), "{path}");
        }
    }
}

#[tokio::test]
async fn an_unknown_route_is_told_only_to_those_who_may_use_it() {
    let server = server().await;
    let no_route = "no handler for route \"nope/a\". route entry not found.".to_owned();
    assert_eq!(refusal(server.read("nope/a").await), (404, no_route));
    let token = server.token(&["default"]).await;
    let result = server.ask(Operation::Read, "nope/a", Value::Null, &token).await;
    assert_eq!(result.unwrap_err().status(), 403);
}

#[tokio::test]
async fn policies_decide_and_tell_create_from_update() {
    let server = server().await;
    let policy = r#"path "secret/data/new/*" { capabilities = ["create"] }
                    path "secret/data/old/*" { capabilities = ["update", "read"] }"#;
    server.write("sys/policies/acl/p", json!({ "policy": policy })).await.unwrap();
    server.write("secret/data/old/a", json!({ "data": {} })).await.unwrap();
    let token = server.token(&["p"]).await;
    let ask = async |operation, path| {
        let body = json!({ "data": { "k": "v" } });
        server.ask(operation, path, body, &token).await.map_err(|error| error.status())
    };
    assert!(ask(Operation::Write, "secret/data/new/a").await.is_ok());
    assert_eq!(ask(Operation::Write, "secret/data/new/a").await.unwrap_err(), 403, "now it exists");
    assert!(ask(Operation::Write, "secret/data/old/a").await.is_ok());
    assert_eq!(ask(Operation::Write, "secret/data/old/b").await.unwrap_err(), 403);
    assert_eq!(ask(Operation::Read, "secret/data/new/a").await.unwrap_err(), 403);
    assert_eq!(ask(Operation::Delete, "secret/data/old/a").await.unwrap_err(), 403);
    // A policy that changes is in force at once.
    server.delete("sys/policies/acl/p").await.unwrap();
    assert_eq!(ask(Operation::Read, "secret/data/old/a").await.unwrap_err(), 403);
}

#[tokio::test]
async fn a_use_is_counted_even_if_the_request_fails() {
    let server = server().await;
    let body = json!({ "policies": ["default"], "num_uses": 2 });
    let made = server.write("auth/token/create", body).await.unwrap();
    let token = made.auth.unwrap().client_token;
    let denied = server.ask(Operation::Read, "secret/data/a", Value::Null, &token).await;
    assert_eq!(denied.unwrap_err().status(), 403);
    let path = "auth/token/lookup-self";
    let last = server.ask(Operation::Read, path, Value::Null, &token).await;
    assert!(last.is_ok());
    let spent = server.ask(Operation::Read, path, Value::Null, &token).await;
    assert_eq!(refusal(spent), (403, "permission denied".to_owned()));
}

#[tokio::test]
async fn a_read_that_must_write_asks_late_and_a_refused_one_leaves_nothing() {
    let clock = FakeClock::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let asked = Arc::new(AtomicUsize::new(0));
    let mut options = clock.options();
    let count = Arc::clone(&asked);
    options.admit_late = Some(Arc::new(move |request, cost| {
        count.fetch_add(1, Ordering::Relaxed);
        assert_eq!((request.path.as_str(), cost.items), ("auth/token/lookup-self", 1));
        let retry_after = core::time::Duration::from_secs(1);
        Err(Rejection { gate: Gate::Write, reason: Reason::Full, retry_after })
    }));
    let vault = Vault::open(Arc::clone(&store), clock.options()).unwrap();
    let keys = vault.initialize_dev(Some("root")).await.unwrap();
    let body = json!({ "num_uses": 1 });
    let create = request(Operation::Write, "auth/token/create", body, "root");
    let token = vault.handle(create, None).await.unwrap().auth.unwrap().client_token;

    let strict = Vault::open(Arc::clone(&store), options).unwrap();
    let unseal = request(Operation::Write, "sys/unseal", json!({ "key": keys.unseal_key }), "");
    strict.handle(unseal, None).await.unwrap();
    let read = |token: &str| request(Operation::Read, "auth/token/lookup-self", Value::Null, token);
    let before = store.view().revision();
    let refused = strict.handle(read(&token), None).await.unwrap_err();
    assert!(matches!(refused, VaultError::Rejected(_)));
    assert_eq!((store.view().revision(), asked.load(Ordering::Relaxed)), (before, 1));
    assert!(strict.handle(read("root"), None).await.is_ok(), "an uncounted token writes nothing");
    assert!(vault.handle(read(&token), None).await.is_ok(), "the use was not spent");
}

#[tokio::test]
async fn a_login_is_one_transaction() {
    let server = server().await;
    server.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
    let role = json!({ "token_policies": "default", "secret_id_num_uses": 1 });
    server.write("auth/approle/role/r", role).await.unwrap();
    let id = data(&server.read("auth/approle/role/r/role-id").await.unwrap());
    let secret = server.write("auth/approle/role/r/secret-id", json!({})).await.unwrap();
    let login = json!({ "role_id": id["role_id"], "secret_id": data(&secret)["secret_id"] });

    let before = server.store.view().revision();
    let response =
        server.ask(Operation::Write, "auth/approle/login", login.clone(), "").await.unwrap();
    assert_eq!(server.store.view().revision(), before + 1);
    let auth = response.auth.unwrap();
    assert_eq!((auth.policies, auth.token_type.as_str()), (vec!["default".to_owned()], "service"));
    assert_eq!(auth.metadata.unwrap()["role_name"], "r");

    let again = server.ask(Operation::Write, "auth/approle/login", login, "").await;
    assert_eq!(again.unwrap_err().status(), 400, "the SecretID is spent");
    assert_eq!(server.store.view().revision(), before + 1);
    let path = "auth/token/lookup-self";
    assert!(server.ask(Operation::Read, path, Value::Null, &auth.client_token).await.is_ok());
}

#[tokio::test]
async fn passwords_are_checked_on_the_pool() {
    let server = server().await;
    server.write("sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    server.write("auth/userpass/users/u", json!({ "password": "right" })).await.unwrap();
    let login = async |password| {
        let body = json!({ "password": password });
        server.ask(Operation::Write, "auth/userpass/login/u", body, "").await
    };
    assert!(login("right").await.unwrap().auth.is_some());
    assert_eq!(login("wrong").await.unwrap_err().status(), 400);
}

#[tokio::test]
async fn nobody_gets_a_password_hashed_who_may_not_set_it() {
    let server = server().await;
    server.write("sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    let body = json!({ "password": "p" });
    let token = server.token(&["default"]).await;
    for token in ["", "bad", &token] {
        let path = "auth/userpass/users/u";
        let result = server.ask(Operation::Write, path, body.clone(), token).await;
        assert_eq!(result.unwrap_err().status(), 403);
    }
    assert_eq!(server.list("auth/userpass/users").await.unwrap_err().status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_the_pool_refuses_leaves_the_use_of_its_token_uncounted() {
    let server = Arc::new(server().await);
    server.write("sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    let made = server.write("auth/token/create", json!({ "num_uses": 1000 })).await.unwrap();
    let auth = made.auth.unwrap();
    let tasks: Vec<_> = (0..24)
        .map(|user| {
            let (server, token) = (Arc::clone(&server), auth.client_token.clone());
            tokio::spawn(async move {
                let path = format!("auth/userpass/users/u{user}");
                server.ask(Operation::Write, &path, json!({ "password": "p" }), &token).await
            })
        })
        .collect();
    let mut refused = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => {}
            Err(VaultError::Rejected(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "two workers and one round waiting");
    let lookup = json!({ "accessor": auth.accessor });
    let left = data(&server.write("auth/token/lookup-accessor", lookup).await.unwrap());
    assert_eq!(left["num_uses"], 1000 - (24 - refused));
}

#[tokio::test]
async fn which_requests_write_is_told_by_their_route() {
    use Operation::{Delete, List, Patch, Read, Write};
    let server = server().await;
    server.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
    let vault = &server.vault;
    for (operation, path) in [
        (Write, "secret/data/a"),
        (Patch, "secret/data/a"),
        (Delete, "secret/data/a"),
        (Write, "auth/approle/login"),
        (Write, "auth/token/create"),
        (Write, "auth/token/renew-self"),
        (Write, "sys/policies/acl/p"),
        (Write, "sys/leases/revoke"),
        (Write, "sys/rotate"),
    ] {
        assert!(vault.is_write(operation, path), "{operation:?} {path}");
    }
    for (operation, path) in [
        (Read, "secret/data/a"),
        (List, "secret/metadata/"),
        (Write, "auth/token/lookup"),
        (Read, "auth/token/lookup-self"),
        (Write, "sys/capabilities-self"),
        (Write, "sys/leases/lookup"),
        (Write, "sys/unseal"),
        (Read, "nope"),
        (Write, "a/../b"),
    ] {
        assert!(!vault.is_write(operation, path), "{operation:?} {path}");
    }
}

#[tokio::test]
async fn a_caller_is_known_once_it_was_let_in_and_not_after_it_was_refused() {
    let server = server().await;
    assert_eq!(server.vault.caller("root"), None);
    server.read("sys/mounts").await.unwrap();
    assert!(server.vault.caller("root").unwrap().policies_root);
    let token = server.token(&["default"]).await;
    let path = "auth/token/lookup-self";
    server.ask(Operation::Read, path, Value::Null, &token).await.unwrap();
    let known = server.vault.caller(&token).unwrap();
    assert!(!known.policies_root);
    assert_ne!(known.flow, server.vault.caller("root").unwrap().flow);
    server.ask(Operation::Write, "auth/token/revoke-self", json!({}), &token).await.unwrap();
    server.ask(Operation::Read, path, Value::Null, &token).await.unwrap_err();
    assert_eq!(server.vault.caller(&token), None);
}

#[tokio::test]
async fn an_entry_may_have_a_mebibyte() {
    let server = server().await;
    let value = "x".repeat(1024 * 1024);
    let refused = server.write("secret/data/a", json!({ "data": { "k": value } })).await;
    let (status, message) = refusal(refused);
    assert_eq!(status, 413);
    assert!(message.contains("max: 1048576 bytes"), "{message}");
    assert_eq!(server.read("secret/data/a").await.unwrap_err().status(), 404);
}

#[tokio::test]
async fn nesting_has_a_limit() {
    let server = server().await;
    let mut deep = json!({});
    for _ in 0..200 {
        deep = json!({ "a": deep });
    }
    let mut body = json!({ "data": {} });
    body["data"]["k"] = deep;
    let refused = server.write("secret/data/a", body).await;
    assert_eq!(refused.unwrap_err().status(), 400);
}

#[tokio::test]
async fn paths_that_are_none_are_refused_before_anything_else() {
    let server = server().await;
    for path in ["", "secret//a", "secret/../sys/mounts", "secret/data/a\0b", "/secret/a"] {
        let result = server.ask(Operation::Read, path, Value::Null, "").await;
        assert_eq!(result.unwrap_err().status(), 400, "{path:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_logins_with_one_counted_secret_id_are_counted_exactly() {
    let server = Arc::new(server().await);
    server.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
    server.write("auth/approle/role/r", json!({ "secret_id_num_uses": 20 })).await.unwrap();
    let id = data(&server.read("auth/approle/role/r/role-id").await.unwrap());
    let secret = server.write("auth/approle/role/r/secret-id", json!({})).await.unwrap();
    let login = json!({ "role_id": id["role_id"], "secret_id": data(&secret)["secret_id"] });
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (server, login) = (Arc::clone(&server), login.clone());
            tokio::spawn(async move {
                server.ask(Operation::Write, "auth/approle/login", login, "").await.is_ok()
            })
        })
        .collect();
    let mut granted = 0;
    for task in tasks {
        granted += usize::from(task.await.unwrap());
    }
    assert_eq!(granted, 20);
}
