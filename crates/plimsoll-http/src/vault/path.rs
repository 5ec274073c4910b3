//! Paths as clients send them.
//!
//! A path names what is protected, so there must be one way only to read it:
//! whatever two readers could understand differently is refused instead of
//! cleaned up.

use std::borrow::Cow;

/// Longer paths are nobody's.
const PATH_BYTES_MAX: usize = 4096;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPath {
    /// More than 4,096 bytes.
    #[error("path is too long")]
    TooLong,
    /// A percent sign without two hexadecimal digits.
    #[error("path contains a malformed percent escape")]
    Escape,
    /// A slash or backslash that is not to be seen as one.
    #[error("path contains an escaped slash")]
    EscapedSlash,
    /// Bytes that are no text.
    #[error("path is not UTF-8")]
    NotUtf8,
    /// A control character.
    #[error("path contains a control character")]
    Control,
    /// Segments that some servers would clean away.
    #[error("path contains an empty segment, \".\" or \"..\"")]
    Segment,
}

/// The path below `/v1/`, percent-decoded; `None` for a path outside it. It is read anew
/// wherever it is needed, so what has nothing to decode is not copied.
///
/// # Errors
/// (Within the option.) It could be read in more than one way.
pub fn api_path(path: &str) -> Option<Result<Cow<'_, str>, BadPath>> {
    path.strip_prefix("/v1/").map(parse)
}

fn parse(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if path.len() > PATH_BYTES_MAX {
        return Err(BadPath::TooLong);
    }
    if is_plain(path) {
        return Ok(path.into());
    }
    let decoded: Cow<'_, str> =
        if path.contains('%') { unescape(path)?.into() } else { path.into() };
    if decoded.chars().any(char::is_control) {
        return Err(BadPath::Control);
    }
    // One slash may end a path: it names a folder to list.
    let segments = decoded.strip_suffix('/').unwrap_or(&decoded);
    if segments.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(BadPath::Segment);
    }
    Ok(decoded)
}

/// Nothing to decode and nothing to refuse, as in nearly every path.
fn is_plain(path: &str) -> bool {
    let mut before = b'/';
    path.bytes().all(|byte| {
        let is_odd = before == b'/' && matches!(byte, b'/' | b'.');
        before = byte;
        byte.is_ascii_graphic() && byte != b'%' && !is_odd
    }) && !path.is_empty()
}

fn unescape(path: &str) -> Result<String, BadPath> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (rest.next().and_then(digit), rest.next().and_then(digit))
        else {
            return Err(BadPath::Escape);
        };
        match high * 16 + low {
            b'/' | b'\\' => return Err(BadPath::EscapedSlash),
            decoded => bytes.push(decoded),
        }
    }
    String::from_utf8(bytes).map_err(|_| BadPath::NotUtf8)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_what_follows_v1() {
        assert_eq!(api_path("/v1/secret/data/a"), Some(Ok("secret/data/a".into())));
        assert_eq!(api_path("/v1/secret/"), Some(Ok("secret/".into())));
        assert_eq!(api_path("/ui/"), None);
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(api_path("/v1/kv/a%20b"), Some(Ok("kv/a b".into())));
        assert_eq!(api_path("/v1/kv/a%2520b"), Some(Ok("kv/a%20b".into())));
        assert_eq!(api_path("/v1/kv/%C3%A4"), Some(Ok("kv/\u{e4}".into())));
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused() {
        for (path, why) in [
            ("/v1/kv/../sys/seal", BadPath::Segment),
            ("/v1/kv/%2e%2e/sys/seal", BadPath::Segment),
            ("/v1/kv//a", BadPath::Segment),
            ("/v1/", BadPath::Segment),
            ("/v1/kv/a%2Fb", BadPath::EscapedSlash),
            ("/v1/kv/a%5cb", BadPath::EscapedSlash),
            ("/v1/kv/%00", BadPath::Control),
            ("/v1/kv/%ff", BadPath::NotUtf8),
            ("/v1/kv/%f", BadPath::Escape),
            ("/v1/kv/%zz", BadPath::Escape),
        ] {
            assert_eq!(api_path(path), Some(Err(why)), "{path}");
        }
        let long = format!("/v1/{}", "a".repeat(PATH_BYTES_MAX + 1));
        assert_eq!(api_path(&long), Some(Err(BadPath::TooLong)));
    }
}
