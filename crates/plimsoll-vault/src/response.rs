//! What a client is answered, free of HTTP.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An answer. Everything absent stays out of it; an answer with nothing at all
/// is 204.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Response {
    /// The `data` object.
    pub data: Option<Map<String, Value>>,
    /// The `auth` object of a login or a token operation.
    pub auth: Option<AuthResponse>,
    /// `lease_duration` in seconds, as kv v1 hints it.
    pub lease_duration: u64,
    /// `warnings`.
    pub warnings: Vec<String>,
    /// The whole body instead of the usual envelope, for the `sys/` paths that
    /// have none.
    pub raw: Option<Value>,
    /// A status other than 200 or 204 that is no error, e.g. 404 with data for
    /// a deleted version.
    pub status: Option<u16>,
    /// `mount_type`: the engine that answered.
    pub mount_type: Option<Cow<'static, str>>,
    /// Bytes that the request's transaction added to the log; 0 if it wrote
    /// nothing. Not part of the answer: it teaches what the route costs.
    #[serde(skip)]
    pub written_bytes: u64,
    /// The id that the answer carries, if it is not that of the request at hand.
    pub request_id: Option<String>,
    /// It was made for an earlier request with the same Idempotency-Key.
    #[serde(skip)]
    pub replayed: bool,
}

impl Response {
    /// An answer that holds `data`.
    pub fn data(data: Map<String, Value>) -> Self {
        Self { data: Some(data), ..Self::default() }
    }

    /// An answer to LIST.
    pub fn keys(keys: Vec<String>) -> Self {
        Self::data(Map::from_iter([("keys".to_owned(), Value::from(keys))]))
    }

    /// An answer whose body is `raw`.
    pub fn raw(raw: Value) -> Self {
        Self { raw: Some(raw), ..Self::default() }
    }
}

/// The `auth` object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuthResponse {
    /// The token itself: the only place it ever leaves the server.
    pub client_token: String,
    /// Its accessor; empty for a batch token.
    pub accessor: String,
    /// All policies.
    pub policies: Vec<String>,
    /// Those of the token.
    pub token_policies: Vec<String>,
    /// What the auth method said about the client.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Seconds it lives.
    pub lease_duration: u64,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// The identity's id; empty as long as there are no entities.
    pub entity_id: String,
    /// `service` or `batch`.
    pub token_type: String,
    /// Not bound to a parent.
    pub orphan: bool,
    /// Never set: there is no second factor here.
    pub mfa_requirement: Option<Value>,
    /// Uses left; 0 is unlimited.
    pub num_uses: u64,
}
