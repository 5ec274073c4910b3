//! The secrets server itself: seal, barrier, tokens, policies, leases and
//! engines. No HTTP.

#![forbid(unsafe_code)]

mod audit;
pub mod backend;
mod barrier;
pub mod cidr;
pub mod context;
mod crypto_pool;
mod decoded;
pub mod duration;
pub mod engines;
mod error;
mod idempotency;
pub mod lease;
mod mounts;
mod plaintext;
pub mod policy;
pub mod quota;
mod request;
mod response;
mod seal;
mod sys;
#[cfg(test)]
mod testing;
pub mod token;
mod vault;

pub use crate::barrier::KeyStatus;
pub use crate::error::VaultError;
pub use crate::plaintext::Plaintext;
pub use crate::request::{Operation, Request};
pub use crate::response::{AuthResponse, Response};
pub use crate::seal::{InvalidStaticKey, StaticKey};
pub use crate::sys::MaintenanceRecord;
pub use crate::vault::{
    AdmitLate, Clock, DevKeys, KnownCaller, LeaseQuota, OwnSeal, Recipient, Status, Vault,
    VaultOptions, Windows,
};
