//! The header field.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::refusal::IdempotencyError;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Characters of a key at most.
const KEY_CHARS_MAX: usize = 255;

/// A request's key, for the service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

/// Stands in the extensions of a response that was made for an earlier request.
#[derive(Clone, Copy, Debug)]
pub struct Replayed;

impl IdempotencyKey {
    /// The key without its quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key among a request's headers, if there is one.
    pub(super) fn find(headers: &HeaderMap) -> Result<Option<Self>, IdempotencyError> {
        let mut fields = headers.get_all(HEADER).iter();
        let Some(field) = fields.next() else { return Ok(None) };
        let text = field.to_str().ok().filter(|_| fields.next().is_none());
        let key = text.and_then(string).ok_or(IdempotencyError::Malformed)?;
        Ok(Some(Self(key.into())))
    }
}

/// A String (RFC 9651 3.3.3), and nothing beside it.
fn string(text: &str) -> Option<String> {
    let text = text.trim_matches(' ');
    if text.len() > 2 * KEY_CHARS_MAX + 2 {
        return None;
    }
    let mut rest = text.strip_prefix('"')?.chars();
    let mut key = String::new();
    loop {
        match rest.next()? {
            '"' => break,
            '\\' => key.push(rest.next().filter(|c| matches!(c, '"' | '\\'))?),
            c @ ' '..='~' => key.push(c),
            _ => return None,
        }
    }
    let is_whole = rest.as_str().is_empty();
    (is_whole && (1..=KEY_CHARS_MAX).contains(&key.len())).then_some(key)
}
