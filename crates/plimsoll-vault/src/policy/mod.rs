//! ACL policies: who may do what to which path.
//!
//! A policy is text in HCL or JSON. It is parsed once per version ([`Policy`]),
//! and the policies of a token are merged once per combination of versions into
//! an [`Acl`], which is immutable and answers without allocating.
//!
//! Which rule counts, as in Vault:
//!
//! 1. the one whose pattern is the path itself;
//! 2. else, of the longest prefix (`secret/*`) and all patterns with `+` for a
//!    segment (`secret/+/config`) that match, the one whose first wildcard comes
//!    last; then one without `*` at its end; then one with fewer `+`; then the
//!    longest; then the last in the alphabet;
//! 3. else nothing is allowed.
//!
//! A folder is listed with a slash at the end of its path; what is not found so
//! is looked for again without it.
//!
//! Rules with the same pattern are merged: their capabilities are united, and
//! `deny` in any of them leaves nothing else.
//!
//! Not supported: `control_group` and `mfa_methods`, which are refused rather
//! than ignored, and templates: there are no entities, so a path that names one
//! matches nothing.

mod acl;
mod cache;
mod capability;
mod handle;
mod hcl;
mod parameters;
mod parse;
pub(crate) mod store;
#[cfg(test)]
mod tests;

pub use crate::policy::acl::{Access, Acl, Denied};
pub use crate::policy::cache::AclCache;
pub use crate::policy::handle::{handle, handles};
pub use crate::policy::parse::Policy;
pub(crate) use crate::policy::store::exists;
pub use crate::policy::store::{POLICY_BYTES_MAX, StoredPolicy, delete, get, list, put};
