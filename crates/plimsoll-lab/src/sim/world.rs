//! The run itself.

use std::{cmp::Reverse, collections::BinaryHeap, collections::VecDeque};

use plimsoll::{Timestamp, write::CommitSample};

use super::{
    Chance, Commit, Controller, Offer, Record, Refusal,
    client::{Group, NEVER},
    disk::Disk,
};
use crate::scenario::Scenario;

/// One try of a request.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    group: u32,
    flow: u64,
    units: u32,
    /// The client still waits for this very attempt.
    awaited: bool,
    generation: u32,
    /// Which try of the request it is, from 1.
    tries: u32,
    began: u64,
    request_began: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    /// What comes before the queue is done.
    Ready { id: u32, pooled: bool },
    /// A client tries again.
    Retry { group: u32, flow: u64, tries: u32, request_began: u64 },
}

#[derive(Debug)]
enum Next {
    Arrival(usize),
    Timeout(usize),
    Committed,
    Later,
}

/// The time a counting window spans, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Window(u64, u64);

impl Window {
    const fn holds(self, at: u64) -> bool {
        self.0 <= at && at < self.1
    }
}

struct World<'a> {
    scenario: &'a Scenario,
    controller: &'a mut dyn Controller,
    groups: Vec<Group<'a>>,
    disk: Disk<'a>,
    attempts: Vec<Attempt>,
    free: Vec<u32>,
    later: BinaryHeap<Reverse<(u64, u64, Later)>>,
    sequence: u64,
    /// When the running commit ends, and what it is.
    commit: Option<(u64, CommitSample)>,
    batch: Vec<u32>,
    turned_away: Vec<(u32, Refusal)>,
    /// Workers before the queue, and who waits for one.
    workers_free: u32,
    worker_queue: VecDeque<(u32, u64)>,
    window: Window,
    first_second: Window,
    record: Record,
}

/// Runs a scenario under a controller.
///
/// # Errors
/// The scenario asks for more requests than can be generated.
pub fn simulate(
    scenario: &Scenario,
    controller: &mut dyn Controller,
    seed: u64,
) -> Result<Record, String> {
    let groups = (0..scenario.clients.len()).map(|index| Group::new(scenario, index, seed));
    let measure = scenario.measure;
    let step = measure.step.map_or(NEVER, |step| step.nanos());
    let mut world = World {
        scenario,
        controller,
        groups: groups.collect::<Result<_, _>>()?,
        disk: Disk::new(scenario, Chance::new(seed, 1)),
        attempts: Vec::new(),
        free: Vec::new(),
        later: BinaryHeap::new(),
        sequence: 0,
        commit: None,
        batch: Vec::new(),
        turned_away: Vec::new(),
        workers_free: scenario.server.prestage_workers.unwrap_or(u32::MAX),
        worker_queue: VecDeque::new(),
        window: Window(measure.from.nanos(), measure.until.nanos()),
        first_second: Window(step, step.saturating_add(1_000_000_000)),
        record: Record::new(scenario),
    };
    world.run();
    Ok(world.record)
}

