//! `X-Vault-Index`: reading what one has written, wherever one reads.
//!
//! The form is Vault's, as its Go client merges it: base64 of
//! `v1:<cluster>:<index>:<index>:<hex>`. The index is the revision.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderValue};
use plimsoll_store::Revision;

/// In answers to writes, and in requests that must see them.
pub(crate) const INDEX_HEADER: &str = "x-vault-index";
const INCONSISTENT_HEADER: &str = "x-vault-inconsistent";
const FORWARD: &str = "forward-active-node";
/// Headers of one request that are looked at: a client that writes to several clusters
/// sends several.
const HEADERS_MAX: usize = 8;

/// The header's value.
pub(crate) fn index_of(cluster_id: &str, revision: Revision) -> Option<HeaderValue> {
    let state = format!("v1:{cluster_id}:{revision}:{revision}");
    let sum = crc32c::crc32c(state.as_bytes());
    HeaderValue::from_str(&BASE64.encode(format!("{state}:{sum:08x}"))).ok()
}

/// What a request must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) revision: Revision,
    /// If it is not here yet, the primary is asked at once.
    pub(crate) forward: bool,
}

impl Wanted {
    /// Of a request's headers; what cannot be read asks for nothing, as in Vault.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let wanted = headers.get_all(INDEX_HEADER).iter().take(HEADERS_MAX);
        let revision = wanted.filter_map(revision).max()?;
        let forward = headers.get_all(INCONSISTENT_HEADER).iter().any(|value| value == FORWARD);
        Some(Self { revision, forward })
    }
}

fn revision(value: &HeaderValue) -> Option<Revision> {
    let state = BASE64.decode(value.as_bytes()).ok()?;
    let state = std::str::from_utf8(&state).ok()?;
    let fields: Vec<&str> = state.split(':').collect();
    match fields[..] {
        ["v1", _, local, _, _] => local.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_was_answered_is_what_is_asked_for() {
        let mut headers = HeaderMap::new();
        assert_eq!(Wanted::of(&headers), None);
        for revision in [7, 900, 12] {
            headers.append(INDEX_HEADER, index_of("cluster", revision).unwrap());
        }
        headers.append(INDEX_HEADER, HeaderValue::from_static("nonsense"));
        assert_eq!(Wanted::of(&headers), Some(Wanted { revision: 900, forward: false }));
        headers.insert(INCONSISTENT_HEADER, HeaderValue::from_static(FORWARD));
        assert_eq!(Wanted::of(&headers), Some(Wanted { revision: 900, forward: true }));
    }
}
