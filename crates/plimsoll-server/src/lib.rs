//! The HTTP face of the secrets server: Vault's API, its configuration file, health
//! and metrics, and the wiring of everything below.
//!
//! A request's way, one direction: the listener accepts it, the door asks the write
//! gate, `service` translates it, `plimsoll-vault` decides, `plimsoll-store`
//! commits.

#![forbid(unsafe_code)]

mod backup;
mod classify;
pub mod config;
mod connections;
mod dev;
mod face;
mod gates;
mod health;
mod health_listener;
mod in_flight;
mod maintenance;
mod metrics;
mod options;
mod probe;
mod quotas;
mod replication;
mod server;
mod service;
mod space;
mod stack;

pub use crate::options::{DevOptions, InvalidSlowDisk, ServerOptions, SlowDiskSpec};
pub use crate::server::{DevKeys, Server, ServerError};
