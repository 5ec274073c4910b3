//! One list of samples, two renderings: Prometheus' text and the JSON of Vault's
//! `sys/metrics`. Latencies are summaries over the last ten to twenty seconds, as
//! in Vault, where they are milliseconds.

mod render;
mod summary;

use std::borrow::Cow;

pub use crate::metrics::render::{json, prometheus};
pub use crate::metrics::summary::{Digest, Summary};

/// One number with a name.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Vault's dotted name, without the prefix `vault.`, or our own, which begins
    /// with `plimsoll.`.
    pub name: &'static str,
    /// What tells it from others of its name.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// The number.
    pub value: Measured,
}

/// What kind of number it is.
#[derive(Clone, Debug)]
pub enum Measured {
    /// Goes up and down.
    Gauge(f64),
    /// Only grows.
    Counter(u64),
    /// A distribution.
    Summary(Digest),
}
