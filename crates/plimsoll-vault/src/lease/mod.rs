//! Leases: when what was given out ends.
pub(crate) mod index;
