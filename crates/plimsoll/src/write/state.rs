//! The law itself: a state machine that is stepped under the gate's lock.

use core::time::Duration;

use crate::Timestamp;
use crate::appointment::Appointments;
use crate::bucket::Bucket;
use crate::demand::{Class, Demand};
use crate::mode::Mode;
use crate::queue::{FairQueue, Holder, Popped, SlotId, Victims};
use crate::verdict::{Counters, Gate, Reason, Rejection};
use crate::window::Window;
use crate::write::Batch;
use crate::write::config::WriteGateConfig;
use crate::write::light::Light;
use crate::write::model::{Calibration, CommitSample, Model};
use crate::write::prestage::Prestage;
use crate::write::snapshot::WriteSnapshot;

/// A commit older than this many times its predicted duration is a stall.
const STALL_FACTOR: f64 = 3.0;
/// The longest way to the queue that the line makes room for.
const PRESTAGE_MAX: Duration = Duration::from_millis(100);
/// The part of the load line by which a batch may exceed it.
const OVERSHOOT: u32 = 8;
/// The part of every batch that background work may count on.
const BACKGROUND_SHARE: u32 = 10;

/// A batch on its way to the disk.
#[derive(Clone, Copy, Debug)]
struct Commit {
    started: Timestamp,
    /// How long the model says it takes, in seconds.
    predicted: f64,
}

/// Work or a place that lost it, with what its owner is told.
pub(crate) type Turned<T> = (Holder, Option<T>, Rejection);

/// What became of an offer.
#[derive(Debug)]
pub(crate) enum Offered<T> {
    /// A place, and whoever gave way for it.
    Place { id: SlotId, units: u32, displaced: Vec<Turned<T>>, would_be: Option<Rejection> },
    /// No place.
    Refused { units: u32, rejection: Rejection },
}

/// What the law says, before the mode has its say.
enum Decision {
    Admit,
    Displace(Victims),
    Refuse,
}

/// Everything a write gate knows.
#[derive(Debug)]
pub(crate) struct State<T> {
    config: WriteGateConfig,
    queue: FairQueue<T>,
    model: Model,
    bucket: Bucket,
    prestage: Prestage,
    light: Light,
    appointments: Appointments,
    window: Window,
    counters: Counters,
    commit: Option<Commit>,
    /// B_eff, the service rate it gives and the load line, renewed with every commit.
    batch: u32,
    rate: f64,
    line: f64,
}

impl<T> State<T> {
    pub(crate) fn new(config: WriteGateConfig) -> Self {
        Self {
            config,
            queue: FairQueue::new(),
            model: Model::default(),
            bucket: Bucket::default(),
            prestage: Prestage::default(),
            light: Light::default(),
            appointments: Appointments::default(),
            window: Window::default(),
            counters: Counters::default(),
            commit: None,
            batch: config.batch_units_max,
            rate: 0.0,
            line: f64::from(config.batch_units_max),
        }
    }

    /// Decides about a newcomer and takes its place, or refuses it.
    pub(crate) fn offer(&mut self, now: Timestamp, demand: &Demand, mode: Mode) -> Offered<T> {
        let holder = self.holder(demand);
        let Holder { class, units, .. } = holder;
        if mode == Mode::Off {
            let id = self.queue.reserve(holder, now, demand.deadline);
            return Offered::Place { id, units, displaced: Vec::new(), would_be: None };
        }
        self.window.offered(now, units);
        self.counters.offered += 1;
        self.refill(now);
        let light = self.queue.is_light(holder);
        if light {
            self.light.arrived(units);
        }
        let decision = self.decide(now, holder, light);
        self.bucket.drain(units);
        let mut displaced = Vec::new();
        let would_be = match decision {
            Decision::Admit => None,
            Decision::Displace(_) if class == Class::Critical && mode != Mode::Enforce => None,
            Decision::Displace(victims) if mode == Mode::Enforce => {
                for victim in victims.iter() {
                    displaced.push(self.turn_out(now, victim, Reason::Displaced));
                }
                None
            }
            Decision::Displace(_) | Decision::Refuse => {
                let rejection = self.reject(now, class, units, Reason::Full);
                if mode == Mode::Enforce {
                    return Offered::Refused { units, rejection };
                }
                Some(rejection)
            }
        };
        self.counters.admitted += 1;
        let id = self.queue.reserve(holder, now, demand.deadline);
        Offered::Place { id, units, displaced, would_be }
    }

