//! How much a request's headers may hold.

use core::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response};
use tower_layer::Layer;

use crate::body::Unread;
use crate::refusal::{Face, ProblemFace, respond};
use crate::rule::{Rule, Ruled};

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

/// Limits the headers of every request.
#[derive(Clone)]
pub struct HeaderLimitsLayer {
    limits: HeaderLimits,
    face: Arc<dyn Face>,
}

impl HeaderLimitsLayer {
    /// These limits.
    pub fn new(limits: HeaderLimits) -> Self {
        Self { limits, face: Arc::new(ProblemFace::default()) }
    }

    /// Refuses with this face.
    #[must_use]
    pub fn with_face(self, face: Arc<dyn Face>) -> Self {
        Self { face, ..self }
    }
}

impl fmt::Debug for HeaderLimitsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderLimitsLayer").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for HeaderLimitsLayer {
    type Service = LimitedHeaders<S>;

    fn layer(&self, inner: S) -> LimitedHeaders<S> {
        Ruled::new(inner, self)
    }
}

/// A service whose headers are within limits.
pub type LimitedHeaders<S> = Ruled<S, HeaderLimitsLayer>;

impl Rule for HeaderLimitsLayer {
    type Passed = ();

    fn admit<R: From<Bytes>>(&self, parts: &mut Parts, unread: Unread) -> Result<(), Response<R>> {
        let headers = &parts.headers;
        let refused = |error| respond(&*self.face, headers, error, unread.must_close(headers));
        self.limits.check(headers).map_err(refused)
    }
}
