//! The way from nothing to an unsealed server, and back.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{FakeClock, refusal, request, server};
use plimsoll_store::{MemoryStore, Store};
use plimsoll_vault::{Operation, Response, StaticKey, Vault, VaultError};
use serde_json::{Value, json};

async fn open(vault: &Arc<Vault>, path: &str, body: Value) -> Result<Value, VaultError> {
    let request = request(Operation::Write, path, body, "");
    vault.handle(request, None).await.map(|response| response.raw.unwrap_or_default())
}

fn sealed() -> Arc<Vault> {
    Vault::open(Arc::new(MemoryStore::new()), FakeClock::new().options()).unwrap()
}

#[tokio::test]
async fn a_vault_is_initialized_once_and_unsealed_by_its_shares() {
    let vault = sealed();
    let init = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let made = open(&vault, "sys/init", init.clone()).await.unwrap();
    assert_eq!(made["keys"].as_array().unwrap().len(), 3);
    assert_eq!(made["keys"][0].as_str().unwrap().len(), 66, "33 bytes in hexadecimal");
    let again = open(&vault, "sys/init", init).await.unwrap_err();
    assert_eq!((again.status(), again.to_string().as_str()), (400, "Vault is already initialized"));

    let first = open(&vault, "sys/unseal", json!({ "key": made["keys"][2] })).await.unwrap();
    assert_eq!((first["sealed"].clone(), first["progress"].clone()), (json!(true), json!(1)));
    assert_eq!((first["t"].clone(), first["n"].clone()), (json!(2), json!(3)));
    assert_ne!(first["nonce"], "");
    let second =
        open(&vault, "sys/unseal", json!({ "key": made["keys_base64"][0] })).await.unwrap();
    assert_eq!((second["sealed"].clone(), second["progress"].clone()), (json!(false), json!(0)));
    assert!(second["cluster_id"].is_string());

    let root = made["root_token"].as_str().unwrap();
    let request = request(Operation::Read, "auth/token/lookup-self", Value::Null, root);
    let looked_up = vault.handle(request, None).await.unwrap();
    assert_eq!(looked_up.data.unwrap()["policies"], json!(["root"]));
}

#[tokio::test]
async fn wrong_shares_are_refused_in_vaults_words_and_start_afresh() {
    let vault = sealed();
    let init = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let made = open(&vault, "sys/init", init).await.unwrap();
    let wrong = json!({ "key": "01".repeat(33) });
    open(&vault, "sys/unseal", wrong).await.unwrap();
    let error = open(&vault, "sys/unseal", json!({ "key": made["keys"][0] })).await.unwrap_err();
    assert_eq!(error.status(), 400);
    assert_eq!(
        error.to_string(),
        "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: \
         cipher: message authentication failed"
    );
    assert_eq!(vault.status().progress, 0);
    assert!(vault.status().sealed);
    for (body, message) in [
        (json!({ "key": "zz!" }), "'key' must be a valid hex or base64 string"),
        (json!({ "key": "0102" }), "invalid key: key is shorter than minimum 16 bytes"),
        (json!({}), "'key' must be specified in request body as JSON, or 'reset' set to true"),
    ] {
        let error = open(&vault, "sys/unseal", body).await.unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (400, message));
    }
}

#[tokio::test]
async fn a_reset_forgets_the_shares() {
    let vault = sealed();
    let init = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let made = open(&vault, "sys/init", init).await.unwrap();
    open(&vault, "sys/unseal", json!({ "key": made["keys"][0] })).await.unwrap();
    let reset = open(&vault, "sys/unseal", json!({ "reset": true })).await.unwrap();
    assert_eq!((reset["progress"].clone(), reset["nonce"].clone()), (json!(0), json!("")));
}

#[tokio::test]
async fn before_the_initialization_there_is_nothing_to_unseal() {
    let vault = sealed();
    let error = open(&vault, "sys/unseal", json!({ "key": "01".repeat(32) })).await.unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (400, "Vault is not initialized"));
    assert!(!vault.status().initialized);
    for (shares, threshold) in [(0, 0), (2, 1), (3, 5), (300, 2)] {
        let body = json!({ "secret_shares": shares, "secret_threshold": threshold });
        let error = open(&vault, "sys/init", body).await.unwrap_err();
        assert!(error.to_string().starts_with("invalid seal configuration: "), "{error}");
    }
}

