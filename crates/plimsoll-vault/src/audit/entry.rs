//! What an entry looks like: Vault's JSON, a line each.
//!
//! Strings that a client sent or is sent are replaced by keyed hashes, so that
//! the log holds no secret and `sys/audit-hash` can still tell whether a known
//! value was in it. Names, paths, numbers and switches stay readable.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use serde_json::{Map, Value, json};

use crate::response::Response;

/// Levels of nesting that are looked at; what lies deeper is replaced.
const DEPTH_MAX: usize = 64;

/// The caller as the log shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditedAuth {
    pub(crate) accessor: String,
    pub(crate) display_name: String,
    pub(crate) policies: Vec<String>,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    pub(crate) token_type: &'static str,
    pub(crate) remaining_uses: u64,
    pub(crate) token_ttl: u64,
    pub(crate) token_issue_time: String,
}

/// Everything that both entries of a request are made from.
pub(crate) struct Record<'r> {
    pub(crate) id: &'r str,
    pub(crate) operation: &'static str,
    pub(crate) path: &'r str,
    pub(crate) data: &'r Map<String, Value>,
    pub(crate) remote: IpAddr,
    pub(crate) token: Option<&'r str>,
    pub(crate) auth: Option<Arc<AuditedAuth>>,
    pub(crate) mount_point: &'r str,
    pub(crate) mount_type: &'r str,
    pub(crate) mount_accessor: &'r str,
}

/// How one device wants its entries.
pub(crate) struct Form {
    pub(crate) salt: hmac::Key,
    pub(crate) raw: bool,
    pub(crate) hash_accessor: bool,
    pub(crate) prefix: String,
}

/// `hmac-sha256:` and the hash.
pub(crate) fn hashed(salt: &hmac::Key, value: &str) -> String {
    format!("hmac-sha256:{}", hex::encode(hmac::sign(salt, value.as_bytes())))
}

impl Form {
    /// The line of a request.
    pub(crate) fn request(&self, record: &Record<'_>, time: &str, error: Option<&str>) -> Vec<u8> {
        let mut entry = self.common(record, "request", time);
        if let Some(error) = error {
            entry.insert("error".to_owned(), error.into());
        }
        self.line(entry)
    }

    /// The line of its response.
    pub(crate) fn response(
        &self,
        record: &Record<'_>,
        time: &str,
        response: Result<&Response, &str>,
    ) -> Vec<u8> {
        let mut entry = self.common(record, "response", time);
        let mut answer = Map::from_iter([
            ("mount_point".to_owned(), json!(record.mount_point)),
            ("mount_type".to_owned(), json!(record.mount_type)),
            ("mount_accessor".to_owned(), json!(record.mount_accessor)),
        ]);
        match response {
            Ok(response) => {
                // What has no envelope holds the same as its data, or nothing
                // secret.
                if let Some(data) = &response.data {
                    answer.insert("data".to_owned(), self.object(data));
                }
                if let Some(auth) = &response.auth {
                    answer.insert("auth".to_owned(), self.issued(auth));
                }
            }
            Err(error) => {
                entry.insert("error".to_owned(), error.into());
            }
        }
        entry.insert("response".to_owned(), answer.into());
        self.line(entry)
    }

    fn line(&self, entry: Map<String, Value>) -> Vec<u8> {
        format!("{}{}\n", self.prefix, Value::from(entry)).into_bytes()
    }

    fn common(&self, record: &Record<'_>, kind: &str, time: &str) -> Map<String, Value> {
        let auth = record.auth.as_deref();
        let accessor = auth.map(|auth| self.accessor(&auth.accessor));
        let mut request = Map::from_iter([
            ("id".to_owned(), json!(record.id)),
            ("operation".to_owned(), json!(record.operation)),
            ("mount_point".to_owned(), json!(record.mount_point)),
            ("mount_type".to_owned(), json!(record.mount_type)),
            ("mount_accessor".to_owned(), json!(record.mount_accessor)),
            ("namespace".to_owned(), json!({ "id": "root" })),
            ("path".to_owned(), json!(record.path)),
            ("remote_address".to_owned(), json!(record.remote.to_string())),
        ]);
        if !record.data.is_empty() {
            request.insert("data".to_owned(), self.object(record.data));
        }
        if let Some(token) = record.token {
            request.insert("client_token".to_owned(), self.string(token).into());
        }
        if let Some(accessor) = &accessor {
            request.insert("client_token_accessor".to_owned(), json!(accessor));
        }
        let mut entry = Map::from_iter([
            ("time".to_owned(), json!(time)),
            ("type".to_owned(), json!(kind)),
            ("request".to_owned(), request.into()),
        ]);
        if let Some(auth) = auth {
            entry.insert("auth".to_owned(), self.caller(auth, record.token, accessor.as_deref()));
        }
        entry
    }

    fn caller(&self, auth: &AuditedAuth, token: Option<&str>, accessor: Option<&str>) -> Value {
        json!({
            "client_token": token.map(|token| self.string(token)),
            "accessor": accessor,
            "display_name": auth.display_name,
            "policies": auth.policies,
            "token_policies": auth.policies,
            "metadata": auth.metadata,
            "token_type": auth.token_type,
            "remaining_uses": auth.remaining_uses,
            "token_ttl": auth.token_ttl,
            "token_issue_time": auth.token_issue_time,
        })
    }

    fn issued(&self, auth: &crate::response::AuthResponse) -> Value {
        json!({
            "client_token": self.string(&auth.client_token),
            "accessor": self.accessor(&auth.accessor),
            "policies": auth.policies,
            "token_policies": auth.token_policies,
            "metadata": auth.metadata,
            "token_type": auth.token_type,
            "token_ttl": auth.lease_duration,
            "num_uses": auth.num_uses,
        })
    }

    fn accessor(&self, accessor: &str) -> String {
        if self.hash_accessor { self.string(accessor) } else { accessor.to_owned() }
    }

    fn string(&self, value: &str) -> String {
        if self.raw || value.is_empty() { value.to_owned() } else { hashed(&self.salt, value) }
    }

    fn object(&self, data: &Map<String, Value>) -> Value {
        data.iter().map(|(key, value)| (key.clone(), self.value(value, DEPTH_MAX))).collect()
    }

    fn value(&self, value: &Value, depth_max: usize) -> Value {
        match value {
            Value::String(text) => self.string(text).into(),
            Value::Array(_) | Value::Object(_) if depth_max == 0 => {
                self.string(&value.to_string()).into()
            }
            Value::Array(items) => {
                items.iter().map(|item| self.value(item, depth_max - 1)).collect()
            }
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| (key.clone(), self.value(value, depth_max - 1)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}
