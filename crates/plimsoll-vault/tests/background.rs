//! Work that nobody waits for.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::server;
use plimsoll::{Gate, Timestamp};
use plimsoll_store::Range;
use plimsoll_vault::VaultError;
use serde_json::json;
use tokio::sync::oneshot;

#[tokio::test]
async fn expired_tokens_are_removed_with_everything_of_theirs() {
    let server = server().await;
    let keys = || {
        let range = Range { prefix: b"", after: b"", keys_max: 10_000 };
        server.store.view().range(range).unwrap().len()
    };
    let before = keys();
    for _ in 0..300 {
        server.token(&["default"]).await;
    }
    server.clock.advance(3599);
    while server.vault.background_step().await.unwrap() > 0 {}
    assert!(keys() > before + 300, "not yet");
    server.clock.advance(2);
    while server.vault.background_step().await.unwrap() > 0 {}
    assert_eq!(keys(), before);
}

#[tokio::test]
async fn expired_secret_ids_are_removed_without_anybody_asking() {
    let server = server().await;
    server.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
    server.write("auth/approle/role/r", json!({ "secret_id_ttl": "1h" })).await.unwrap();
    let keys = || {
        let range = Range { prefix: b"auth/", after: b"", keys_max: 10_000 };
        server.store.view().range(range).unwrap().len()
    };
    while server.vault.background_step().await.unwrap() > 0 {}
    let before = keys();
    for _ in 0..300 {
        server.write("auth/approle/role/r/secret-id", json!({})).await.unwrap();
    }
    server.clock.advance(3599);
    while server.vault.background_step().await.unwrap() > 0 {}
    assert!(keys() >= before + 300, "not yet");
    server.clock.advance(3);
    while server.vault.background_step().await.unwrap() > 0 {}
    assert_eq!(keys(), before);
}

#[tokio::test]
async fn while_leases_end_too_late_none_is_made_and_no_secret_id_is_spent() {
    let server = server().await;
    server.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
    for (role, kind) in [("r", "service"), ("b", "batch")] {
        let body = json!({ "secret_id_num_uses": 1, "token_type": kind });
        server.write(&format!("auth/approle/role/{role}"), body).await.unwrap();
    }
    let login = async |role: &str| {
        let path = format!("auth/approle/role/{role}");
        let id = server.read(&format!("{path}/role-id")).await.unwrap().data.unwrap();
        let made = server.write(&format!("{path}/secret-id"), json!({})).await.unwrap();
        let secret = &made.data.unwrap()["secret_id"];
        json!({ "role_id": id["role_id"], "secret_id": secret })
    };
    let (service, batch) = (login("r").await, login("b").await);
    let gate = server.vault.lease_gate();
    for seconds in 0..30 {
        let now = Timestamp::ZERO + Duration::from_secs(seconds);
        gate.report(now, Duration::from_secs(100 + seconds));
    }
    for (path, body) in
        [("auth/approle/login", &service), ("auth/token/create", &json!({ "ttl": "1h" }))]
    {
        let refused = server.write(path, body.clone()).await.unwrap_err();
        let VaultError::Rejected(rejection) = refused else { panic!("{path}: {refused:?}") };
        assert_eq!(rejection.gate, Gate::Leases, "{path}");
    }
    // What has no lease, and what ends some, goes on.
    server.write("auth/approle/login", batch).await.unwrap();
    server.write("auth/token/create", json!({})).await.unwrap();
    // Nothing is due: one look at the index says so.
    server.vault.background_step().await.unwrap();
    server.write("auth/approle/login", service).await.unwrap();
}

#[tokio::test]
async fn it_runs_until_it_is_told_to_stop() {
    let server = server().await;
    server.write("sys/mounts/big", json!({ "type": "kv" })).await.unwrap();
    for number in 0..600 {
        server.write(&format!("big/{number}"), json!({ "k": number })).await.unwrap();
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let vault = Arc::clone(&server.vault);
    let running = tokio::spawn(vault.run_background(async {
        let _ = stopped.await;
    }));
    server.delete("sys/mounts/big").await.unwrap();
    let intents = || {
        let range = Range { prefix: b"core/unmount/", after: b"", keys_max: 1 };
        server.store.view().range(range).unwrap().len()
    };
    while intents() > 0 {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn a_sealed_server_does_none() {
    let server = server().await;
    server.vault.seal_now();
    assert!(matches!(server.vault.background_step().await, Err(VaultError::Sealed)));
}
