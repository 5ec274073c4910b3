//! The rules, without I/O: time and chance come in as arguments.

pub(crate) mod backoff;
pub(crate) mod budget;
pub(crate) mod call;
pub(crate) mod hint;
pub(crate) mod pace;
pub(crate) mod policy;
pub(crate) mod safety;
pub(crate) mod throttle;
