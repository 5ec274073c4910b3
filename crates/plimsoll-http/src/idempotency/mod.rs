//! `Idempotency-Key`: a write that may be sent twice and is done once
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! What makes a repetition safe is that the first answer is stored in the same
//! commit as the first request's writes, and only whoever commits can do that. The
//! layer does the rest: it refuses a malformed key (400), lets one request of a key
//! through at a time (409 for the others), hands the key to the service as an
//! [`IdempotencyKey`] in the request's extensions, and marks an answer that the
//! service found instead of making it ([`Replayed`]) with `Idempotency-Replayed: true`.
//!
//! A key belongs to whoever sent it: two credentials with the same key are two keys.
//! Requests that change nothing pass with whatever key they bring.

mod key;
mod layer;
#[cfg(test)]
mod tests;

pub use crate::idempotency::key::{IdempotencyKey, Replayed};
pub use crate::idempotency::layer::{Idempotency, IdempotencyLayer};
