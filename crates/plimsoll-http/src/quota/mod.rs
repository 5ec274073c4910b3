//! Quotas: a client that asks too much is answered 429.
//!
//! The layer stands in front of the door, and charges a request as soon as its
//! headers are there: whoever is over a quota takes no place from anybody and sends
//! no body. What was charged is a reservation. If the answer says that the server
//! itself refused the request ([`Unexecuted`]), it is given back, so that an overload
//! uses up nobody's quota. In between nobody else can have it: the quota is exact
//! however many requests are under way.
//!
//! Who has which quota is a [`QuotaPolicy`]'s to say; [`PerClient`] gives everybody
//! the same.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll_http::quota::QuotaLayer;
//!
//! // By the address that the identity layer in front found.
//! let started = std::time::Instant::now();
//! let layer = QuotaLayer::per_client("requests", 100, Duration::from_secs(60), move || {
//!     plimsoll::Timestamp::ZERO + started.elapsed()
//! })?;
//! # Ok::<(), plimsoll::quota::InvalidLimit>(())
//! ```
//!
//! [`Unexecuted`]: crate::refusal::Unexecuted

mod charging;
mod layer;
mod policy;
#[cfg(test)]
mod tests;

pub use crate::quota::layer::{Quota, QuotaLayer};
pub use crate::quota::policy::{Asked, Named, PerClient, QuotaPolicy};
