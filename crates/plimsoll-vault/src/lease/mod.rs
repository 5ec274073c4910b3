//! Leases: when what was given out ends.
//!
//! Only tokens have leases here, and a token's lease is a part of its entry, so
//! the two cannot disagree. What this module adds is the way to them: the
//! [`index`] by which they are found, the background work that ends them
//! ([`step`]), and the paths of `sys/leases/` ([`handle()`]).
//!
//! A lease is over when its time has come, whether or not the background has
//! got to it: authentication looks at the time, not at the index.

mod expire;
mod handle;
pub(crate) mod index;
#[cfg(test)]
mod tests;

pub(crate) use crate::lease::expire::revoke_prefix;
pub use crate::lease::expire::{late, step};
pub use crate::lease::handle::{LeaseCall, handle, handles, needs_sudo};

/// Leases, or other items, ended in one step of the background work, so that
/// the step fits into a batch beside what clients wait for.
pub const LEASES_PER_STEP_MAX: usize = 256;
