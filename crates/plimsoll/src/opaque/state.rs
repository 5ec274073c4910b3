//! Who is at the upstream and who waits: stepped under the gate's lock.

use core::time::Duration;

use crate::Timestamp;
use crate::appointment::Appointments;
use crate::bucket::Bucket;
use crate::demand::{Class, Demand};
use crate::mode::Mode;
use crate::opaque::aside::Aside;
use crate::opaque::bystanders::Bystanders;
use crate::opaque::config::{CALLERS_FEW_MAX, OpaqueGateConfig};
use crate::opaque::law::Law;
use crate::opaque::snapshot::OpaqueSnapshot;
use crate::opaque::ticket::{Outcome, Start};
use crate::queue::{FairQueue, Holder, Popped, SlotId, took_less};
use crate::verdict::{Counters, Gate, Reason, Rejection};
use crate::window::Window;

/// How much work beyond the line an idle upstream is trusted with, as the time
/// it takes for it.
const BURST: Duration = Duration::from_millis(100);
/// The part of a caller's patience that may pass in the queue.
const WAIT_SHARE: u32 = 5;

/// What is left of it with every turnover, as in the queue's own account.
const AGED: f64 = 1.0 - 1.0 / 32.0;
/// A request that takes longer, in mean latencies, counts no more.
const TIMES_MAX: f64 = 100.0;

/// A waiter that lost its place, with what it is told.
pub(crate) type Turned<W> = (Holder, W, Rejection);

/// What became of an offer.
#[derive(Debug)]
pub(crate) enum Offered<W> {
    /// It may start; in monitor mode, though it would not have been let in.
    Start { start: Start, would_be: Option<Rejection> },
    /// It waits, and these gave way.
    Wait { id: SlotId, until: Timestamp, displaced: Vec<Turned<W>> },
    /// Neither.
    Refused(Rejection),
}

/// Who is next.
#[derive(Debug)]
pub(crate) enum Next<W> {
    Start(Start, W),
    TurnAway(Holder, W, Rejection),
}

/// What the line says, before the mode has its say.
enum Decision {
    Start,
    Wait,
    Refuse,
}

/// Everything an opaque gate knows.
#[derive(Debug)]
pub(crate) struct State<W> {
    gate: Gate,
    config: OpaqueGateConfig,
    law: Law,
    queue: FairQueue<W>,
    bucket: Bucket,
    appointments: Appointments,
    window: Window,
    counters: Counters,
    in_flight: u32,
    aside: Aside,
    /// What the heaviest flow took that was refused of late, by class.
    heaviest: [f64; Class::COUNT],
    /// The latest time that anybody told.
    now: Timestamp,
    /// Ends since flows were last aged.
    ends: u32,
}

impl<W> State<W> {
    pub(crate) fn new(gate: Gate, config: OpaqueGateConfig, bystanders: Bystanders) -> Self {
        Self {
            gate,
            config,
            law: Law::new(&config, bystanders),
            queue: FairQueue::new(),
            bucket: Bucket::default(),
            appointments: Appointments::default(),
            window: Window::default(),
            counters: Counters::default(),
            in_flight: 0,
            aside: Aside::default(),
            heaviest: [0.0; Class::COUNT],
            now: Timestamp::ZERO,
            ends: 0,
        }
    }

    /// Lets a request start, wait, or neither.
    pub(crate) fn offer(
        &mut self,
        now: Timestamp,
        demand: &Demand,
        callers_max: u32,
        mode: Mode,
        waiter: impl FnOnce() -> W,
    ) -> Offered<W> {
        self.now = self.now.max(now);
        let holder = holder(demand);
        if mode == Mode::Off {
            return Offered::Start { start: self.start_at_once(now, holder), would_be: None };
        }
        self.window.offered(now, holder.units);
        self.counters.offered += 1;
        let stalled = self.law.stalled(now, self.in_flight);
        self.bucket.refill(now, self.law.rate(), stalled);
        let (decision, victims) = self.decide(holder, callers_max, mode);
        self.bucket.drain(holder.units);
        match decision {
            Decision::Refuse => {
                let rejection = self.reject(now, holder, Reason::Full);
                if mode == Mode::Enforce {
                    return Offered::Refused(rejection);
                }
                self.counters.admitted += 1;
                Offered::Start { start: self.start_at_once(now, holder), would_be: Some(rejection) }
            }
            Decision::Wait if mode == Mode::Enforce => {
                let displaced = victims.iter().filter_map(|id| self.turn_out(now, *id)).collect();
                self.counters.admitted += 1;
                let until = self.until(now, demand);
                let id = self.queue.reserve(holder, now, Some(until));
                // A place just reserved can always wait.
                drop(self.queue.wait(now, id, holder.units, waiter()));
                Offered::Wait { id, until, displaced }
            }
            Decision::Start | Decision::Wait => {
                self.counters.admitted += 1;
                Offered::Start { start: self.start_at_once(now, holder), would_be: None }
            }
        }
    }

