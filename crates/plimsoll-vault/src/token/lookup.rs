//! What `auth/token/lookup` tells.

use core::time::Duration;
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value, json};

use crate::context::UnixTime;
use crate::token::entry::TokenEntry;

/// The `data` object for a token. `id` is what the caller presented, or empty.
pub(crate) fn lookup_data(entry: &TokenEntry, id: &str, now: UnixTime) -> Map<String, Value> {
    let mut data = crate::backend::object([
        ("accessor", json!(entry.accessor)),
        ("creation_time", json!(entry.created_ms / 1000)),
        ("creation_ttl", json!(entry.ttl)),
        ("display_name", json!(entry.display_name)),
        ("entity_id", json!("")),
        ("expire_time", rfc3339(entry.expires_ms)),
        ("explicit_max_ttl", json!(entry.explicit_max_ttl)),
        ("id", json!(id)),
        ("issue_time", rfc3339(Some(entry.created_ms))),
        ("meta", json!(entry.meta)),
        ("num_uses", json!(entry.num_uses)),
        ("orphan", json!(entry.parent.is_none())),
        ("path", json!(entry.path)),
        ("policies", json!(entry.policies)),
        ("renewable", json!(entry.renewable)),
        ("ttl", json!(entry.ttl_left(now))),
        ("type", json!(entry.kind.as_str())),
    ]);
    if entry.period > 0 {
        data.insert("period".to_owned(), json!(entry.period));
    }
    if !entry.bound_cidrs.is_empty() {
        data.insert("bound_cidrs".to_owned(), json!(entry.bound_cidrs));
    }
    if let Some(renewed_ms) = entry.renewed_ms {
        data.insert("last_renewal".to_owned(), rfc3339(Some(renewed_ms)));
        data.insert("last_renewal_time".to_owned(), json!(renewed_ms / 1000));
    }
    data
}

/// A time as Go prints it; null for none.
pub(crate) fn rfc3339(at_ms: Option<u64>) -> Value {
    at_ms.map_or(Value::Null, |at_ms| {
        let time = UNIX_EPOCH + Duration::from_millis(at_ms);
        humantime::format_rfc3339_millis(time).to_string().into()
    })
}
