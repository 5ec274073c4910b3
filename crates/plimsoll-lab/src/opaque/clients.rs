//! Who asks, and how patiently.

use plimsoll::Class;
use serde::Deserialize;

use crate::{
    scenario::{Burst, ClassName, Span, asking_seconds},
    schedule::{Arrivals, Phase, Schedule, Spacing},
    sim::Chance,
};

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
    /// Their requests hold so many times the usual work: another route.
    #[serde(default = "usual")]
    pub times: f64,
    /// They ask at another gate of the same upstream, where nobody waits or is refused.
    #[serde(default)]
    pub beside: bool,
    /// After this long a client gives up.
    #[serde(default = "usual_timeout")]
    pub timeout: Span,
}

const fn one() -> u32 {
    1
}
const fn usual() -> f64 {
    1.0
}
fn usual_timeout() -> Span {
    Span::from_seconds(5.0)
}

impl Clients {
    /// When they stop asking, in seconds.
    pub fn seconds(&self) -> f64 {
        asking_seconds([&self.load, &self.rate], self.burst)
    }

    /// How many requests they make of an upstream of that capacity.
    pub fn count(&self, capacity: f64) -> f64 {
        let bursts = self.burst.map_or(0.0, |burst| burst.requests());
        self.requests(capacity).map_or(0.0, |schedule| schedule.requests()) + bursts
    }

    fn requests(&self, capacity: f64) -> Option<Schedule> {
        if self.rate.is_some() {
            return self.rate.clone();
        }
        let scaled = self.load.as_ref()?.phases().iter().map(|phase| Phase {
            duration: phase.duration,
            rate_per_s: phase.rate_per_s * capacity / self.times,
        });
        Schedule::new(scaled.collect()).ok()
    }

    pub(super) fn check(&self, name: &str) -> Result<(), String> {
        let asks = self.load.is_some() || self.rate.is_some() || self.burst.is_some();
        let burst = self.burst.is_none_or(|b| b.size > 0 && b.every.nanos() >= 1_000_000);
        let rules = [
            (asks, "one of load, rate and burst"),
            (burst, "a burst needs a size and at least 1ms between two"),
            ((1..=1_000_000).contains(&self.flows), "flows must lie within 1 and 1000000"),
            ((1e-3..=1e6).contains(&self.times), "times must lie within 0.001 and 1000000"),
            (self.timeout.nanos() > 0, "timeout must not be zero"),
        ];
        let broken = rules.iter().find(|rule| !rule.0);
        broken.map_or(Ok(()), |rule| Err(format!("clients.{name}: {}", rule.1)))
    }
}

const NEVER: u64 = u64::MAX;

/// A group while the run lasts.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) spec: &'a Clients,
    pub(super) class: Class,
    first_flow: u64,
    arrivals: Option<Arrivals>,
    single: u64,
    burst: u64,
    chance: Chance,
}

impl<'a> Group<'a> {
    pub(super) fn new(spec: &'a Clients, index: usize, capacity: f64, seed: u64) -> Self {
        let mut chance = Chance::new(seed, 16 * (index as u64 + 1));
        let spacing = Spacing::Poisson(chance.bits());
        let mut group = Self {
            spec,
            class: Class::from(spec.class),
            first_flow: (index as u64) << 32,
            arrivals: spec.requests(capacity).map(|schedule| schedule.arrivals(spacing)),
            single: NEVER,
            burst: spec.burst.map_or(NEVER, |burst| burst.every.nanos()),
            chance,
        };
        group.advance();
        group
    }

    pub(super) fn next(&self) -> u64 {
        self.single.min(self.burst)
    }

    /// How many arrive at that next moment; moves on.
    pub(super) fn arrive(&mut self) -> u32 {
        if self.single <= self.burst {
            self.advance();
            return 1;
        }
        let Some(burst) = self.spec.burst else { return 0 };
        self.burst += burst.every.nanos();
        if self.burst >= burst.until.nanos() {
            self.burst = NEVER;
        }
        burst.size
    }

    /// One of its clients.
    pub(super) fn pick(&mut self) -> u64 {
        self.first_flow + u64::from(self.chance.below(self.spec.flows))
    }

    fn advance(&mut self) {
        let next = self.arrivals.as_mut().and_then(Iterator::next);
        self.single = next.map_or(NEVER, |at| u64::try_from(at.as_nanos()).unwrap_or(NEVER));
    }
}
