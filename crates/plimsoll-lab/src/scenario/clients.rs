//! Who asks: how often, how patiently, and how politely.

use plimsoll::{Class, Cost};
use serde::Deserialize;

use super::{Server, Span};
use crate::schedule::{Phase, Schedule};

/// A group of clients alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// How many there are; each is a flow of its own.
    #[serde(default = "one")]
    pub flows: u32,
    /// How much their requests matter.
    #[serde(default)]
    pub class: ClassName,
    /// Requests over time in multiples of the capacity: `5s:0.5,10s:2`.
    pub load: Option<Schedule>,
    /// The same in requests per second.
    pub rate: Option<Schedule>,
    /// Many at once, again and again.
    pub burst: Option<Burst>,
    /// Evenly spaced instead of at random.
    #[serde(default)]
    pub even: bool,
    /// Transactions in a request.
    #[serde(default = "one")]
    pub items: u32,
    /// Bytes in a request.
    #[serde(default = "usual_bytes")]
    pub bytes: u64,
    /// Some requests are of another size.
    pub mix: Option<Mix>,
    /// Median time before the queue: authentication, hashing.
    #[serde(default)]
    pub prestage: Span,
    /// Sigma of that time's log-normal factor.
    #[serde(default = "usual_spread")]
    pub prestage_jitter: f64,
    /// After this long a client gives up on an attempt.
    #[serde(default = "usual_timeout")]
    pub timeout: Span,
    /// How often it tries again.
    #[serde(default)]
    pub retries: u32,
    /// How long it waits before that.
    #[serde(default)]
    pub backoff: Backoff,
    /// Whether it waits at least as long as the server asks.
    #[serde(default)]
    pub honours_retry_after: bool,
}

/// Many requests at one instant.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// How many.
    pub size: u32,
    /// How often; the first comes after the first such time.
    pub every: Span,
    /// Until when.
    pub until: Span,
}

impl Burst {
    /// How many requests they come to.
    pub fn requests(&self) -> f64 {
        f64::from(self.size) * self.until.seconds() / self.every.seconds()
    }
}

/// When clients who ask like this have stopped asking, in seconds.
pub(crate) fn asking_seconds(steady: [&Option<Schedule>; 2], burst: Option<Burst>) -> f64 {
    let bursts = burst.map(|burst| burst.until.seconds());
    let steady = steady.into_iter().flatten().map(|schedule| schedule.duration().as_secs_f64());
    steady.chain(bursts).fold(0.0, f64::max)
}

/// A share of requests of another size.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// The share, 0 to 1.
    pub share: f64,
    /// Bytes in each.
    pub bytes: u64,
}

/// The wait before a retry: uniform in 0 to base * 2^n, capped ("full jitter").
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The first wait; none at all if zero.
    pub base: Span,
    /// The longest.
    pub cap: Span,
}

/// A class by name.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassName {
    /// Bulk work.
    Low,
    /// The usual one.
    #[default]
    Normal,
    /// What keeps accepted work alive.
    High,
    /// Never shed.
    Critical,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Low => Self::Low,
            ClassName::Normal => Self::Normal,
            ClassName::High => Self::High,
            ClassName::Critical => Self::Critical,
        }
    }
}

const fn one() -> u32 {
    1
}
const fn usual_bytes() -> u64 {
    512
}
const fn usual_spread() -> f64 {
    0.3
}
fn usual_timeout() -> Span {
    Span::from_seconds(1.0)
}

impl Clients {
    /// What an ordinary request of theirs takes.
    pub const fn cost(&self) -> Cost {
        Cost { items: self.items, bytes: self.bytes }
    }

    /// When they stop asking, in seconds.
    pub fn seconds(&self) -> f64 {
        asking_seconds([&self.load, &self.rate], self.burst)
    }

    /// Requests per second over time on that server.
    ///
    /// # Errors
    /// The load comes to more requests than anybody can generate.
    pub fn requests(&self, server: &Server) -> Result<Option<Schedule>, String> {
        if let Some(rate) = &self.rate {
            return Ok(Some(rate.clone()));
        }
        let Some(load) = &self.load else { return Ok(None) };
        let per_request = self.mean_units(server);
        let scaled = load.phases().iter().map(|phase| Phase {
            duration: phase.duration,
            rate_per_s: phase.rate_per_s * server.capacity() / per_request,
        });
        Schedule::new(scaled.collect()).map(Some).map_err(|error| error.to_string())
    }

    /// How many requests they make, before retries.
    pub fn count(&self, server: &Server) -> f64 {
        let steady = self.requests(server).ok().flatten().map_or(0.0, |s| s.requests());
        let bursts = self.burst.map_or(0.0, |burst| burst.requests());
        steady + bursts
    }

    fn mean_units(&self, server: &Server) -> f64 {
        let usual = f64::from(server.units(self.cost()));
        self.mix.map_or(usual, |mix| {
            let other = server.units(Cost { items: self.items, bytes: mix.bytes });
            usual * (1.0 - mix.share) + f64::from(other) * mix.share
        })
    }

    pub(super) fn check(&self, name: &str, server: &Server) -> Result<(), String> {
        let asks = usize::from(self.load.is_some()) + usize::from(self.rate.is_some());
        let burst = self.burst.is_none_or(|b| b.size > 0 && b.every.nanos() >= 1_000_000);
        let share = self.mix.is_none_or(|mix| (0.0..=1.0).contains(&mix.share));
        let rules = [
            (asks <= 1, "either load or rate, not both"),
            (asks + usize::from(self.burst.is_some()) > 0, "one of load, rate and burst"),
            ((1..=10_000_000).contains(&self.flows), "flows must lie within 1 and 10000000"),
            (self.items > 0, "items must not be zero"),
            (burst, "a burst needs a size and at least 1ms between two"),
            (share, "mix.share is a share, 0 to 1"),
            ((0.0..=3.0).contains(&self.prestage_jitter), "prestage_jitter: 0 to 3"),
            (self.timeout.nanos() > 0, "timeout must not be zero"),
            (self.retries <= 100, "retries must not exceed 100"),
        ];
        let broken = rules.iter().find(|rule| !rule.0);
        broken.map_or(Ok(()), |rule| Err(format!("clients.{name}: {}", rule.1)))?;
        self.requests(server).map(drop).map_err(|error| format!("clients.{name}: {error}"))
    }
}
