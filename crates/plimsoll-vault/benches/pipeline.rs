//! What a request costs the processor, without HTTP and without a disk.
//!
//! `cargo bench -p plimsoll-vault`

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use divan::Bencher;
use plimsoll_store::MemoryStore;
use plimsoll_vault::{Operation, Request, Response, Vault, VaultOptions};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

struct Server {
    runtime: Runtime,
    vault: Arc<Vault>,
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Arc::new(MemoryStore::new());
        let vault = Vault::open(store, VaultOptions::default()).unwrap();
        runtime.block_on(vault.initialize_dev(Some("root"))).unwrap();
        let server = Self { runtime, vault };
        let policy = r#"path "secret/*" { capabilities = ["create", "read", "update"] }
                        path "kv/*" { capabilities = ["create", "read", "update"] }"#;
        server.ask(Operation::Write, "sys/policies/acl/p", json!({ "policy": policy }), "root");
        server.ask(Operation::Write, "sys/mounts/kv", json!({ "type": "kv" }), "root");
        server.ask(Operation::Write, "sys/auth/approle", json!({ "type": "approle" }), "root");
        server
    }

    fn ask(&self, operation: Operation, path: &str, body: Value, token: &str) -> Response {
        let Value::Object(data) = body else { panic!("a body is an object") };
        self.run(request(operation, path, data, token))
    }

    fn run(&self, request: Request) -> Response {
        self.runtime.block_on(self.vault.handle(request, None)).unwrap()
    }

    fn token(&self) -> String {
        let body = json!({ "policies": ["p"] });
        self.ask(Operation::Write, "auth/token/create", body, "root").auth.unwrap().client_token
    }
}

fn request(operation: Operation, path: &str, data: Map<String, Value>, token: &str) -> Request {
    Request {
        operation,
        path: path.to_owned(),
        data,
        query: BTreeMap::new(),
        token: (!token.is_empty()).then(|| token.to_owned().into()),
        remote: Ipv4Addr::LOCALHOST.into(),
        id: "6b8f2f2e-5f3e-4a1c-9d57-3a3b3f1f8a11".to_owned(),
    }
}

#[divan::bench(args = ["kv/a", "secret/data/a", "auth/token/lookup-self"])]
fn read(bencher: Bencher<'_, '_>, path: &str) {
    let server = Server::new();
    let token = server.token();
    let value = json!({ "user": "app", "password": "correct horse battery staple" });
    server.ask(Operation::Write, "kv/a", value.clone(), &token);
    server.ask(Operation::Write, "secret/data/a", json!({ "data": value }), &token);
    bencher
        .with_inputs(|| request(Operation::Read, path, Map::new(), &token))
        .bench_values(|request| server.run(request));
}

#[divan::bench(args = ["kv/a", "secret/data/a"])]
fn write(bencher: Bencher<'_, '_>, path: &str) {
    let server = Server::new();
    let token = server.token();
    let data = Map::from_iter([("data".to_owned(), json!({ "password": "correct horse" }))]);
    bencher
        .with_inputs(|| request(Operation::Write, path, data.clone(), &token))
        .bench_values(|request| server.run(request));
}

#[divan::bench]
fn login(bencher: Bencher<'_, '_>) {
    let server = Server::new();
    server.ask(Operation::Write, "auth/approle/role/r", json!({}), "root");
    let empty = || json!({});
    let id = server.ask(Operation::Read, "auth/approle/role/r/role-id", empty(), "root");
    let secret = server.ask(Operation::Write, "auth/approle/role/r/secret-id", empty(), "root");
    let login = Map::from_iter([
        ("role_id".to_owned(), id.data.unwrap()["role_id"].clone()),
        ("secret_id".to_owned(), secret.data.unwrap()["secret_id"].clone()),
    ]);
    bencher
        .with_inputs(|| request(Operation::Write, "auth/approle/login", login.clone(), ""))
        .bench_values(|request| server.run(request));
}
