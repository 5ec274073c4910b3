//! Servers of several kinds, as a proxy does not see them.
//!
//! Each takes requests with some work in them and gives them back when the work is
//! done. How fast depends on how many it has, in a way of its own.

use std::{cmp::Reverse, collections::BinaryHeap, collections::VecDeque};

use serde::Deserialize;

use super::scenario::Disturbances;
use crate::{scenario::Span, sim::Chance};

/// What stands behind the proxy.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum Upstream {
    /// So many requests at once, each as fast as if alone; the rest queue.
    Workers {
        /// How many.
        workers: u32,
        /// Mean work in a request.
        service: Span,
        /// Sigma of its log-normal factor.
        #[serde(default)]
        spread: f64,
        /// How many may queue; who finds it full is answered 503 at once.
        queue_max: Option<u32>,
    },
    /// All at once, each at its share of the processors.
    Sharing {
        /// How many processors.
        cores: u32,
        /// Mean work in a request.
        service: Span,
        /// Sigma of its log-normal factor.
        #[serde(default)]
        spread: f64,
        /// What each further request costs all others: cache, locks, memory.
        #[serde(default)]
        thrash: f64,
        /// What more than a processor each brings all of them: they answer more by that power
        /// of the number there.
        #[serde(default)]
        gain: f64,
        /// A collector of garbage that takes its share.
        collector: Option<Collector>,
    },
    /// A queue that commits in groups, S(b) = flush + item b.
    Commit {
        /// s0.
        flush: Span,
        /// s1.
        item: Span,
        /// B.
        batch_items: u32,
        /// Sequential commits in a request.
        #[serde(default = "one")]
        commits: u32,
        /// Sigma of the factor on every commit.
        #[serde(default = "usual_jitter")]
        jitter: f64,
    },
}

/// Garbage is collected now and then, and everybody is slower meanwhile.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collector {
    /// Mean time from one collection to the next,
    every: Span,
    /// and how long it lasts, both log-normal with a sigma of 0.25.
    #[serde(rename = "for")]
    lasting: Span,
    /// Speed meanwhile; 1 is the usual one.
    speed: f64,
}

const fn one() -> u32 {
    1
}
const fn usual_jitter() -> f64 {
    0.2
}

impl Upstream {
    /// The most it serves, in ordinary requests per second.
    pub fn capacity(&self) -> f64 {
        match *self {
            Self::Workers { workers, service, .. } => f64::from(workers) / service.seconds(),
            Self::Sharing { cores, service, thrash, .. } => {
                let n = f64::from(cores);
                n / service.seconds() / (1.0 + thrash * n)
            }
            Self::Commit { flush, item, batch_items, commits, .. } => {
                let batch = f64::from(batch_items);
                batch / (flush.seconds() + item.seconds() * batch) / f64::from(commits)
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let fits = match *self {
            Self::Workers { workers, service, spread, .. } => {
                workers > 0 && service.nanos() > 0 && (0.0..=3.0).contains(&spread)
            }
            Self::Sharing { cores, service, spread, thrash, gain, collector } => {
                cores > 0
                    && (0.0..1.0).contains(&gain)
                    && collector.is_none_or(|c| c.fits())
                    && service.nanos() > 0
                    && (0.0..=3.0).contains(&spread)
                    && (0.0..=1.0).contains(&thrash)
            }
            Self::Commit { flush, item, batch_items, commits, jitter } => {
                flush.nanos() + item.nanos() > 0
                    && batch_items > 0
                    && (1..=100).contains(&commits)
                    && (0.0..=3.0).contains(&jitter)
            }
        };
        if fits { Ok(()) } else { Err("upstream: a number is out of range".to_owned()) }
    }
}

impl Collector {
    fn fits(self) -> bool {
        self.lasting.nanos() > 0 && self.every > self.lasting && (0.0..=1.0).contains(&self.speed)
    }

    /// How long it collects, or does not.
    fn seconds(self, collecting: bool) -> f64 {
        let lasting = self.lasting.seconds();
        if collecting { lasting } else { self.every.seconds() - lasting }
    }
}

const NEVER: u64 = u64::MAX;

/// An upstream while the run lasts. Times in nanoseconds.
#[derive(Debug)]
pub(super) struct Running<'a> {
    kind: Upstream,
    disturbances: &'a Disturbances,
    chance: Chance,
    /// By the time, or the shared progress, at which they are done.
    busy: BinaryHeap<Reverse<(u64, u32)>>,
    /// Who waits inside, with its work.
    queue: VecDeque<(u32, f64)>,
    /// Whether garbage is being collected, and until when it is as it is.
    collecting: bool,
    turns_at: u64,
    /// Progress of everybody who shares the processors, and when it was true.
    progress: f64,
    since: u64,
    /// The running commit: its end and its members with the commits they need.
    commit: Option<(u64, Vec<(u32, f64)>)>,
}

impl<'a> Running<'a> {
    pub(super) fn new(kind: Upstream, disturbances: &'a Disturbances, chance: Chance) -> Self {
        Self {
            kind,
            disturbances,
            chance,
            busy: BinaryHeap::new(),
            queue: VecDeque::new(),
            collecting: false,
            turns_at: 0,
            progress: 0.0,
            since: 0,
            commit: None,
        }
    }