    /// What [`State::offer`] would say; takes and counts nothing.
    pub(crate) fn peek(&mut self, now: Timestamp, demand: &Demand) -> Result<(), Reason> {
        self.refill(now);
        let holder = self.holder(demand);
        let light = self.queue.is_light(holder);
        match self.decide(now, holder, light) {
            Decision::Refuse => Err(Reason::Full),
            Decision::Admit | Decision::Displace(_) => Ok(()),
        }
    }

    /// Books a refusal that was decided elsewhere: by [`State::peek`], by
    /// another gate of the same request, or by the client itself.
    pub(crate) fn refuse(&mut self, now: Timestamp, demand: &Demand, reason: Reason) -> Rejection {
        let units = self.config.units(demand.cost);
        if reason != Reason::Forced {
            self.window.offered(now, units);
        }
        self.counters.offered += 1;
        self.refill(now);
        self.bucket.drain(units);
        self.reject(now, demand.class, units, reason)
    }

    /// Moves reserved work into the queue at its real weight.
    pub(crate) fn enqueue(
        &mut self,
        now: Timestamp,
        id: SlotId,
        units: u32,
        payload: T,
    ) -> Result<(), (T, Option<Rejection>)> {
        self.queue.wait(now, id, units, payload)
    }

    pub(crate) const fn has_waiting(&self) -> bool {
        self.queue.waiting_units() > 0
    }

    pub(crate) fn release(&mut self, id: SlotId) -> bool {
        self.queue.release(id)
    }

