//! The published laws, written again from their formulas.
//!
//! Each is a [`Limiter`] in front of, or inside, one and the same FIFO queue with
//! greedy batches, and sees what its original sees: requests in flight, round-trip
//! times, queueing delays. None is a copy of anybody's code, and each names its
//! source. They are as their authors ship them; [`Entry::tuned`] lists
//! settings among which hindsight may choose.

mod aqm;
mod brpc;
mod catalog;
mod dagor;
mod envoy;
mod failsafe;
mod gradient;
mod netflix;
mod pi;
mod plain;
mod queue;
mod round;

pub use self::{
    catalog::{CATALOG, Entry, FIXED_IN_BATCHES, Mutant, Setting, fixed},
    queue::Rival,
};

use plimsoll::{Class, Flow};

/// What a law may look at when a request arrives. Times in seconds.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The time.
    pub now: f64,
    /// Requests admitted and not yet answered.
    pub in_flight: u32,
    /// Requests in the queue.
    pub waiting: u32,
    /// Whose it is.
    pub flow: Flow,
    /// How much it matters.
    pub class: Class,
}

/// A finished request.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// The time.
    pub now: f64,
    /// From arrival to answer.
    pub rtt: f64,
    /// Requests in flight when it arrived, itself included.
    pub in_flight: u32,
}

/// How a queue is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dequeue {
    /// Serve it.
    Serve,
    /// Answer that it was refused after all.
    Drop,
}

/// A law. What it does not override it does not do.
pub trait Limiter: std::fmt::Debug {
    /// Whether a request may enter.
    fn admit(&mut self, view: &View) -> bool;

    /// A request was answered.
    fn finished(&mut self, _done: &Finished) {}

    /// A request was lost: refused by whoever is behind, or too late.
    fn lost(&mut self, _now: f64) {}

    /// A request is about to leave the queue after `delay`, which was
    /// `oldest` for the one that waited longest.
    fn leaving(&mut self, _now: f64, _delay: f64) -> Dequeue {
        Dequeue::Serve
    }

    /// Whether the newest is served first; asked before every batch, with the
    /// number that waits.
    fn newest_first(&mut self, _now: f64, _waiting: u32) -> bool {
        false
    }

    /// A commit ended that took so long for so many.
    fn committed(&mut self, _now: f64, _seconds: f64, _requests: u32) {}
}
