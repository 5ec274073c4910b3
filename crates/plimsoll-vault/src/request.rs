//! What a client asks, free of HTTP.

use std::collections::BTreeMap;
use std::net::IpAddr;

use secrecy::SecretString;
use serde_json::{Map, Value};

/// What is done to a path. The names are those of Vault's logical operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// POST or PUT. Whether it is a create or an update, as policies
    /// distinguish them, is found out when the path is known.
    Write,
    /// GET.
    Read,
    /// LIST, or GET with `list=true`.
    List,
    /// DELETE.
    Delete,
    /// PATCH with a JSON merge patch.
    Patch,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// To what: the path below `/v1/`, without a leading slash, its percent
    /// escapes decoded.
    pub path: String,
    /// The body, or an empty object.
    pub data: Map<String, Value>,
    /// Query parameters.
    pub query: BTreeMap<String, String>,
    /// `X-Vault-Token` or a bearer token.
    pub token: Option<SecretString>,
    /// Who is calling, behind trusted proxies.
    pub remote: IpAddr,
    /// Named in the audit log and in the answer.
    pub id: String,
}

impl Request {
    /// A string of the body; `None` if it is absent or null.
    ///
    /// # Errors
    /// It is there but not a string, number or boolean.
    pub fn text(&self, field: &str) -> Result<Option<String>, crate::VaultError> {
        match self.data.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(bool)) => Ok(Some(bool.to_string())),
            Some(_) => Err(crate::VaultError::invalid(format!(
                "Field validation failed: error converting input for field \"{field}\": \
                 expected a string"
            ))),
        }
    }
}