impl World<'_> {
    fn run(&mut self) {
        let end = (self.scenario.seconds() * 1e9) as u64;
        loop {
            let (at, next) = self.next();
            if at > end {
                break;
            }
            self.record.events += 1;
            match next {
                Next::Arrival(group) => {
                    for _ in 0..self.groups[group].arrive() {
                        let flow = self.groups[group].pick();
                        self.attempt(at, group, flow, 1, at);
                    }
                }
                Next::Timeout(group) => self.time_out(at, group),
                Next::Committed => self.committed(at),
                Next::Later => match self.later.pop() {
                    Some(Reverse((_, _, Later::Ready { id, pooled }))) => {
                        self.ready(at, id, pooled);
                    }
                    Some(Reverse((_, _, Later::Retry { group, flow, tries, request_began }))) => {
                        self.attempt(at, group as usize, flow, tries, request_began);
                    }
                    None => {}
                },
            }
        }
        self.record.timeline.close();
    }

    /// What happens next. Of things at the same instant the commit is first,
    /// then what was scheduled, then who arrives.
    fn next(&mut self) -> (u64, Next) {
        let mut soonest = (self.commit.map_or(NEVER, |(at, _)| at), Next::Committed);
        if let Some(Reverse((at, ..))) = self.later.peek()
            && *at < soonest.0
        {
            soonest = (*at, Next::Later);
        }
        for (index, group) in self.groups.iter_mut().enumerate() {
            while let Some(&(at, id, generation)) = group.timeouts.front() {
                let attempt = &self.attempts[id as usize];
                if attempt.generation == generation && attempt.awaited {
                    if at < soonest.0 {
                        soonest = (at, Next::Timeout(index));
                    }
                    break;
                }
                group.timeouts.pop_front();
            }
            if group.next_arrival() < soonest.0 {
                soonest = (group.next_arrival(), Next::Arrival(index));
            }
        }
        soonest
    }

    fn schedule(&mut self, at: u64, later: Later) {
        self.sequence += 1;
        self.later.push(Reverse((at, self.sequence, later)));
    }

    fn attempt(&mut self, now: u64, index: usize, flow: u64, tries: u32, request_began: u64) {
        let group = &mut self.groups[index];
        let offer = group.offer(flow);
        let prestage = group.prestage();
        let timeout = now + group.timeout;
        let id = self.insert(Attempt {
            group: index as u32,
            flow,
            units: offer.units,
            awaited: true,
            generation: 0,
            tries,
            began: now,
            request_began,
        });
        self.count_attempt(now, index, &offer, tries);
        if let Err(refusal) = self.controller.arrive(Timestamp::from_nanos(now), id, &offer) {
            self.answer_refused(now, id, &refusal);
            self.settle(now);
            return;
        }
        let generation = self.attempts[id as usize].generation;
        self.groups[index].timeouts.push_back((timeout, id, generation));
        if prestage == 0 {
            self.ready(now, id, false);
        } else if self.scenario.server.prestage_workers.is_none() {
            self.schedule(now + prestage, Later::Ready { id, pooled: false });
        } else if self.workers_free > 0 {
            self.workers_free -= 1;
            self.schedule(now + prestage, Later::Ready { id, pooled: true });
        } else {
            self.worker_queue.push_back((id, prestage));
        }
        self.settle(now);
    }

    fn insert(&mut self, attempt: Attempt) -> u32 {
        if let Some(id) = self.free.pop() {
            let generation = self.attempts[id as usize].generation.wrapping_add(1);
            self.attempts[id as usize] = Attempt { generation, ..attempt };
            return id;
        }
        self.attempts.push(attempt);
        (self.attempts.len() - 1) as u32
    }

    fn count_attempt(&mut self, now: u64, group: usize, offer: &Offer, tries: u32) {
        self.record.timeline.bin(now).offered += u64::from(offer.units);
        if tries == 1 {
            self.record.first_offered(now, offer.units);
        }
        if self.window.holds(now) {
            self.record.attempts += 1;
            self.record.groups[group].attempts += 1;
        }
    }

    /// An admitted request has reached the queue.
    fn ready(&mut self, now: u64, id: u32, pooled: bool) {
        if pooled {
            self.workers_free += 1;
            if let Some((next, prestage)) = self.worker_queue.pop_front() {
                self.workers_free -= 1;
                self.schedule(now + prestage, Later::Ready { id: next, pooled: true });
            }
        }
        match self.controller.enqueue(Timestamp::from_nanos(now), id) {
            Ok(()) => self.begin_commit(now),
            Err(refusal) => self.answer_refused(now, id, &refusal),
        }
        self.settle(now);
    }

    fn begin_commit(&mut self, now: u64) {
        if self.commit.is_some() {
            return;
        }
        let at = Timestamp::from_nanos(now);
        let waiting = self.controller.waiting_units(at);
        self.record.waiting_max = self.record.waiting_max.max(waiting);
        let bin = self.record.timeline.bin(now);
        bin.waiting = bin.waiting.max(waiting);
        self.controller.take(at, &mut self.batch);
        if !self.batch.is_empty() {
            let units = self.batch.iter().map(|&id| self.attempts[id as usize].units).sum();
            let sample = self.disk.commit(now, units);
            let took = (sample.flush + sample.work).as_nanos() as u64;
            self.commit = Some((now + took, sample));
        }
    }

    fn committed(&mut self, now: u64) {
        let Some((_, sample)) = self.commit.take() else { return };
        let batch = std::mem::take(&mut self.batch);
        let at = Timestamp::from_nanos(now);
        self.controller.committed(at, &Commit { sample, ids: &batch });
        let slowness = self.scenario.slowness(now as f64 / 1e9);
        let service = self.scenario.server.full_service() * slowness;
        let mut good = 0;
        for &id in &batch {
            good += self.answer(now, id, service);
        }
        self.record.commits.push((now, good));
        self.batch = batch;
        self.batch.clear();
        self.settle(now);
        self.begin_commit(now);
        self.settle(now);
    }

    /// Answers a committed attempt; the units of it that were in time.
    fn answer(&mut self, now: u64, id: u32, service: f64) -> u32 {
        let attempt = self.attempts[id as usize];
        let latency = now - attempt.began;
        let group = &self.groups[attempt.group as usize];
        let in_time = attempt.awaited && latency <= group.within;
        let counts = self.window.holds(now);
        self.record.served += u64::from(counts);
        self.record.zombies += u64::from(counts && !attempt.awaited);
        let bin = self.record.timeline.bin(now);
        if in_time {
            bin.good += u64::from(attempt.units);
            self.record.timeline.in_time(latency);
        } else {
            bin.wasted += u64::from(attempt.units);
        }
        if attempt.awaited {
            let services = (latency as f64 / 1e9 / service * 1e3) as u64;
            if counts {
                self.record.latency_us.saturating_record(latency / 1_000);
                self.record.latency_services.saturating_record(services);
            }
            if self.first_second.holds(attempt.began) {
                self.record.first_second.saturating_record(services);
            }
            self.finish(now, &attempt, in_time);
        }
        self.release(id);
        if in_time { attempt.units } else { 0 }
    }

    fn answer_refused(&mut self, now: u64, id: u32, refusal: &Refusal) {
        let attempt = self.attempts[id as usize];
        self.record.timeline.bin(now).refused += u64::from(attempt.units);
        if self.window.holds(attempt.began) {
            self.record.refused += u64::from(!refusal.late);
            self.record.turned_away += u64::from(refusal.late && attempt.awaited);
            self.record.refusal_us.saturating_record((now - attempt.began) / 1_000);
        }
        if attempt.awaited {
            self.fail(now, &attempt, Some(refusal));
        }
        self.release(id);
    }

    fn time_out(&mut self, now: u64, group: usize) {
        let Some((_, id, _)) = self.groups[group].timeouts.pop_front() else { return };
        self.attempts[id as usize].awaited = false;
        let attempt = self.attempts[id as usize];
        self.controller.abandoned(Timestamp::from_nanos(now), id);
        self.record.timeouts += u64::from(self.window.holds(attempt.began));
        self.fail(now, &attempt, None);
        self.settle(now);
    }

    /// The attempt came to nothing: the client tries again, or the request has
    /// failed.
    fn fail(&mut self, now: u64, attempt: &Attempt, refusal: Option<&Refusal>) {
        let Attempt { group, flow, tries, request_began, .. } = *attempt;
        match self.groups[group as usize].wait(tries, refusal) {
            // Never at the same instant, or a refused client would ask for ever.
            Some(wait) => {
                let retry = Later::Retry { group, flow, tries: tries + 1, request_began };
                self.schedule(now + wait.max(1_000), retry);
            }
            None => self.finish(now, attempt, false),
        }
    }

    fn finish(&mut self, now: u64, attempt: &Attempt, succeeded: bool) {
        if !self.window.holds(attempt.request_began) {
            return;
        }
        if succeeded {
            self.record.success_us.saturating_record((now - attempt.request_began) / 1_000);
        }
        let group = &mut self.record.groups[attempt.group as usize];
        group.requests += 1;
        group.succeeded += u64::from(succeeded);
        if !group.flows.is_empty() {
            let flow = attempt.flow as usize % group.flows.len();
            group.flows[flow].0 += 1;
            group.flows[flow].1 += u32::from(succeeded);
        }
    }

    fn release(&mut self, id: u32) {
        self.attempts[id as usize].awaited = false;
        self.free.push(id);
    }

    /// Answers those that lost their place meanwhile.
    fn settle(&mut self, now: u64) {
        let mut turned_away = std::mem::take(&mut self.turned_away);
        self.controller.turned_away(&mut turned_away);
        for (id, refusal) in turned_away.drain(..) {
            self.answer_refused(now, id, &refusal);
        }
        self.turned_away = turned_away;
    }
}
