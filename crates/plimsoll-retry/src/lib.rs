//! The client's side of an overload.
//!
//! A server can refuse politely, but what the refused client does next decides
//! whether the overload ends. This crate retries so that it does: little, late,
//! spread out, and only what is safe to send twice.
//!
//! - **What is retried**: 429, 503, 412, 408, 502, 504 and broken connections, for
//!   idempotent methods and for requests with an `Idempotency-Key`, which unsafe
//!   requests get by themselves. Never 507, 501, 500 or another 4xx.
//! - **When**: after what the server asks for (`retry-after-ms`, `Retry-After` in
//!   seconds or as a date; bounded), plus exponential backoff with full jitter. A
//!   503 holds back the client's other requests of the kind as well.
//! - **How often**: at most three attempts within the request's patience, paid from
//!   a budget that all clones share. Of stacked retry layers the outermost retries.
//!
//! [`Client`] is a small ready client; [`RetryLayer`] does the same for any tower
//! service of HTTP requests; [`Retry::run`] for anything else. The rules are pure
//! functions of time and chance: [`Backoff`], [`Budget`], [`Throttle`],
//! [`retry_after`].
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use http::{Request, Response};
//! use plimsoll_retry::{Attempts, Retry, RetryLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! static ASKED: AtomicU32 = AtomicU32::new(0);
//! let server = service_fn(async |_: Request<String>| {
//!     let status = if ASKED.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 200 };
//!     Response::builder().status(status).header("retry-after-ms", 5).body(())
//! });
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # runtime.block_on(async {
//! let client = RetryLayer::new(Retry::default()).layer(server);
//! let response = client.oneshot(Request::new("hello".to_owned())).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.extensions().get::<Attempts>().map(|attempts| attempts.count), Some(2));
//! # Ok::<_, tower::BoxError>(())
//! # })?;
//! # Ok::<_, tower::BoxError>(())
//! ```

#![forbid(unsafe_code)]

#[cfg(feature = "client")]
mod client;
mod layer;
mod retry;
mod rules;

#[cfg(feature = "client")]
pub use crate::client::{Client, ClientError, RESPONSE_BYTES_MAX};
pub use crate::layer::{CloneBody, InCharge, Replay, RetryLayer, RetryService, SendOnce};
pub use crate::retry::{Asked, Attempt, Attempts, Kept, Patience, Reply, Retry, RetryError};
pub use crate::rules::backoff::Backoff;
pub use crate::rules::budget::{Budget, FAILED_COST, REFUSED_COST, SUCCESS_GAIN, TOKENS_MAX};
pub use crate::rules::call::GaveUp;
pub use crate::rules::hint::retry_after;
pub use crate::rules::policy::Policy;
pub use crate::rules::safety::{IDEMPOTENCY_KEY, is_repeatable};
pub use crate::rules::throttle::Throttle;

/// The README's example, compiled.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
mod readme {}
