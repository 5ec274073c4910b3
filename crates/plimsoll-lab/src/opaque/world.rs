//! The run itself.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use plimsoll::{Cost, Demand, Flow, Timestamp, opaque::Outcome};

use super::{Proxy, Record, Scenario, clients::Group, proxy::Verdict, upstream::Running};
use crate::sim::Chance;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the proxy's queue.
    Waiting,
    /// At the upstream, on the way there or back.
    Upstream,
    /// Nowhere any more.
    Gone,
}

/// One request.
#[derive(Clone, Copy, Debug)]
struct Request {
    group: u32,
    at: At,
    /// The client still waits for it.
    awaited: bool,
    generation: u32,
    began: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    /// It reaches the upstream.
    Enter(u32),
    /// The client gives up.
    Timeout(u32),
    /// It has waited in the proxy long enough.
    Expire(u32),
    /// The upstream dies.
    Die,
}

#[derive(Debug)]
enum Next {
    Arrival(usize),
    Upstream,
    Later,
}

struct World<'a> {
    scenario: &'a Scenario,
    proxy: &'a mut dyn Proxy,
    groups: Vec<Group<'a>>,
    upstream: Running<'a>,
    requests: Vec<Request>,
    free: Vec<u32>,
    later: BinaryHeap<Reverse<(u64, u64, Later, u32)>>,
    sequence: u64,
    ends: Vec<u32>,
    told: Vec<(u32, bool)>,
    from: u64,
    until: u64,
    record: Record,
}

/// Runs a scenario under a proxy.
pub fn simulate(scenario: &Scenario, proxy: &mut dyn Proxy, seed: u64) -> Record {
    let capacity = scenario.upstream.capacity();
    let groups = scenario.clients.iter().enumerate();
    let groups = groups.map(|(index, (_, spec))| Group::new(spec, index, capacity, seed)).collect();
    let chance = Chance::new(seed, 1);
    let mut world = World {
        scenario,
        proxy,
        groups,
        upstream: Running::new(scenario.upstream, &scenario.disturbances, chance),
        requests: Vec::new(),
        free: Vec::new(),
        later: BinaryHeap::new(),
        sequence: 0,
        ends: Vec::new(),
        told: Vec::new(),
        from: scenario.measure.from.nanos(),
        until: scenario.measure.until.nanos(),
        record: Record::new(scenario.seconds(), scenario.clients.iter().map(|(name, _)| name)),
    };
    for &(at, _) in &scenario.disturbances.restarts {
        world.schedule(at, Later::Die, 0);
    }
    world.run();
    world.record
}

