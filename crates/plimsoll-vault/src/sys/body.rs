//! Bodies as only `sys/` has them.

use serde_json::{Map, Value, json};

use crate::request::Request;
use crate::response::Response;

/// Most answers of `sys/` hold their data twice, in `data` and beside it: old
/// clients read the one, newer ones the other.
pub(super) fn merged(request: &Request, data: Map<String, Value>) -> Response {
    let mut body = data.clone();
    body.extend([
        ("request_id".to_owned(), json!(request.id)),
        ("lease_id".to_owned(), json!("")),
        ("renewable".to_owned(), json!(false)),
        ("lease_duration".to_owned(), json!(0)),
        ("data".to_owned(), data.clone().into()),
        ("wrap_info".to_owned(), Value::Null),
        ("warnings".to_owned(), Value::Null),
        ("auth".to_owned(), Value::Null),
    ]);
    // The data is what the audit log is to show; the body is what is sent.
    Response { data: Some(data), raw: Some(body.into()), ..Response::default() }
}

/// Milliseconds since the Unix epoch in RFC 3339.
pub(crate) fn rfc3339(time_ms: u64) -> String {
    crate::engines::go_format::rfc3339(time_ms.saturating_mul(1_000_000))
}
