//! What is a path in the server, and what is not.

use crate::error::VaultError;

/// Bytes of a path at most.
pub(crate) const PATH_BYTES_MAX: usize = 4096;

/// Checks a path, whose escapes the face has decoded: it has no empty or
/// relative segments and no control characters. One slash at the end may stay.
///
/// # Errors
/// 400, in Vault's words where it has some.
pub(crate) fn check(path: &str) -> Result<(), VaultError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(VaultError::invalid("path is too long"));
    }
    // One look at the bytes tells of nearly every path that all is well.
    let mut before = b'/';
    let is_plain = path.bytes().all(|byte| {
        let is_odd = before == b'/' && matches!(byte, b'/' | b'.');
        before = byte;
        byte.is_ascii_graphic() && !is_odd
    });
    if is_plain && !path.is_empty() {
        return Ok(());
    }
    if path.chars().any(char::is_control) {
        return Err(VaultError::invalid("path contains characters that are not printable"));
    }
    for segment in path.strip_suffix('/').unwrap_or(path).split('/') {
        match segment {
            "" => return Err(VaultError::invalid("path cannot contain empty segments")),
            "." | ".." => {
                return Err(VaultError::invalid("path cannot contain parent references"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_segments_with_at_most_one_slash_at_the_end() {
        for path in ["a", "secret/data/a b", "secret/data/\u{e9}/", "a/%2e%2e", "a/...", "a/.b"] {
            assert!(check(path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in [
            "", "/", "a//b", "/a", "a//", "../a", "a/..", "a/../b", "a/./b", "a\0b", "a\nb",
            "a\u{7f}b", "a/../",
        ] {
            assert!(matches!(check(path), Err(VaultError::Invalid(_))), "{path:?}");
        }
        assert!(check(&"a".repeat(PATH_BYTES_MAX + 1)).is_err());
    }
}