#[tokio::test]
async fn a_sealed_vault_answers_503_and_its_status() {
    let server = server().await;
    assert_eq!(server.write("sys/seal", json!({})).await.unwrap().raw, None);
    assert_eq!(refusal(server.read("secret/data/a").await), (503, "Vault is sealed".to_owned()));
    assert_eq!(refusal(server.read("sys/mounts").await), (503, "Vault is sealed".to_owned()));
    let status = server.ask(Operation::Read, "sys/seal-status", Value::Null, "").await.unwrap();
    assert_eq!(status.raw.unwrap()["sealed"], true);
    assert!(server.vault.caller("root").is_none());
    let body = json!({ "key": server.unseal_key });
    assert_eq!(open(&server.vault, "sys/unseal", body).await.unwrap()["sealed"], false);
    assert!(server.read("sys/mounts").await.is_ok());
}

#[tokio::test]
async fn only_sudo_may_seal() {
    let server = server().await;
    server
        .write(
            "sys/policies/acl/p",
            json!({
                "policy": "path \"sys/seal\" { capabilities = [\"update\"] }"
            }),
        )
        .await
        .unwrap();
    let token = server.token(&["p"]).await;
    let result = server.ask(Operation::Write, "sys/seal", json!({}), &token).await;
    assert_eq!(result.unwrap_err().status(), 403);
    assert!(!server.vault.is_sealed());
}

#[tokio::test]
async fn nothing_is_stored_in_the_clear() {
    let server = server().await;
    let secret = "a-very-well-known-secret-value";
    server.write("secret/data/a", json!({ "data": { "k": secret } })).await.unwrap();
    let view = server.store.view();
    let range = plimsoll_store::Range { prefix: b"", after: b"", keys_max: 1000 };
    for (key, entry) in view.range(range).unwrap() {
        let value = String::from_utf8_lossy(&entry.value);
        assert!(!value.contains(secret) && !value.contains("root"), "{key:?}");
    }
}

#[tokio::test]
async fn what_was_written_before_a_rotation_can_be_read_after_it_and_after_a_restart() {
    let server = server().await;
    server.write("secret/data/a", json!({ "data": { "k": "old" } })).await.unwrap();
    let term = |response: Response| response.data.unwrap()["term"].clone();
    assert_eq!(term(server.read("sys/key-status").await.unwrap()), 1);
    server.write("sys/rotate", json!({})).await.unwrap();
    assert_eq!(term(server.read("sys/key-status").await.unwrap()), 2);
    server.write("secret/data/b", json!({ "data": { "k": "new" } })).await.unwrap();

    let vault = Vault::open(Arc::clone(&server.store), server.clock.options()).unwrap();
    assert!(vault.is_sealed());
    open(&vault, "sys/unseal", json!({ "key": server.unseal_key })).await.unwrap();
    for (path, value) in [("secret/data/a", "old"), ("secret/data/b", "new")] {
        let request = request(Operation::Read, path, Value::Null, "root");
        let response = vault.handle(request, None).await.unwrap();
        assert_eq!(response.data.unwrap()["data"]["k"], value);
    }
}

#[tokio::test]
async fn a_static_key_opens_the_store_by_itself_and_another_one_does_not() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let with_key = |id: &str, byte: &str| {
        let mut options = FakeClock::new().options();
        options.auto_unseal = Some(StaticKey::new(id, &byte.repeat(32)).unwrap());
        Vault::open(Arc::clone(&store), options)
    };
    let vault = with_key("2026-1", "0a").unwrap();
    let body = json!({ "recovery_shares": 3, "recovery_threshold": 2 });
    let made = open(&vault, "sys/init", body).await.unwrap();
    assert_eq!(made["recovery_keys"].as_array().unwrap().len(), 3);
    assert_eq!(made["keys"], json!([]));
    assert!(!vault.is_sealed());
    assert_eq!(vault.status().seal_type, "static");
    drop(vault);
    assert!(!with_key("2026-1", "0a").unwrap().is_sealed());
    assert!(with_key("2026-2", "0a").is_err());
    assert!(with_key("2026-1", "0b").is_err());
}
