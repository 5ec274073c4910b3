//! What may be sent twice is done once.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use plimsoll_vault::{Operation, Response, Vault, VaultError};
use serde_json::{Map, Value, json};

use crate::common::{Server, refusal, request, server, server_with};

const CREATE: &str = "auth/token/create";

impl Server {
    async fn once(
        &self,
        key: &str,
        path: &str,
        body: Value,
        token: &str,
    ) -> Result<Response, VaultError> {
        let asked = request(Operation::Write, path, body, token);
        self.vault.handle_once(asked, None, Some(key)).await
    }

    async fn work(&self) {
        while self.vault.background_step().await.unwrap() > 0 {}
    }

    fn kept(&self) -> usize {
        let range =
            plimsoll_store::Range { prefix: b"sys/idempotency/", after: b"", keys_max: 10_000 };
        self.store.view().range(range).unwrap().len()
    }
}

fn client_token(response: &Response) -> String {
    response.auth.as_ref().unwrap().client_token.clone()
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_writes_nothing() {
    let server = server().await;
    let body = json!({ "ttl": "1h" });
    let first = server.once("k", CREATE, body.clone(), "root").await.unwrap();
    let revision = server.store.view().revision();
    let again = server.once("k", CREATE, body.clone(), "root").await.unwrap();
    assert_eq!(client_token(&again), client_token(&first));
    assert_eq!(
        (again.request_id, again.mount_type),
        (first.request_id.clone(), first.mount_type.clone())
    );
    assert!(again.replayed && !first.replayed);
    assert_eq!(server.store.view().revision(), revision);
    let other = server.once("k2", CREATE, body, "root").await.unwrap();
    assert_ne!(client_token(&other), client_token(&first));
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_caller() {
    let server = server().await;
    let first = server.once("k", CREATE, json!({ "ttl": "1h" }), "root").await.unwrap();
    for (path, body) in [(CREATE, json!({ "ttl": "2h" })), ("secret/data/a", json!({ "data": {} }))]
    {
        let reused = server.once("k", path, body, "root").await;
        assert_eq!(refusal(reused).0, 422);
    }
    let other = server.token(&["root"]).await;
    let theirs = server.once("k", CREATE, json!({ "ttl": "1h" }), &other).await.unwrap();
    assert_ne!(client_token(&theirs), client_token(&first), "in another hand it is another key");
}

#[tokio::test]
async fn a_login_is_known_by_its_body() {
    let server = server().await;
    server.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
    let role = json!({ "secret_id_num_uses": 1, "token_ttl": "1h" });
    server.write("auth/approle/role/r", role).await.unwrap();
    let role_id = server.read("auth/approle/role/r/role-id").await.unwrap().data.unwrap();
    let secret_id = server.write("auth/approle/role/r/secret-id", json!({})).await.unwrap();
    let login = json!({
        "role_id": role_id["role_id"], "secret_id": secret_id.data.unwrap()["secret_id"],
    });
    let first = server.once("k", "auth/approle/login", login.clone(), "").await.unwrap();
    let again = server.once("k", "auth/approle/login", login.clone(), "").await.unwrap();
    assert_eq!(client_token(&again), client_token(&first), "although the SecretID is spent");
    assert!(server.once("other", "auth/approle/login", login.clone(), "").await.is_err());
    // As long as the token that it granted, at most.
    server.clock.advance(3601);
    assert!(server.once("k", "auth/approle/login", login, "").await.is_err());
    server.work().await;
    assert_eq!(server.kept(), 0);
}

#[tokio::test]
async fn duplicates_in_one_batch_are_executed_once() {
    let server = Arc::new(server().await);
    let requests: Vec<_> = (0..32)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(
                async move { server.once("k", CREATE, json!({ "ttl": "1h" }), "root").await },
            )
        })
        .collect();
    let (mut tokens, mut replayed) = (Vec::new(), 0);
    for request in requests {
        let response = request.await.unwrap().unwrap();
        replayed += u32::from(response.replayed);
        tokens.push(client_token(&response));
    }
    tokens.dedup();
    assert_eq!((tokens.len(), replayed), (1, 31));
}

