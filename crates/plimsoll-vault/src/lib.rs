//! The secrets server itself: seal, barrier, tokens, policies, leases and
//! engines. No HTTP.

#![forbid(unsafe_code)]

pub mod backend;
pub mod cidr;
pub mod context;
mod decoded;
pub mod duration;
pub mod engines;
mod error;
pub mod lease;
pub mod policy;
mod request;
mod response;
pub mod token;

pub use crate::error::VaultError;
pub use crate::request::{Operation, Request};
pub use crate::response::{AuthResponse, Response};
