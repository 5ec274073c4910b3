//! Who is asking.
//!
//! Fairness, quotas, address bindings and the audit log all need the client's
//! address, and behind a proxy the socket has the proxy's. What a client writes
//! into `X-Forwarded-For` is worth nothing; what a proxy appends to it is worth as
//! much as the proxy. So the header is read only when the connection comes from a
//! configured proxy ([`Forwarding`]), and from the right: the right-most entry is
//! the one that this proxy has seen with its own eyes.
//!
//! The layer leaves a [`Client`] in the request's extensions. Everything behind it
//! reads that and never the header.
//!
//! ```
//! use std::net::SocketAddr;
//! use plimsoll_http::identity::{Forwarding, IdentityLayer};
//!
//! // Where the server in use keeps the peer's address; with axum
//! // `extensions.get::<ConnectInfo<SocketAddr>>()`.
//! let layer = IdentityLayer::new(|extensions| Some(extensions.get::<SocketAddr>()?.ip()))
//!     .trusting(Forwarding::by_proxies(["10.0.0.0/8", "::1"])?);
//! # Ok::<(), plimsoll_http::identity::InvalidProxy>(())
//! ```

mod client;
mod forwarding;
mod hops;
mod layer;
#[cfg(test)]
mod tests;

pub(crate) use crate::identity::client::{CREDENTIALS, VAULT_TOKEN};
pub use crate::identity::client::{Client, network};
pub use crate::identity::forwarding::{Forwarding, ForwardingError, InvalidProxy};
pub use crate::identity::hops::ForwardedHeader;
pub use crate::identity::layer::{Identity, IdentityLayer};
