//! HTTP requests into requests.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderMap, Method};
use plimsoll::Rejection;
use plimsoll_http::vault::{BadPath, api_path, token};
use plimsoll_vault::{Operation, Request};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::face::json::{DECODED_BYTES_MAX, Meter, Undecoded};

/// Why an HTTP request is no request of the API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Path(#[from] BadPath),
    /// Not below `/v1/`: Vault answers without words.
    #[error("")]
    NotApi,
    #[error("more than one {0} header")]
    Repeated(&'static str),
    #[error("unsupported operation")]
    Method,
    /// What protects a secret, or says whose it is, must not be passed over in
    /// silence.
    #[error("{0} is not supported by this server")]
    Unsupported(&'static str),
    #[error("request body exceeds {DECODED_BYTES_MAX} bytes when it is decoded")]
    TooLarge,
    #[error("overloaded, try again later")]
    Rejected(Rejection),
    #[error("failed to parse JSON input: expected an object")]
    NotObject,
    /// Line and column, but nothing of the text: it may be a secret.
    #[error("failed to parse JSON input: error at line {line}, column {column}")]
    Json { line: usize, column: usize },
}

impl Unreadable {
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::NotApi => 404,
            Self::Method => 405,
            Self::TooLarge => 413,
            Self::Rejected(_) => 503,
            Self::Path(_)
            | Self::Repeated(_)
            | Self::Unsupported(_)
            | Self::NotObject
            | Self::Json { .. } => 400,
        }
    }
}

/// More query parameters than any client sends.
const QUERY_PARAMETERS_MAX: usize = 64;

pub(crate) fn decode(
    parts: &Parts,
    body: &[u8],
    remote: IpAddr,
    meter: &Meter<'_>,
) -> Result<Request, Unreadable> {
    let path = api_path(parts.uri.path()).ok_or(Unreadable::NotApi)??;
    if let Some(header) = repeated_credential(&parts.headers) {
        return Err(Unreadable::Repeated(header));
    }
    if let Some(wish) = unsupported_wish(&parts.headers) {
        return Err(Unreadable::Unsupported(wish));
    }
    let query = query(parts.uri.query().unwrap_or_default());
    let operation = operation(&parts.method, &query).ok_or(Unreadable::Method)?;
    let data = match operation {
        Operation::Write | Operation::Patch => object(body, meter)?,
        // A body has no meaning here; query parameters may.
        Operation::Read | Operation::List | Operation::Delete => Map::new(),
    };
    Ok(Request {
        operation,
        path: path.into_owned(),
        data,
        query,
        token: token(&parts.headers).map(SecretString::from),
        remote,
        id: uuid::Uuid::new_v4().to_string(),
    })
}

/// A header that says twice who is asking. A proxy in front may have looked at
/// the other one.
fn repeated_credential(headers: &HeaderMap) -> Option<&'static str> {
    let is_repeated = |name: &&str| headers.get_all(*name).iter().nth(1).is_some();
    ["X-Vault-Token", "Authorization"].into_iter().find(is_repeated)
}

/// A header that asks for something that this server does not do. Values that
/// ask for nothing are sent by clients out of habit.
fn unsupported_wish(headers: &HeaderMap) -> Option<&'static str> {
    let asks = |name: &str, nothing: &[&str]| {
        let value = headers.get(name).map(|value| value.to_str().unwrap_or("?").trim());
        value.is_some_and(|value| !nothing.contains(&value))
    };
    if asks("x-vault-wrap-ttl", &["", "0", "0s"]) {
        return Some("response wrapping (X-Vault-Wrap-TTL)");
    }
    asks("x-vault-namespace", &["", "/", "root", "root/"])
        .then_some("a namespace (X-Vault-Namespace)")
}

pub(crate) fn operation(method: &Method, query: &BTreeMap<String, String>) -> Option<Operation> {
    let list = query.get("list").is_some_and(|value| matches!(value.as_str(), "true" | "1"));
    Some(match *method {
        Method::GET if list => Operation::List,
        Method::GET => Operation::Read,
        Method::POST | Method::PUT => Operation::Write,
        Method::DELETE => Operation::Delete,
        Method::PATCH => Operation::Patch,
        ref other if other.as_str() == "LIST" => Operation::List,
        _ => return None,
    })
}

pub(crate) fn query(query: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(query.as_bytes()).into_owned().take(QUERY_PARAMETERS_MAX).collect()
}

fn object(body: &[u8], meter: &Meter<'_>) -> Result<Map<String, Value>, Unreadable> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match meter.decode(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Unreadable::NotObject),
        Err(Undecoded::Syntax(error)) => {
            Err(Unreadable::Json { line: error.line(), column: error.column() })
        }
        Err(Undecoded::TooLarge) => Err(Unreadable::TooLarge),
        Err(Undecoded::Rejected(rejection)) => Err(Unreadable::Rejected(rejection)),
    }
}