    /// Books a refusal that was decided elsewhere.
    pub(crate) fn refuse(&mut self, now: Timestamp, demand: &Demand, reason: Reason) -> Rejection {
        let holder = holder(demand);
        self.now = self.now.max(now);
        self.counters.offered += 1;
        if reason != Reason::Forced {
            self.window.offered(now, holder.units);
        }
        self.reject(now, holder, reason)
    }

    /// A request left the upstream. Returns the time by which to go on.
    pub(crate) fn end(
        &mut self,
        now: Option<Timestamp>,
        start: Start,
        outcome: Outcome,
    ) -> Timestamp {
        let now = now.unwrap_or(self.now).max(self.now);
        self.now = now;
        self.aside.ended(now, start, outcome);
        if start.aside {
            return now;
        }
        self.law.ended(now, start, outcome, self.in_flight);
        self.leave_place(now, start);
        now
    }

    /// Whether a request that lasts gave its place back.
    pub(crate) fn set_aside(&mut self, now: Timestamp, start: Start) -> bool {
        self.now = self.now.max(now);
        let is_aside = self.aside.takes(self.now, start, self.config.in_flight_max);
        if is_aside {
            self.leave_place(self.now, start);
        }
        is_aside
    }

    fn leave_place(&mut self, now: Timestamp, start: Start) {
        self.charge(now, start);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.bucket.resize(self.law.rate(), BURST, self.law.limit());
        self.ends += 1;
        if self.ends >= self.law.limit() {
            self.ends = 0;
            self.queue.age(1.0);
            self.heaviest.iter_mut().for_each(|usage| *usage *= AGED);
        }
    }

    /// A request was counted as one; it took the upstream's time.
    fn charge(&mut self, now: Timestamp, start: Start) {
        let seconds = now.since(start.at).as_secs_f64();
        let units = f64::from(start.holder.units);
        let times = seconds / self.law.latency().max(1e-9);
        self.queue.charge(start.holder, units * (times.min(TIMES_MAX) - 1.0));
    }

    /// Who is to start now, or has waited in vain; to be called until nobody is.
    pub(crate) fn next(&mut self, now: Timestamp, mode: Mode) -> Option<Next<W>> {
        if self.in_flight >= self.law.limit() && mode == Mode::Enforce {
            return None;
        }
        let Popped { payload, holder, deadline, .. } = self.queue.pop(u32::MAX, true)?;
        if mode == Mode::Enforce && deadline.is_some_and(|deadline| deadline < now) {
            let rejection = self.reject(now, holder, Reason::Deadline);
            return Some(Next::TurnAway(holder, payload, rejection));
        }
        Some(Next::Start(self.start(now, holder), payload))
    }

    /// Its owner no longer waits.
    pub(crate) fn leave(&mut self, id: SlotId) -> Option<W> {
        self.queue.withdraw(id).map(|(_, waiter)| waiter)
    }

    /// It waited long enough; `None` if it does not wait any more.
    pub(crate) fn expire(&mut self, now: Timestamp, id: SlotId) -> Option<Turned<W>> {
        self.now = self.now.max(now);
        let (holder, waiter) = self.queue.withdraw(id)?;
        let rejection = self.reject(now, holder, Reason::Deadline);
        Some((holder, waiter, rejection))
    }

    pub(crate) fn snapshot(&mut self, now: Timestamp) -> OpaqueSnapshot {
        let limit = self.law.limit();
        OpaqueSnapshot {
            in_flight: self.in_flight,
            limit,
            waiting: self.queue.waiting_units(),
            answers_per_second: self.law.rate(),
            latency: Duration::from_secs_f64(self.law.latency()),
            saturation: (f64::from(self.in_flight) / f64::from(limit)).min(1.0),
            reject_fraction: self.window.reject_fraction(now),
            counters: self.counters,
        }
    }

