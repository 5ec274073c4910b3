//! ACL policies: who may do what to which path.
pub(crate) mod store;
pub(crate) use crate::policy::store::exists;
