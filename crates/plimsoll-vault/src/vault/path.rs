//! The way from a URL's path to a path in the server, and what is not one.

use crate::error::VaultError;

/// Bytes of a path at most, as sent and as decoded.
pub(crate) const PATH_BYTES_MAX: usize = 4096;

/// Decodes the percent escapes of a path and checks it: what comes out has no
/// empty or relative segments and only printable characters. One slash at the
/// end may stay.
///
/// # Errors
/// 400, in Vault's words where it has some.
pub(crate) fn decode(sent: &str) -> Result<String, VaultError> {
    if sent.len() > PATH_BYTES_MAX {
        return Err(VaultError::invalid("path is too long"));
    }
    let decoded = unescape(sent)?;
    if decoded.chars().any(char::is_control) {
        return Err(VaultError::invalid("path contains characters that are not printable"));
    }
    let segments = decoded.strip_suffix('/').unwrap_or(&decoded).split('/');
    for segment in segments {
        match segment {
            "" => return Err(VaultError::invalid("path cannot contain empty segments")),
            "." | ".." => {
                return Err(VaultError::invalid("path cannot contain parent references"));
            }
            _ => {}
        }
    }
    Ok(decoded)
}

fn unescape(sent: &str) -> Result<String, VaultError> {
    if !sent.contains('%') {
        return Ok(sent.to_owned());
    }
    let invalid = || VaultError::invalid("path contains an invalid escape");
    let mut bytes = Vec::with_capacity(sent.len());
    let mut rest = sent.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_at_checked(2).ok_or_else(invalid)?;
            let mut value = [0];
            hex::decode_to_slice(digits, &mut value).map_err(|_| invalid())?;
            bytes.push(value[0]);
            rest = after;
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).map_err(|_| VaultError::invalid("path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(decode("secret/data/a%20b").unwrap(), "secret/data/a b");
        assert_eq!(decode("secret/%2525").unwrap(), "secret/%25");
        assert_eq!(decode("secret/data/%C3%A9/").unwrap(), "secret/data/\u{e9}/");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for sent in [
            "", "/", "a//b", "/a", "a//", "../a", "a/..", "a/%2e%2e/b", "a/%2E./b", "a/./b",
            "a%00b", "a%0ab", "a\u{7f}b", "a%", "a%f", "a%zz", "a%ff", "a/%2f/b",
        ] {
            assert!(matches!(decode(sent), Err(VaultError::Invalid(_))), "{sent:?}");
        }
        assert!(decode(&"a".repeat(PATH_BYTES_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_crashes_it_and_what_passes_is_clean(sent in ".{0,64}") {
            if let Ok(path) = decode(&sent) {
                prop_assert!(!path.contains("//"));
                prop_assert!(path.split('/').all(|segment| segment != ".."));
                prop_assert!(!path.contains('\0'));
            }
        }
    }
}
