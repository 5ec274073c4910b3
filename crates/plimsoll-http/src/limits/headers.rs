//! How much a request's headers may hold.

use http::HeaderMap;

/// Limits of the headers of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderLimits {
    /// Fields.
    pub fields_max: usize,
    /// Bytes of names and values together.
    pub bytes_max: usize,
}

impl Default for HeaderLimits {
    /// 128 fields and 32 KiB: more than any client sends by itself.
    fn default() -> Self {
        Self { fields_max: 128, bytes_max: 32 << 10 }
    }
}

/// The headers are beyond one of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request headers exceed {} fields or {} bytes", .0.fields_max, .0.bytes_max)]
pub struct HeadersTooLarge(pub HeaderLimits);

impl HeaderLimits {
    /// Whether these headers are acceptable.
    ///
    /// # Errors
    /// They are not.
    pub fn check(self, headers: &HeaderMap) -> Result<(), HeadersTooLarge> {
        let bytes: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > self.fields_max || bytes > self.bytes_max {
            return Err(HeadersTooLarge(self));
        }
        Ok(())
    }
}
