//! What decides at the proxy: the gate that ships, or a limiter.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use plimsoll::{
    Demand, Gate, Mode, Rejection, Timestamp,
    opaque::{Bystanders, Entry, OpaqueGate, OpaqueGateConfig, Outcome, Ticket, Waiter, Waiting},
};

use crate::rivals::{Finished, Limiter, View};

/// What becomes of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the upstream.
    Start,
    /// It waits, but no longer than until then.
    Wait(Timestamp),
    /// 503.
    Refuse,
}

/// Decides about every request. Requests are known by an id that is used again
/// once the request is over.
pub trait Proxy {
    /// A request is here.
    fn arrive(&mut self, now: Timestamp, id: u32, demand: &Demand) -> Verdict;

    /// The upstream is done with it.
    fn end(&mut self, now: Timestamp, id: u32, outcome: Outcome);

    /// A request was at the upstream for so long that another gate let in.
    fn beside(&mut self, _lasting: Duration) {}

    /// Its client hung up while it waited.
    fn leave(&mut self, _id: u32) {}

    /// It waited long enough. False if it has been started since.
    fn expire(&mut self, _now: Timestamp, _id: u32) -> bool {
        false
    }

    /// Moves out who was told since the last call: true for a start.
    fn told(&mut self, _out: &mut Vec<(u32, bool)>) {}

    /// The limit on requests in flight, where there is one.
    fn limit(&mut self, _now: Timestamp) -> Option<f64> {
        None
    }
}

type Board = Arc<Mutex<Vec<(u32, Result<Ticket, Rejection>)>>>;

fn open(board: &Board) -> MutexGuard<'_, Vec<(u32, Result<Ticket, Rejection>)>> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Named(u32, Board);

impl Waiter for Named {
    fn told(self, verdict: Result<Ticket, Rejection>) {
        open(&self.1).push((self.0, verdict));
    }
}

#[derive(Debug, Default)]
struct Held {
    ticket: Option<Ticket>,
    waiting: Option<Waiting>,
}

/// [`OpaqueGate`] as a [`Proxy`]. `deaf`, it is never told of an outcome: a mutant.
#[derive(Debug)]
pub(super) struct Shipping {
    gate: OpaqueGate<Named>,
    bystanders: Bystanders,
    board: Board,
    held: Vec<Held>,
    deaf: bool,
}

impl Shipping {
    pub(super) fn new(config: OpaqueGateConfig, deaf: bool) -> Self {
        let bystanders = Bystanders::default();
        let beside = bystanders.clone();
        let gate = OpaqueGate::beside(beside, Gate::Upstream, config, Mode::Enforce, Arc::new(()));
        Self { gate, bystanders, board: Board::default(), held: Vec::new(), deaf }
    }

    fn held(&mut self, id: u32) -> &mut Held {
        let index = id as usize;
        if self.held.len() <= index {
            self.held.resize_with(index + 1, Held::default);
        }
        &mut self.held[index]
    }
}

impl Proxy for Shipping {
    fn arrive(&mut self, now: Timestamp, id: u32, demand: &Demand) -> Verdict {
        let board = &self.board;
        match self.gate.enter(now, demand, || Named(id, Arc::clone(board))) {
            Err(_) => Verdict::Refuse,
            Ok(Entry::Started(ticket)) => {
                *self.held(id) = Held { ticket: Some(ticket), waiting: None };
                Verdict::Start
            }
            Ok(Entry::Waiting(waiting)) => {
                let until = waiting.until();
                *self.held(id) = Held { ticket: None, waiting: Some(waiting) };
                Verdict::Wait(until)
            }
        }
    }

    fn end(&mut self, now: Timestamp, id: u32, outcome: Outcome) {
        let outcome = if self.deaf { Outcome::Failed } else { outcome };
        if let Some(ticket) = self.held(id).ticket.take() {
            ticket.end(now, outcome);
        }
    }

    fn beside(&mut self, lasting: Duration) {
        self.bystanders.asked(lasting);
    }

    fn leave(&mut self, id: u32) {
        self.held(id).waiting = None;
    }

    fn expire(&mut self, now: Timestamp, id: u32) -> bool {
        let waiting = self.held(id).waiting.take();
        waiting.is_some_and(|waiting| waiting.expire(now).is_some())
    }

    fn told(&mut self, out: &mut Vec<(u32, bool)>) {
        let told = std::mem::take(&mut *open(&self.board));
        for (id, verdict) in told {
            out.push((id, verdict.is_ok()));
            let held = self.held(id);
            held.waiting = None;
            held.ticket = verdict.ok();
        }
    }

    fn limit(&mut self, now: Timestamp) -> Option<f64> {
        Some(f64::from(self.gate.snapshot(now).limit))
    }
}

/// A limiter on requests in flight, without a queue, as limiters are.
#[derive(Debug)]
pub(super) struct Limited {
    law: Box<dyn Limiter>,
    in_flight: u32,
    started: Vec<(u64, u32)>,
}

impl Limited {
    pub(super) fn new(law: Box<dyn Limiter>) -> Self {
        Self { law, in_flight: 0, started: Vec::new() }
    }
}

fn seconds(now: Timestamp) -> f64 {
    now.as_nanos() as f64 / 1e9
}

impl Proxy for Limited {
    fn arrive(&mut self, now: Timestamp, id: u32, demand: &Demand) -> Verdict {
        let view = View {
            now: seconds(now),
            in_flight: self.in_flight,
            waiting: 0,
            flow: demand.flow,
            class: demand.class,
        };
        if !self.law.admit(&view) {
            return Verdict::Refuse;
        }
        self.in_flight += 1;
        let index = id as usize;
        if self.started.len() <= index {
            self.started.resize(index + 1, (0, 0));
        }
        self.started[index] = (now.as_nanos(), self.in_flight);
        Verdict::Start
    }

    fn end(&mut self, now: Timestamp, id: u32, outcome: Outcome) {
        self.in_flight -= 1;
        let (began, in_flight) = self.started[id as usize];
        let rtt = (now.as_nanos() - began) as f64 / 1e9;
        match outcome {
            Outcome::Answered => self.law.finished(&Finished { now: seconds(now), rtt, in_flight }),
            // A client that hangs up has waited too long: no limiter knows better.
            _ => self.law.lost(seconds(now)),
        }
    }
}
