//! A group of clients while the run lasts.

use std::collections::VecDeque;

use plimsoll::{Class, Cost, Flow};

use super::{Chance, Offer, Refusal};
use crate::{
    scenario::{Clients, Scenario},
    schedule::{Arrivals, Spacing},
};

/// "Never", in nanoseconds.
pub(super) const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) spec: &'a Clients,
    pub(super) timeout: u64,
    pub(super) within: u64,
    /// When attempts give up, in order: each waits equally long.
    pub(super) timeouts: VecDeque<(u64, u32, u32)>,
    usual: Offer,
    other: Option<(f64, Offer)>,
    first_flow: u64,
    arrivals: Option<Arrivals>,
    next_single: u64,
    next_burst: u64,
    chance: Chance,
    manners: Chance,
}

impl<'a> Group<'a> {
    pub(super) fn new(scenario: &'a Scenario, index: usize, seed: u64) -> Result<Self, String> {
        let (_, spec) = &scenario.clients[index];
        let before = scenario.clients[..index].iter();
        let offer = |bytes| {
            let cost = Cost { items: spec.items, bytes };
            let class = Class::from(spec.class);
            Offer { class, flow: Flow(0), cost, units: scenario.server.units(cost) }
        };
        let stream = 16 * (index as u64 + 1);
        let mut chance = Chance::new(seed, stream);
        let spacing = if spec.even { Spacing::Constant } else { Spacing::Poisson(chance.bits()) };
        let arrivals = spec.requests(&scenario.server)?.map(|s| s.arrivals(spacing));
        let mut group = Self {
            spec,
            timeout: spec.timeout.nanos(),
            within: scenario.measure.within.nanos(),
            timeouts: VecDeque::new(),
            usual: offer(spec.bytes),
            other: spec.mix.map(|mix| (mix.share, offer(mix.bytes))),
            first_flow: before.map(|(_, clients)| u64::from(clients.flows)).sum(),
            arrivals,
            next_single: NEVER,
            next_burst: spec.burst.map_or(NEVER, |burst| burst.every.nanos()),
            chance,
            manners: Chance::new(seed, stream + 1),
        };
        group.advance();
        Ok(group)
    }

    pub(super) fn next_arrival(&self) -> u64 {
        self.next_single.min(self.next_burst)
    }

    /// How many arrive at that next moment; moves on.
    pub(super) fn arrive(&mut self) -> u32 {
        if self.next_single <= self.next_burst {
            self.advance();
            return 1;
        }
        let Some(burst) = self.spec.burst else { return 0 };
        self.next_burst += burst.every.nanos();
        if self.next_burst >= burst.until.nanos() {
            self.next_burst = NEVER;
        }
        burst.size
    }

    /// One of its clients.
    pub(super) fn pick(&mut self) -> u64 {
        self.first_flow + u64::from(self.chance.below(self.spec.flows))
    }

    /// What such a client asks for.
    pub(super) fn offer(&mut self, flow: u64) -> Offer {
        let other = self.other.filter(|(share, _)| self.chance.unit() < *share);
        let flow = Flow(flow);
        other.map_or(Offer { flow, ..self.usual }, |(_, offer)| Offer { flow, ..offer })
    }

    /// Time before the queue, in nanoseconds.
    pub(super) fn prestage(&mut self) -> u64 {
        if self.spec.prestage.nanos() == 0 {
            return 0;
        }
        let spread = (self.spec.prestage_jitter * self.chance.normal()).exp();
        ((self.spec.prestage.seconds() * spread) * 1e9) as u64
    }

    /// How long a client waits after its attempt number `tries` failed, in
    /// nanoseconds; nothing if it gives up. What an answer asks for is
    /// stretched by up to as much again, as the server writes it.
    pub(super) fn wait(&mut self, tries: u32, refusal: Option<&Refusal>) -> Option<u64> {
        if tries > self.spec.retries {
            return None;
        }
        let backoff = self.spec.backoff;
        let ceiling = backoff.base.seconds() * f64::powi(2.0, (tries as i32 - 1).min(30));
        let mut wait = self.manners.unit() * ceiling.min(backoff.cap.seconds());
        if let Some(refusal) = refusal
            && self.spec.honours_retry_after
        {
            wait = wait.max(refusal.retry_after * (1.0 + self.manners.unit()));
        }
        Some((wait * 1e9) as u64)
    }

    fn advance(&mut self) {
        let next = self.arrivals.as_mut().and_then(Iterator::next);
        self.next_single = next.map_or(NEVER, |at| u64::try_from(at.as_nanos()).unwrap_or(NEVER));
    }
}
