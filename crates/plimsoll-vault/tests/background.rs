//! Work that nobody waits for.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::server;
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
