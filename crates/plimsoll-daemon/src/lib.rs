//! What every long-running plimsoll process needs around its work: the syntax of
//! its configuration file, metrics, the signals of an operator's tools and the
//! wall clock.
//!
//! It knows nothing about admission and nothing about HTTP.

#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod metrics;
mod signals;

pub use crate::signals::{Signal, Signals};