    /// The admission rule.
    fn decide(
        &mut self,
        newcomer: Holder,
        callers_max: u32,
        mode: Mode,
    ) -> (Decision, Vec<SlotId>) {
        let none = Vec::new();
        let limit = self.law.limit();
        let free = self.in_flight < limit && self.queue_is_empty();
        if free || newcomer.class == Class::Critical {
            return (Decision::Start, none);
        }
        // Where nobody is made to wait, who is beyond the limit would be.
        let beyond = if mode == Mode::Enforce { 0 } else { self.in_flight.saturating_sub(limit) };
        let waiting = self.queue.held_units() + u64::from(beyond);
        let after = waiting as f64 + f64::from(newcomer.units);
        let most = f64::from(self.config.waiting_max);
        let line = self.law.room().min(most);
        if after <= line || (after <= most && self.is_among_few(newcomer, callers_max)) {
            return (Decision::Wait, none);
        }
        let deep = (line + self.bucket.depth()).min(most);
        if self.bucket.holds(newcomer.units) && after <= deep {
            return (Decision::Wait, none);
        }
        match self.queue.victims(newcomer) {
            Some(victims) => (Decision::Wait, victims.iter().collect()),
            None if self.is_light(newcomer) && after <= line + self.law.room_light() => {
                (Decision::Wait, none)
            }
            None => {
                let usage = &mut self.heaviest[newcomer.class.index()];
                *usage = usage.max(self.queue.usage(newcomer));
                (Decision::Refuse, none)
            }
        }
    }

    /// Whether few are there to ask, and the newcomer can be one of them: who asks for
    /// many requests at a time may be inside already.
    fn is_among_few(&self, newcomer: Holder, callers_max: u32) -> bool {
        let after = u64::from(self.in_flight) + self.queue.held_units() + u64::from(newcomer.units);
        callers_max <= CALLERS_FEW_MAX && after <= u64::from(CALLERS_FEW_MAX)
    }

    /// Whether somebody of a lower class, or who took more, was refused of late: the
    /// place would be the newcomer's if such a one still waited.
    fn is_light(&self, newcomer: Holder) -> bool {
        let (below, same) = self.heaviest.split_at(newcomer.class.index());
        let own = self.queue.usage(newcomer) + f64::from(newcomer.units);
        below.iter().any(|usage| *usage >= 1.0) || took_less(own, same[0])
    }

    /// What did not wait was not counted by the queue.
    fn start_at_once(&mut self, now: Timestamp, holder: Holder) -> Start {
        self.queue.charge(holder, f64::from(holder.units));
        self.start(now, holder)
    }

    fn start(&mut self, now: Timestamp, holder: Holder) -> Start {
        self.in_flight += 1;
        self.law.started(now, self.in_flight);
        Start { at: now, in_flight: self.in_flight, holder, aside: false }
    }

    const fn queue_is_empty(&self) -> bool {
        self.queue.waiting_units() == 0
    }

    /// When a newcomer has waited long enough.
    fn until(&self, now: Timestamp, demand: &Demand) -> Timestamp {
        let patience = demand.deadline.map_or(self.config.patience, |deadline| deadline - now);
        now + patience / WAIT_SHARE
    }

    fn turn_out(&mut self, now: Timestamp, id: SlotId) -> Option<Turned<W>> {
        let (holder, waiter) = self.queue.withdraw(id)?;
        let rejection = self.reject(now, holder, Reason::Displaced);
        Some((holder, waiter, rejection))
    }

    fn reject(&mut self, now: Timestamp, holder: Holder, reason: Reason) -> Rejection {
        self.counters.refused[holder.class.index()][reason.index()] += 1;
        if reason != Reason::Forced {
            self.window.refused(now, holder.units);
        }
        let taken = f64::from(self.in_flight) / f64::from(self.law.limit());
        let retry_after =
            self.appointments.book(now, holder.units, self.law.rate(), taken.min(1.0));
        Rejection { gate: self.gate, reason, retry_after }
    }
}

/// One request is one unit, whatever it holds: the upstream alone knows more.
fn holder(demand: &Demand) -> Holder {
    Holder { class: demand.class, flow: demand.flow, units: demand.cost.items.max(1) }
}