#[tokio::test]
async fn the_last_use_of_a_token_can_be_asked_again_and_a_revoked_one_cannot() {
    let server = server().await;
    let body = json!({ "num_uses": 1, "policies": ["root"] });
    let once = client_token(&server.write(CREATE, body).await.unwrap());
    let write = |key| server.once(key, "secret/data/a", json!({ "data": {} }), &once);
    let first = write("k").await.unwrap();
    let again = write("k").await.unwrap();
    assert_eq!((again.replayed, again.data), (true, first.data));
    assert_eq!(refusal(write("k2").await).0, 403);

    let token = server.token(&["root"]).await;
    server.once("k", CREATE, json!({ "ttl": "1h" }), &token).await.unwrap();
    server.write("auth/token/revoke", json!({ "token": token })).await.unwrap();
    assert_eq!(refusal(server.once("k", CREATE, json!({ "ttl": "1h" }), &token).await).0, 403);
}

#[tokio::test]
async fn what_failed_or_only_read_is_not_kept() {
    let server = server().await;
    assert!(server.once("k", "secret/data/a", json!({}), "root").await.is_err());
    server.once("k", "auth/token/lookup-self", json!({}), "root").await.unwrap();
    assert_eq!(server.kept(), 0);
    let data = json!({ "data": { "a": "b" } });
    assert!(!server.once("k", "secret/data/a", data.clone(), "root").await.unwrap().replayed);
    assert!(server.once("k", "secret/data/a", data, "root").await.unwrap().replayed);
}

#[tokio::test]
async fn answers_survive_a_restart_for_a_day_and_hide_their_secrets() {
    let first = server().await;
    let made = first.once("k", CREATE, json!({}), "root").await.unwrap();
    let vault = Vault::open(Arc::clone(&first.store), first.clock.options()).unwrap();
    let unseal = json!({ "key": first.unseal_key });
    vault.handle(request(Operation::Write, "sys/unseal", unseal, ""), None).await.unwrap();
    let second = Server { vault, ..first };
    let again = second.once("k", CREATE, json!({}), "root").await.unwrap();
    assert!(again.replayed);
    assert_eq!(client_token(&again), client_token(&made));
    second.clock.advance(24 * 3600 + 1);
    assert!(!second.once("k", CREATE, json!({}), "root").await.unwrap().replayed);
    second.clock.advance(24 * 3600 + 1);
    second.work().await;
    assert_eq!(second.kept(), 0);
}

#[tokio::test]
async fn an_answer_that_is_too_large_to_keep_is_refused_and_nothing_is_done() {
    let server = server().await;
    let revision = server.store.view().revision();
    let meta = (0..20).map(|n| (n.to_string(), json!("x".repeat(4000)))).collect::<Map<_, _>>();
    let body = json!({ "meta": meta });
    let refused = server.once("k", CREATE, body.clone(), "root").await;
    let (status, said) = refusal(refused);
    assert!(status == 413 && said.contains("nothing was executed"), "{status} {said}");
    assert_eq!(server.store.view().revision(), revision);
    assert!(server.write(CREATE, body).await.is_ok(), "without a key it may be that large");
}

#[tokio::test]
async fn of_more_answers_than_are_kept_those_next_to_their_end_go() {
    let server = server_with(|options| options.kept_answers_max = 10).await;
    let create = async |n: u32| {
        let (key, body) = (format!("k{n}"), json!({ "ttl": format!("{}s", 100 + n) }));
        server.once(&key, CREATE, body, "root").await.unwrap().replayed
    };
    for n in 0..30 {
        assert!(!create(n).await);
    }
    server.work().await;
    assert_eq!(server.kept(), 2 * 10, "a record and its end");
    assert!(create(29).await && create(20).await);
    assert!(!create(19).await, "forgotten: done again");
    // Counted anew by whoever starts next.
    let vault = Vault::open(Arc::clone(&server.store), {
        let mut options = server.clock.options();
        options.kept_answers_max = 5;
        options
    });
    let second = Server { vault: vault.unwrap(), ..server };
    let unseal = json!({ "key": second.unseal_key });
    second.vault.handle(request(Operation::Write, "sys/unseal", unseal, ""), None).await.unwrap();
    second.work().await;
    assert_eq!(second.kept(), 2 * 5);
}