impl World<'_> {
    fn run(&mut self) {
        let end = (self.scenario.seconds() * 1e9) as u64;
        loop {
            let (now, next) = self.next();
            if now > end {
                break;
            }
            self.record.events += 1;
            match next {
                Next::Arrival(group) => {
                    for _ in 0..self.groups[group].arrive() {
                        self.arrive(now, group);
                    }
                }
                Next::Upstream => {
                    let mut ends = std::mem::take(&mut self.ends);
                    self.upstream.done(now, &mut ends);
                    for id in ends.drain(..) {
                        self.answer(now, id, Outcome::Answered);
                    }
                    self.ends = ends;
                }
                Next::Later => self.later(now),
            }
            self.settle(now);
        }
        self.record.timeline.close();
    }

    fn next(&self) -> (u64, Next) {
        let mut soonest = (self.upstream.next(), Next::Upstream);
        if let Some(Reverse((at, ..))) = self.later.peek()
            && *at < soonest.0
        {
            soonest = (*at, Next::Later);
        }
        for (index, group) in self.groups.iter().enumerate() {
            if group.next() < soonest.0 {
                soonest = (group.next(), Next::Arrival(index));
            }
        }
        soonest
    }

    fn schedule(&mut self, at: u64, later: Later, generation: u32) {
        self.sequence += 1;
        self.later.push(Reverse((at, self.sequence, later, generation)));
    }

    fn arrive(&mut self, now: u64, group: usize) {
        let flow = Flow(self.groups[group].pick());
        let class = self.groups[group].class;
        let timeout = now + self.groups[group].spec.timeout.nanos();
        let id = self.insert(group as u32, now);
        let generation = self.requests[id as usize].generation;
        self.record.timeline.bin(now).offered += 1;
        if self.counts(now) {
            self.record.requests += 1;
            self.record.groups[group].requests += 1;
        }
        let demand = Demand { class, flow, cost: Cost::item(512), deadline: None };
        let verdict = if self.is_beside(id) {
            Verdict::Start
        } else {
            self.proxy.arrive(Timestamp::from_nanos(now), id, &demand)
        };
        match verdict {
            Verdict::Refuse => return self.refused(now, id),
            Verdict::Start => self.start(now, id),
            Verdict::Wait(until) => {
                self.requests[id as usize].at = At::Waiting;
                self.schedule(until.as_nanos(), Later::Expire(id), generation);
            }
        }
        self.schedule(timeout, Later::Timeout(id), generation);
    }

    /// Whether it asks at another gate.
    fn is_beside(&self, id: u32) -> bool {
        self.groups[self.requests[id as usize].group as usize].spec.beside
    }

    fn insert(&mut self, group: u32, began: u64) -> u32 {
        let request = Request { group, at: At::Gone, awaited: true, generation: 0, began };
        if let Some(id) = self.free.pop() {
            let generation = self.requests[id as usize].generation.wrapping_add(1);
            self.requests[id as usize] = Request { generation, ..request };
            return id;
        }
        self.requests.push(request);
        (self.requests.len() - 1) as u32
    }

    fn start(&mut self, now: u64, id: u32) {
        self.requests[id as usize].at = At::Upstream;
        let generation = self.requests[id as usize].generation;
        self.schedule(now + self.scenario.way.nanos(), Later::Enter(id), generation);
    }

    fn later(&mut self, now: u64) {
        let Some(Reverse((_, _, later, generation))) = self.later.pop() else { return };
        let current = |id: u32, world: &Self| world.requests[id as usize].generation == generation;
        match later {
            Later::Enter(id) if current(id, self) => self.enter(now, id),
            Later::Timeout(id) if current(id, self) => self.time_out(now, id),
            Later::Expire(id) if current(id, self) => {
                let waits = self.requests[id as usize].at == At::Waiting;
                if waits && self.proxy.expire(Timestamp::from_nanos(now), id) {
                    self.refused(now, id);
                }
            }
            Later::Die => {
                let mut dead = Vec::new();
                self.upstream.die(now, &mut dead);
                for id in dead {
                    self.answer(now, id, Outcome::Failed);
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self, now: u64, id: u32) {
        if self.scenario.disturbances.down(now) {
            return self.answer(now, id, Outcome::Failed);
        }
        let times = self.groups[self.requests[id as usize].group as usize].spec.times;
        if !self.upstream.take(now, id, times) {
            self.answer(now, id, Outcome::Overloaded);
        }
    }

    /// The upstream is done with it, one way or another.
    fn answer(&mut self, now: u64, id: u32, outcome: Outcome) {
        let request = self.requests[id as usize];
        if request.awaited {
            self.ended(now, id, outcome);
            let latency = now - request.began;
            let counts = self.counts(request.began);
            if outcome == Outcome::Answered {
                let in_time = latency <= self.scenario.measure.within.nanos();
                let bin = self.record.timeline.bin(now);
                bin.good += u64::from(in_time);
                bin.wasted += u64::from(!in_time);
                if in_time {
                    self.record.timeline.in_time(latency);
                }
                if counts {
                    self.record.latency_us.saturating_record(latency / 1_000);
                    self.record.good += u64::from(in_time);
                    self.record.groups[request.group as usize].good += u64::from(in_time);
                }
            } else if counts {
                self.record.failed += 1;
            }
        }
        self.release(id);
    }

    fn time_out(&mut self, now: u64, id: u32) {
        let request = self.requests[id as usize];
        if !request.awaited || request.at == At::Gone {
            return;
        }
        self.requests[id as usize].awaited = false;
        self.record.timeouts += u64::from(self.counts(request.began));
        if request.at == At::Waiting {
            self.proxy.leave(id);
            self.release(id);
        } else {
            // The upstream does not know, and goes on working for nobody.
            self.ended(now, id, Outcome::Cancelled);
        }
    }

    /// Nobody waits for it any more.
    fn ended(&mut self, now: u64, id: u32, outcome: Outcome) {
        if self.is_beside(id) {
            let lasting = now - self.requests[id as usize].began;
            self.proxy.beside(Duration::from_nanos(lasting));
        } else {
            self.proxy.end(Timestamp::from_nanos(now), id, outcome);
        }
    }

    fn refused(&mut self, now: u64, id: u32) {
        self.record.timeline.bin(now).refused += 1;
        self.record.refused += u64::from(self.counts(self.requests[id as usize].began));
        self.release(id);
    }

    fn release(&mut self, id: u32) {
        let request = &mut self.requests[id as usize];
        (request.awaited, request.at) = (false, At::Gone);
        request.generation = request.generation.wrapping_add(1);
        self.free.push(id);
    }

    /// Starts and refuses who was told meanwhile.
    fn settle(&mut self, now: u64) {
        let mut told = std::mem::take(&mut self.told);
        self.proxy.told(&mut told);
        for (id, started) in told.drain(..) {
            if started {
                self.start(now, id);
            } else {
                self.refused(now, id);
            }
        }
        self.told = told;
    }

    const fn counts(&self, began: u64) -> bool {
        self.from <= began && began < self.until
    }
}
