//! Limits on what a request may send, for services that stream their bodies.
//!
//! What can be decided on the headers is: too many bytes of them are 431
//! ([`HeaderLimitsLayer`]), a Content-Length beyond the limit is 413, and neither reads a
//! byte of the body. Everything else is found out while the service reads
//! ([`BodyLimitsLayer`]). A service that meets the end of the allowance has a failed body
//! in its hands and its own idea of what that means, often a 500: so whatever it answers
//! *then* is replaced by the 413 or 408 that is true.
//!
//! The [`door`](crate::door) has the limits of bodies built in, since it reads them
//! itself.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll_http::body::BodyLimits;
//! use plimsoll_http::limits::BodyLimitsLayer;
//!
//! let limits = BodyLimits { bytes_max: 1 << 20, time_max: Duration::from_secs(30) };
//! let layer = BodyLimitsLayer::new(limits);
//! ```

mod bodies;
mod body;
mod headers;
#[cfg(test)]
mod tests;

pub use crate::limits::bodies::{BodyLimitsLayer, LimitedBodies};
pub use crate::limits::body::LimitedBody;
pub use crate::limits::headers::{
    HeaderLimits, HeaderLimitsLayer, HeadersTooLarge, LimitedHeaders,
};
