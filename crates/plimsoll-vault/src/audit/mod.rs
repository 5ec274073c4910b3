//! The audit log: who asked for what, and what came of it.
//!
//! Every authenticated request makes two entries, one when it has been decided
//! and before anything is committed, one before it is answered. With devices
//! enabled, an entry that none of them takes means that the request fails:
//! what is not recorded does not happen. A device that hangs is no reason for
//! everyone to wait for ever, so each entry has a time limit, each device a
//! bounded queue and a thread of its own.

mod broker;
mod device;
mod devices;
mod entry;
#[cfg(test)]
mod tests;

pub(crate) use crate::audit::broker::{Broker, ENTRY_TIMEOUT};
pub(crate) use crate::audit::device::check;
pub(crate) use crate::audit::devices::{DeviceEntry, Devices};
pub(crate) use crate::audit::entry::{AuditedAuth, Record};