    /// Takes a request with `times` the usual work. False: 503.
    pub(super) fn take(&mut self, now: u64, id: u32, times: f64) -> bool {
        match self.kind {
            Upstream::Workers { workers, service, spread, queue_max } => {
                let work = service.seconds() * times * self.chance.factor(spread);
                if self.busy.len() < workers as usize {
                    self.begin(now, id, work);
                } else if queue_max.is_some_and(|max| self.queue.len() >= max as usize) {
                    return false;
                } else {
                    self.queue.push_back((id, work));
                }
            }
            Upstream::Sharing { service, spread, .. } => {
                self.share(now);
                self.collect(now);
                let work = service.seconds() * times * self.chance.factor(spread);
                let done = ((self.progress + work) * 1e9) as u64;
                self.busy.push(Reverse((done, id)));
            }
            Upstream::Commit { commits, .. } => {
                self.queue.push_back((id, f64::from(commits) * times));
                self.begin_commit(now);
            }
        }
        true
    }

    /// When it gives something back, if nothing else happens.
    pub(super) fn next(&self) -> u64 {
        match self.kind {
            Upstream::Workers { .. } => self.busy.peek().map_or(NEVER, |Reverse((at, _))| *at),
            Upstream::Commit { .. } => self.commit.as_ref().map_or(NEVER, |(at, _)| *at),
            Upstream::Sharing { .. } => {
                let Some(Reverse((done, _))) = self.busy.peek() else { return NEVER };
                let left = (*done as f64 / 1e9 - self.progress).max(0.0);
                let rate = self.speed(self.since);
                let change = self.disturbances.next_change(self.since).min(self.turns_at);
                if rate <= 0.0 {
                    return change;
                }
                (self.since + (left / rate * 1e9).ceil() as u64).min(change)
            }
        }
    }

    /// Gives back who is done at `now`.
    pub(super) fn done(&mut self, now: u64, done: &mut Vec<u32>) {
        match self.kind {
            Upstream::Workers { .. } => {
                while let Some(Reverse((at, id))) = self.busy.peek().copied()
                    && at <= now
                {
                    self.busy.pop();
                    done.push(id);
                    if let Some((next, work)) = self.queue.pop_front() {
                        self.begin(now, next, work);
                    }
                }
            }
            Upstream::Sharing { .. } => {
                self.share(now);
                self.collect(now);
                // A microsecond of tolerance for what rounding did.
                let reached = (self.progress * 1e9) as u64 + 1_000;
                while let Some(Reverse((at, id))) = self.busy.peek().copied()
                    && at <= reached
                {
                    self.busy.pop();
                    done.push(id);
                }
            }
            Upstream::Commit { .. } => {
                let Some((_, members)) = self.commit.take_if(|(at, _)| *at <= now) else { return };
                for (id, commits) in members {
                    if commits <= 1.0 {
                        done.push(id);
                    } else {
                        self.queue.push_back((id, commits - 1.0));
                    }
                }
                self.begin_commit(now);
            }
        }
    }

    /// It died: everybody inside.
    pub(super) fn die(&mut self, now: u64, dead: &mut Vec<u32>) {
        self.share(now);
        dead.extend(self.busy.drain().map(|Reverse((_, id))| id));
        dead.extend(self.queue.drain(..).map(|(id, _)| id));
        dead.extend(self.commit.take().into_iter().flat_map(|(_, members)| members).map(|m| m.0));
    }

    fn begin(&mut self, now: u64, id: u32, work: f64) {
        let end = self.disturbances.end(now, work);
        self.busy.push(Reverse((end, id)));
    }

    fn begin_commit(&mut self, now: u64) {
        let Upstream::Commit { flush, item, batch_items, jitter, .. } = self.kind else { return };
        if self.commit.is_some() || self.queue.is_empty() {
            return;
        }
        let size = self.queue.len().min(batch_items as usize);
        let members: Vec<_> = self.queue.drain(..size).collect();
        let seconds = flush.seconds() + item.seconds() * size as f64;
        let end = self.disturbances.end(now, seconds * self.chance.factor(jitter));
        self.commit = Some((end, members));
    }

    /// Progress per second of each that shares, from `now` on.
    fn speed(&self, now: u64) -> f64 {
        let Upstream::Sharing { cores, thrash, gain, collector, .. } = self.kind else {
            return 0.0;
        };
        let (n, cores) = (self.busy.len() as f64, f64::from(cores));
        let share = (cores / n.max(1.0)).min(1.0) / (1.0 + thrash * n);
        let together = (n / cores).max(1.0).powf(gain);
        let left = collector.filter(|_| self.collecting).map_or(1.0, |c| c.speed);
        share * together * left * self.disturbances.speed(now)
    }

    /// Garbage is collected from now on, or no longer.
    fn collect(&mut self, now: u64) {
        let Upstream::Sharing { collector, .. } = self.kind else { return };
        let Some(collector) = collector else {
            self.turns_at = NEVER;
            return;
        };
        while self.turns_at <= now {
            self.collecting = !self.collecting;
            let seconds = collector.seconds(self.collecting) * self.chance.factor(0.25);
            self.turns_at += (seconds * 1e9) as u64;
        }
    }

    fn share(&mut self, now: u64) {
        let rate = self.speed(self.since);
        self.progress += rate * (now.saturating_sub(self.since)) as f64 / 1e9;
        self.since = now;
    }
}
