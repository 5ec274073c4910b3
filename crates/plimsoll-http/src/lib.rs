//! Tower layers that admit or refuse HTTP requests, and the refusals themselves.
//!
//! Each layer works alone on any service, answers with a *response* and leaves
//! the service's error type untouched. Start at [`door`].

#![forbid(unsafe_code)]

mod answer;
pub mod body;
pub mod door;
mod flow;
pub mod identity;
pub mod limits;
pub mod maintenance;
mod patience;
pub mod quota;
pub mod refusal;
pub mod vault;
mod vouched;

pub use crate::answer::Answer;
pub use crate::flow::Flows;
pub use crate::patience::preferred_wait;
pub use crate::vouched::Vouched;
