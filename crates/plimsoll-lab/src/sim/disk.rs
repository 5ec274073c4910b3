//! The disk: how long a commit takes.

use std::time::Duration;

use plimsoll::write::CommitSample;

use super::Chance;
use crate::scenario::Scenario;

#[derive(Debug)]
pub(super) struct Disk<'a> {
    scenario: &'a Scenario,
    chance: Chance,
    /// Beginning and end of every stall, in order.
    stalls: Vec<(u64, u64)>,
}

impl<'a> Disk<'a> {
    pub(super) fn new(scenario: &'a Scenario, chance: Chance) -> Self {
        let mut stalls: Vec<_> = scenario
            .stalls
            .iter()
            .map(|stall| (stall.at.nanos(), stall.at.nanos() + stall.lasting.nanos()))
            .collect();
        stalls.sort_unstable();
        Self { scenario, chance, stalls }
    }

    /// A commit of `units` that begins at `now`, in nanoseconds.
    pub(super) fn commit(&mut self, now: u64, units: u32) -> CommitSample {
        let server = &self.scenario.server;
        let slowness = self.scenario.slowness(now as f64 / 1e9);
        let jitter = self.chance.factor(server.jitter) * slowness;
        let mut flush = server.flush.seconds() * jitter;
        let work = server.item.seconds() * f64::from(units) * jitter;
        if let Some(tail) = server.tail
            && self.chance.unit() < tail.probability
        {
            let factor = self.chance.pareto(tail.scale, tail.alpha).min(tail.max);
            flush += (flush + work) * (factor - 1.0);
        }
        let mut flush = nanos(flush).max(1);
        for &(begin, end) in &self.stalls {
            if now < end && now + flush + nanos(work) > begin {
                flush += end - begin.max(now);
            }
        }
        let [flush, work] = [flush, nanos(work)].map(Duration::from_nanos);
        CommitSample { units, flush, work }
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}