    /// Fills `batch` with what the next commit is to hold; whatever died
    /// waiting comes back.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        mode: Mode,
        background: bool,
        gone: impl Fn(&T) -> bool,
        batch: &mut Batch<T>,
    ) -> Vec<Turned<T>> {
        // The few that the bucket let in beyond the batch go with it: a batch an
        // eighth larger is kinder to everyone than one more commit is to them.
        let largest = self.config.batch_units_max;
        let roomy = self.batch.saturating_add(self.batch / OVERSHOOT).min(largest);
        let max = if mode == Mode::Enforce { roomy } else { largest };
        let kept_free = if background { (max / BACKGROUND_SHARE).max(1) } else { 0 };
        let mut dead = Vec::new();
        while let Some(popped) = {
            let room = max.saturating_sub(kept_free).saturating_sub(batch.units);
            self.queue.pop(room, batch.payloads.is_empty())
        } {
            let Popped { payload, holder, deadline, before } = popped;
            self.prestage.sample(before.min(PRESTAGE_MAX));
            let late = mode == Mode::Enforce && deadline.is_some_and(|deadline| deadline < now);
            if late || (mode != Mode::Off && gone(&payload)) {
                let rejection = self.reject(now, holder.class, holder.units, Reason::Deadline);
                dead.push((holder, Some(payload), rejection));
                continue;
            }
            batch.units = batch.units.saturating_add(holder.units);
            batch.payloads.push(payload);
        }
        batch.room = max.saturating_sub(batch.units);
        // What is on its way to the queue is held for longer than a batch.
        self.queue.age(f64::from(self.batch) / self.line);
        self.light.settle(now);
        let predicted = self.model.service(batch.units.max(1));
        self.commit = Some(Commit { started: now, predicted });
        dead
    }

    /// Learns from a commit, moves the load line and trims what is beyond it.
    pub(crate) fn committed(
        &mut self,
        now: Timestamp,
        sample: &CommitSample,
        mode: Mode,
    ) -> Vec<Turned<T>> {
        self.commit = None;
        if sample.units > 0 {
            self.model.learn(sample);
        }
        self.prestage.settle();
        self.draw_line();
        let mut trimmed = Vec::new();
        let line = self.line + self.bucket.depth();
        while mode == Mode::Enforce && self.queue.held_units() as f64 > line {
            let Some(id) = self.queue.heaviest() else { break };
            trimmed.push(self.turn_out(now, id, Reason::Full));
        }
        trimmed
    }

    pub(crate) fn calibrate(&mut self, calibration: &Calibration) {
        self.model.calibrate(calibration);
        self.draw_line();
    }

    pub(crate) fn snapshot(&mut self, now: Timestamp) -> WriteSnapshot {
        WriteSnapshot {
            reserved_units: self.queue.reserved_units(),
            waiting_units: self.queue.waiting_units(),
            batch_units: self.batch,
            units_per_second: self.rate,
            flush: Duration::from_secs_f64(self.model.batch_seconds()),
            per_unit: Duration::from_secs_f64(self.model.unit_seconds()),
            commit_age: self.commit.map(|commit| now.since(commit.started)),
            saturation: (self.queue.held_units() as f64 / self.line).min(1.0),
            reject_fraction: self.window.reject_fraction(now),
            counters: self.counters,
        }
    }

    /// The admission rule of the whole project.
    fn decide(&mut self, now: Timestamp, newcomer: Holder, light: bool) -> Decision {
        let held = self.queue.held_units() as f64;
        let after = held + f64::from(newcomer.units);
        let kept_free = if light { 0.0 } else { self.kept_free(now) };
        if held == 0.0 || after + kept_free <= self.line {
            return Decision::Admit;
        }
        if self.bucket.holds(newcomer.units) && after <= self.line + self.bucket.depth() {
            return Decision::Admit;
        }
        match self.queue.victims(newcomer) {
            // A large victim is spared until all its room is needed.
            Some(victims) if after - victims.freed() < self.line => Decision::Admit,
            Some(victims) => Decision::Displace(victims),
            None if newcomer.class == Class::Critical => Decision::Admit,
            None => self.stale(now, newcomer).map_or(Decision::Refuse, Decision::Displace),
        }
    }

    /// While the disk hangs nobody is served, and what waited longest will be
    /// the least wanted when it comes back: it gives way to what is fresh.
    fn stale(&self, now: Timestamp, newcomer: Holder) -> Option<Victims> {
        let old = self.config.burst.max(Duration::from_secs_f64(self.model.service(self.batch)));
        if self.stalled(now) { self.queue.oldest(newcomer, now, old) } else { None }
    }

    fn stalled(&self, now: Timestamp) -> bool {
        self.commit.is_some_and(|commit| {
            now.since(commit.started).as_secs_f64() > STALL_FACTOR * commit.predicted
        })
    }

    /// Units kept free for light work that is still to come while the running
    /// commit lasts.
    fn kept_free(&self, now: Timestamp) -> f64 {
        self.commit.map_or(0.0, |commit| {
            let age = now.since(commit.started).as_secs_f64();
            self.light.expected(age, commit.predicted)
        })
    }

    /// The load line in units: one batch waiting while one commits, and what
    /// the disk could serve while ticketed requests are on their way to the
    /// queue.
    fn draw_line(&mut self) {
        self.batch = self.model.batch_effective(&self.config);
        self.rate = self.model.rate(self.batch);
        self.line = f64::from(self.batch) + self.prestage.units(self.rate, self.batch);
        self.bucket.resize(self.rate, self.config.burst, self.batch);
    }

    fn refill(&mut self, now: Timestamp) {
        let stalled = self.stalled(now);
        self.bucket.refill(now, self.rate, stalled);
    }

    fn turn_out(&mut self, now: Timestamp, id: SlotId, reason: Reason) -> Turned<T> {
        let rejection = self.price(now, 1, reason);
        let (holder, payload) = self.queue.displace(id, rejection);
        self.count(now, holder.class, holder.units, reason);
        (holder, payload, rejection)
    }

    fn reject(&mut self, now: Timestamp, class: Class, units: u32, reason: Reason) -> Rejection {
        self.count(now, class, units, reason);
        self.price(now, units, reason)
    }

    fn price(&mut self, now: Timestamp, units: u32, reason: Reason) -> Rejection {
        // What is admitted now comes back as arrivals: the spare rate is what
        // the queue does not already hold for the next batch.
        let taken = self.queue.held_units() as f64 / self.line.max(1.0);
        let retry_after = self.appointments.book(now, units, self.rate, taken);
        Rejection { gate: Gate::Write, reason, retry_after }
    }

    fn count(&mut self, now: Timestamp, class: Class, units: u32, reason: Reason) {
        self.counters.refused[class.index()][reason.index()] += 1;
        if reason != Reason::Forced {
            self.window.refused(now, units);
        }
    }

    fn holder(&self, demand: &Demand) -> Holder {
        let units = self.config.units(demand.cost);
        Holder { class: demand.class, flow: demand.flow, units }
    }
}
