//! A scenario: a server, the clients that ask of it, what happens to its disk,
//! what is measured, and what is expected of a good controller.
//!
//! One TOML file is one scenario with one or more cases. A `[[case]]` has a name
//! and whatever differs from the rest of the file: it is merged over it, table by
//! table, so a step to ten times the load is two lines. Every key is known or
//! refused; loads are multiples of what the disk carries, so that the same shape
//! fits every disk.

mod cases;
mod clients;
mod disk;
mod expect;
mod span;
#[cfg(test)]
mod tests;

use serde::Deserialize;

pub(crate) use self::cases::{named, tables};
pub(crate) use self::clients::asking_seconds;
pub use self::{
    cases::{ScenarioError, load, parse},
    clients::{Backoff, Burst, ClassName, Clients, Mix},
    disk::{Server, Slowdown, Stall, Tail},
    expect::{Expect, PassMark},
    span::Span,
};

/// One case of one file, ready to run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's stem, and the case after a slash if there are several.
    pub name: String,
    /// What it is about, in a sentence.
    pub title: String,
    /// The group-commit server.
    pub server: Server,
    /// Who asks, by name.
    pub clients: Vec<(String, Clients)>,
    /// When the disk is slower.
    pub slowdowns: Vec<Slowdown>,
    /// When the disk does nothing.
    pub stalls: Vec<Stall>,
    /// What is measured.
    pub measure: Measure,
    /// What is expected of a good controller.
    pub expect: Expect,
}

/// The part of the run that counts, from its start.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Steady scores begin here,
    pub from: Span,
    /// and end here.
    pub until: Span,
    /// The change to converge from: begins the first second.
    pub step: Option<Span>,
    /// An answer later than this is worth nothing to the client.
    pub within: Span,
}

/// The name of the clients whom a good controller protects.
pub const QUIET: &str = "quiet";

impl Scenario {
    /// How long it runs, in seconds.
    pub fn seconds(&self) -> f64 {
        let ends = self.clients.iter().map(|(_, clients)| clients.seconds());
        ends.fold(self.measure.until.seconds(), f64::max)
    }

    /// How many requests are made, before retries.
    pub fn requests(&self) -> f64 {
        let each = self.clients.iter().map(|(_, clients)| clients.count(&self.server));
        each.sum()
    }

    /// How much slower than usual the disk is at `seconds`.
    pub fn slowness(&self, seconds: f64) -> f64 {
        self.slowdowns.iter().map(|slow| slow.factor(seconds)).product()
    }
}
