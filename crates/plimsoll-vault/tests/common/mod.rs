//! A vault over a store in memory, and a client of it.

#![allow(dead_code, clippy::unwrap_used)]

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use plimsoll_store::{MemoryStore, Store};
use plimsoll_vault::context::UnixTime;
use plimsoll_vault::{Operation, Request, Response, Vault, VaultError, VaultOptions};
use serde_json::{Map, Value};

/// A clock that stands until it is moved.
#[derive(Clone, Debug)]
pub(crate) struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000)))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn options(&self) -> VaultOptions {
        let seconds = Arc::clone(&self.0);
        let mut options = VaultOptions::default();
        options.clock =
            Arc::new(move || UnixTime(Duration::from_secs(seconds.load(Ordering::Relaxed))));
        options.crypto_workers = 2;
        options
    }
}

/// An initialised and unsealed vault.
pub(crate) struct Server {
    pub(crate) vault: Arc<Vault>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: FakeClock,
    pub(crate) unseal_key: String,
}

pub(crate) async fn server() -> Server {
    server_with(|_| {}).await
}

/// The same with something changed.
pub(crate) async fn server_with(change: impl FnOnce(&mut VaultOptions)) -> Server {
    let clock = FakeClock::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut options = clock.options();
    change(&mut options);
    let vault = Vault::open(Arc::clone(&store), options).unwrap();
    let keys = vault.initialize_dev(Some("root")).await.unwrap();
    assert_eq!(keys.root_token, "root");
    Server { vault, store, clock, unseal_key: keys.unseal_key }
}

pub(crate) fn request(operation: Operation, path: &str, body: Value, token: &str) -> Request {
    Request {
        operation,
        path: path.to_owned(),
        data: match body {
            Value::Object(data) => data,
            _ => Map::new(),
        },
        query: BTreeMap::new(),
        token: (!token.is_empty()).then(|| token.to_owned().into()),
        remote: Ipv4Addr::LOCALHOST.into(),
        id: "id".to_owned(),
    }
}

impl Server {
    pub(crate) async fn ask(
        &self,
        operation: Operation,
        path: &str,
        body: Value,
        token: &str,
    ) -> Result<Response, VaultError> {
        self.vault.handle(request(operation, path, body, token), None).await
    }

    pub(crate) async fn write(&self, path: &str, body: Value) -> Result<Response, VaultError> {
        self.ask(Operation::Write, path, body, "root").await
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Response, VaultError> {
        self.ask(Operation::Read, path, Value::Null, "root").await
    }

    pub(crate) async fn list(&self, path: &str) -> Result<Response, VaultError> {
        self.ask(Operation::List, path, Value::Null, "root").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Response, VaultError> {
        self.ask(Operation::Delete, path, Value::Null, "root").await
    }

    /// A token with these policies, in force for an hour.
    pub(crate) async fn token(&self, policies: &[&str]) -> String {
        let body = serde_json::json!({ "policies": policies, "ttl": "1h" });
        let response = self.write("auth/token/create", body).await.unwrap();
        response.auth.unwrap().client_token
    }
}

/// The status and the message of a refusal.
pub(crate) fn refusal(result: Result<Response, VaultError>) -> (u16, String) {
    let error = result.unwrap_err();
    (error.status(), error.to_string())
}

pub(crate) fn data(response: &Response) -> Value {
    response.data.clone().map_or(Value::Null, Value::from)
}
