//! Prepares a Vault-compatible server for an operation, through its HTTP API.
//!
//! Everything may be there already, from an earlier run: an engine that is
//! mounted stays mounted, and roles and users are written again.

use http::Method;
use serde_json::{Value, json};

use super::{LoadError, LoadOptions, Operation, Target, request::Requests};
use crate::wire::Connection;

/// The longest part of an error body that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 300;

pub(super) async fn prepare(target: &Target, options: &LoadOptions) -> Result<Requests, LoadError> {
    if let Operation::Custom(_) = options.operation {
        return Requests::unprepared(target, options);
    }
    let mut admin = Admin::connect(target, &options.token).await?;
    match options.operation {
        Operation::ApproleLogin => {
            let bodies = admin.approle(options).await?;
            Requests::new(Method::POST, "/v1/auth/approle/login", &bodies, target, options, false)
        }
        Operation::UserpassLogin => {
            admin.userpass().await?;
            Requests::userpass(target, options)
        }
        Operation::Kv2Put => {
            admin
                .mount("sys/mounts/load-kv2", &json!({"type": "kv", "options": {"version": "2"}}))
                .await?;
            admin.await_kv2().await?;
            Requests::kv(target, options)
        }
        Operation::Kv1Put | Operation::Kv1Get | Operation::Custom(_) => {
            admin
                .mount("sys/mounts/load-kv1", &json!({"type": "kv", "options": {"version": "1"}}))
                .await?;
            if options.operation == Operation::Kv1Get {
                admin.fill_kv1(options).await?;
            }
            Requests::kv(target, options)
        }
    }
}

struct Admin<'a> {
    connection: Connection,
    target: &'a Target,
    token: &'a str,
}

impl<'a> Admin<'a> {
    async fn connect(target: &'a Target, token: &'a str) -> Result<Self, LoadError> {
        let connection = Connection::open(target.addr, None).await.map_err(|source| {
            LoadError::Unreachable { method: "CONNECT", path: target.host.clone(), source }
        })?;
        Ok(Self { connection, target, token })
    }

    /// Role `load`, and a login body for each SecretID.
    async fn approle(&mut self, options: &LoadOptions) -> Result<Vec<String>, LoadError> {
        self.mount("sys/auth/approle", &json!({"type": "approle"})).await?;
        let role = json!({
            "token_policies": "default",
            "token_ttl": "1h",
            "secret_id_num_uses": options.secret_id_num_uses,
        });
        self.expect("POST", "auth/approle/role/load", Some(&role)).await?;
        let answer = self.expect("GET", "auth/approle/role/load/role-id", None).await?;
        let role_id = answer["data"]["role_id"].clone();
        let mut bodies = Vec::new();
        for _ in 0..options.secret_ids {
            let path = "auth/approle/role/load/secret-id";
            let answer = self.expect("POST", path, Some(&json!({}))).await?;
            let secret_id = &answer["data"]["secret_id"];
            bodies.push(json!({"role_id": role_id, "secret_id": secret_id}).to_string());
        }
        Ok(bodies)
    }

    async fn userpass(&mut self) -> Result<(), LoadError> {
        self.mount("sys/auth/userpass", &json!({"type": "userpass"})).await?;
        let user = json!({
            "password": "load-password",
            "token_policies": "default",
            "token_ttl": "1h",
        });
        self.expect("POST", "auth/userpass/users/load", Some(&user)).await.map(drop)
    }

    /// What the reads will find.
    async fn fill_kv1(&mut self, options: &LoadOptions) -> Result<(), LoadError> {
        let value = json!({"value": "x".repeat(options.value_bytes)});
        for key in 0..options.keys {
            self.expect("POST", &format!("load-kv1/key-{key}"), Some(&value)).await?;
        }
        Ok(())
    }

    /// OpenBao answers 400 for a moment after it mounted kv version 2.
    async fn await_kv2(&mut self) -> Result<(), LoadError> {
        let value = json!({"data": {"value": "x"}});
        for attempt in 0..50_u64 {
            let (status, _) = self.call("POST", "load-kv2/data/ready", Some(&value)).await?;
            if status < 300 {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10 * attempt)).await;
        }
        self.expect("POST", "load-kv2/data/ready", Some(&value)).await.map(drop)
    }

    /// Enables an engine unless it is.
    async fn mount(&mut self, path: &str, engine: &Value) -> Result<(), LoadError> {
        let (status, answer) = self.call("POST", path, Some(engine)).await?;
        let enabled = status == 400 && String::from_utf8_lossy(&answer).contains("already in use");
        if status < 300 || enabled { Ok(()) } else { Err(refused("POST", path, status, &answer)) }
    }

    async fn expect(
        &mut self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, LoadError> {
        let (status, answer) = self.call(method, path, body).await?;
        if status >= 300 {
            return Err(refused(method, path, status, &answer));
        }
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).map_err(|_| refused(method, path, status, &answer))
    }

    async fn call(
        &mut self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Vec<u8>), LoadError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} /v1/{path} HTTP/1.1\r\nhost: {}\r\nx-vault-token: {}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.target.host,
            self.token,
            body.len()
        );
        let unreachable = |source| LoadError::Unreachable { method, path: path.to_owned(), source };
        let mut answer = Vec::new();
        let outcome = self.connection.exchange(request.as_bytes(), Some(&mut answer)).await;
        let head = outcome.map_err(unreachable)?;
        if !head.keep_alive {
            self.connection =
                Connection::open(self.target.addr, None).await.map_err(unreachable)?;
        }
        Ok((head.status, answer))
    }
}

fn refused(method: &'static str, path: &str, status: u16, answer: &[u8]) -> LoadError {
    let body = String::from_utf8_lossy(answer).trim().chars().take(SHOWN_CHARS_MAX).collect();
    LoadError::SetUp { method, path: path.to_owned(), status, body }
}
