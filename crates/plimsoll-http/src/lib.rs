//! Tower layers that admit or refuse HTTP requests, and the refusals themselves.
//!
//! Each layer works alone on any service, answers with a *response* and leaves
//! the service's error type untouched:
//!
//! | layer | refuses |
//! |---|---|
//! | [`identity`] | what is malformed about a request's origin (400) |
//! | [`maintenance`] | what an operator has closed (503, 410) |
//! | [`limits`] | headers and bodies that are too large or too slow (431, 413, 408) |
//! | [`quota`] | clients over their quota (429) |
//! | [`door`] | what the server cannot carry now (503), or store (507) |
//!
//! What a refusal says is in [`refusal`].

#![forbid(unsafe_code)]

pub mod body;
pub mod door;
mod flow;
pub mod idempotency;
pub mod identity;
pub mod limits;
pub mod maintenance;
mod patience;
pub mod quota;
pub mod refusal;
mod rule;
pub mod vault;
mod vouched;

pub use crate::flow::Flows;
pub use crate::patience::preferred_wait;
pub use crate::rule::{Answer, Ruled};
pub use crate::vouched::Vouched;
