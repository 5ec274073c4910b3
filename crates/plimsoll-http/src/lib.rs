//! Tower layers that admit or refuse HTTP requests, and the refusals themselves.
//!
//! Each layer works alone on any service, answers with a *response* and leaves
//! the service's error type untouched. Start at [`door`].

#![forbid(unsafe_code)]

mod answer;
pub mod body;
pub mod door;
pub mod identity;
pub mod refusal;

pub use crate::answer::Answer;
