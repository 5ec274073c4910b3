//! Lanes: what one flow holds in one class.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

use crate::demand::{Class, Flow};
use crate::queue::heaviest::Heaviest;
use crate::queue::links::{Links, List};
use crate::queue::usage::Usage;

/// One flow's places in one class.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) class: Class,
    pub(super) flow: Flow,
    /// Units reserved and waiting.
    pub(super) units: u32,
    /// What its flow took lately; see [`Usage`].
    pub(super) score: f64,
    /// Every place it holds, oldest first.
    pub(super) held: List,
    /// Those of them that wait in the queue, oldest first.
    pub(super) waiting: List,
    /// Deficit round robin: units it may still send in its turn.
    pub(super) deficit: u32,
    /// Its neighbours among the lanes of its class that have work waiting.
    pub(super) ring: Links,
    /// Where it stands in its class's [`Heaviest`].
    pub(super) rank: u32,
}

/// All lanes, found by flow and class.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) entries: Vec<Lane>,
    free: Vec<u32>,
    found: HashMap<(Flow, Class), u32, BuildHasherDefault<FlowHasher>>,
    pub(super) heaviest: [Heaviest; Class::COUNT],
    pub(super) usage: Usage,
}

impl Lanes {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            found: HashMap::with_capacity_and_hasher(capacity, BuildHasherDefault::default()),
            heaviest: core::array::from_fn(|_| Heaviest::with_capacity(capacity)),
            usage: Usage::new(),
        }
    }

    pub(super) fn find_or_insert(&mut self, class: Class, flow: Flow) -> u32 {
        if let Some(&lane) = self.found.get(&(flow, class)) {
            return lane;
        }
        let fresh = Lane {
            class,
            flow,
            units: 0,
            score: self.usage.of(class, flow),
            held: List::EMPTY,
            waiting: List::EMPTY,
            deficit: 0,
            ring: Links::UNLINKED,
            rank: 0,
        };
        let lane = if let Some(lane) = self.free.pop() {
            self.entries[lane as usize] = fresh;
            lane
        } else {
            self.entries.push(fresh);
            (self.entries.len() - 1) as u32
        };
        self.found.insert((flow, class), lane);
        self.heaviest[class.index()].push(&mut self.entries, lane);
        lane
    }

    /// Changes what a lane holds by `change` units, and what it took by as
    /// much if they were not `served`, and puts it back in order.
    pub(super) fn weigh(&mut self, lane: u32, change: i64, served: bool) {
        let entry = &mut self.entries[lane as usize];
        let units = i64::from(entry.units) + change;
        entry.units = u32::try_from(units.max(0)).unwrap_or(u32::MAX);
        if served {
            return;
        }
        entry.score = self.usage.add(entry.class, entry.flow, change as f64);
        let class = entry.class.index();
        self.heaviest[class].reorder(&mut self.entries, lane);
    }

    /// Changes what a flow took by `units`, whether it holds anything or not.
    pub(super) fn charge(&mut self, class: Class, flow: Flow, units: f64) {
        let score = self.usage.add(class, flow, units);
        if let Some(&lane) = self.found.get(&(flow, class)) {
            self.entries[lane as usize].score = score;
            self.heaviest[class.index()].reorder(&mut self.entries, lane);
        }
    }

    /// A batch was taken: what was taken before counts less, and what is held
    /// still counts `again`.
    pub(super) fn age(&mut self, again: f64) {
        if let Some(factor) = self.usage.age() {
            self.entries.iter_mut().for_each(|lane| lane.score *= factor);
        }
        for heaviest in &mut self.heaviest {
            for &lane in heaviest.lanes() {
                let entry = &mut self.entries[lane as usize];
                let units = f64::from(entry.units) * again;
                entry.score = self.usage.add(entry.class, entry.flow, units);
            }
            heaviest.rebuild(&mut self.entries);
        }
    }

    /// Forgets a lane that holds nothing.
    pub(super) fn remove(&mut self, lane: u32) {
        let Lane { class, flow, .. } = self.entries[lane as usize];
        self.heaviest[class.index()].remove(&mut self.entries, lane);
        self.found.remove(&(flow, class));
        self.free.push(lane);
    }
}

/// A flow is a hash already; mixing it again by one multiplication spreads
/// flows that a test or a careless caller numbered 0, 1, 2.
#[derive(Debug, Default)]
pub(super) struct FlowHasher(u64);

impl Hasher for FlowHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}
