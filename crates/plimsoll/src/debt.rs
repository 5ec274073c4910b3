//! The debt gate: admission to a log that is faster than the state behind it.
//!
//! A log-structured store accepts writes at the speed of its log and merges them
//! into its state at another, lower one. What has been accepted and not been
//! merged yet is its *debt*; it lives in memory, so it has a limit, and a store
//! that runs into the limit stops answering until the merge is done. Slowing
//! down early instead turns seconds of standstill into a rate.
//!
//! - Below [`OPEN`] of the limit the gate is open: bursts are what the debt is
//!   for.
//! - Above it, writes pass at the measured drain rate times `room / spring`, where
//!   *room* is what is left to the limit and *spring* is the room at the point
//!   where the gate begins to close. A debt that stands still is drained exactly as
//!   fast as it is made, so the rate settles where it ought to be, without a
//!   set-point (the spring is that of FoundationDB's Ratekeeper).
//! - The rate never falls below a floor, and an unmeasured drain limits nothing.
//! - [`Class::Critical`] always passes, and is charged.
//!
//! Debts are paid off: a request passes if the bucket holds anything, and may
//! overdraw it, so that a large write needs no bucket of its size.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::PoisonError;

use crate::Timestamp;
use crate::demand::Class;
use crate::sync::{Mutex, MutexGuard};

/// Up to this part of the limit the gate is open.
pub const OPEN: f64 = 0.75;
/// What the bucket holds, as the time it takes to fill.
const BURST_SECONDS: f64 = 0.025;
/// How long the drain rate remembers, in seconds spent draining.
const MEMORY_SECONDS: f64 = 10.0;
/// Seconds of draining before its rate is known.
const MEASURED_SECONDS: f64 = 0.05;

/// A limit or a floor of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid debt gate: the limit and the floor must not be zero")]
pub struct InvalidDebtGate;

/// How far the state lags, as its keeper reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debt {
    /// Accepted and not merged yet, in bytes.
    pub bytes: u64,
    /// Merged since the start, in bytes.
    pub drained_bytes: u64,
    /// A merge is under way: time counts against the drain rate.
    pub draining: bool,
}

/// The gate at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DebtSnapshot {
    /// Accepted and not merged yet, in bytes.
    pub bytes: u64,
    /// The limit, in bytes.
    pub bytes_max: u64,
    /// The measured drain rate; 0 until it is known.
    pub drain_bytes_per_second: f64,
    /// What passes at present; `None` while the gate is open.
    pub bytes_per_second: Option<f64>,
    /// Debt over the limit, 0..=1.
    pub saturation: f64,
    /// Requests refused since the start.
    pub refused: u64,
}

/// See the module.
#[derive(Debug)]
pub struct DebtGate {
    bytes_max: u64,
    floor: f64,
    /// A copy of the debt, so that an open gate costs one load.
    debt: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reported: Timestamp,
    debt: Debt,
    /// Bytes drained and seconds spent on it, the older ones fading.
    drained: f64,
    seconds: f64,
    tokens: f64,
    refilled: Timestamp,
    refused: u64,
}

impl DebtGate {
    /// An open gate. The rate never falls below `floor_bytes_per_second`.
    ///
    /// # Errors
    /// One of them is zero.
    pub fn new(bytes_max: u64, floor_bytes_per_second: u64) -> Result<Self, InvalidDebtGate> {
        if bytes_max == 0 || floor_bytes_per_second == 0 {
            return Err(InvalidDebtGate);
        }
        let (debt, state) = (AtomicU64::new(0), Mutex::new(State::default()));
        Ok(Self { bytes_max, floor: floor_bytes_per_second as f64, debt, state })
    }

    /// Tells the gate how things stand. Call it often while a merge is under
    /// way, and once when it ends.
    pub fn report(&self, now: Timestamp, debt: Debt) {
        let mut state = self.lock();
        let elapsed = now.since(state.reported).as_secs_f64();
        if state.debt.draining {
            let fade = (-elapsed / MEMORY_SECONDS).exp();
            let drained = debt.drained_bytes.saturating_sub(state.debt.drained_bytes);
            state.drained = state.drained * fade + drained as f64;
            state.seconds = state.seconds * fade + elapsed;
        }
        state.reported = state.reported.max(now);
        state.debt = debt;
        drop(state);
        self.debt.store(debt.bytes, Ordering::Relaxed);
    }

    /// Whether a write of so many bytes may pass; charges it if so. Else the
    /// time after which a retry is worth it.
    ///
    /// # Errors
    /// It may not.
    pub fn admit(&self, now: Timestamp, class: Class, bytes: u64) -> Result<(), Duration> {
        if self.is_open() {
            return Ok(());
        }
        let mut state = self.lock();
        let Some(rate) = self.rate(&state) else { return Ok(()) };
        state.refill(now, rate);
        if state.tokens <= 0.0 && class != Class::Critical {
            state.refused = state.refused.saturating_add(1);
            return Err(state.wait(bytes, rate));
        }
        state.tokens -= bytes as f64;
        Ok(())
    }

    /// What [`DebtGate::admit`] would say; charges and counts nothing.
    ///
    /// # Errors
    /// The write would not pass.
    pub fn peek(&self, now: Timestamp, class: Class, bytes: u64) -> Result<(), Duration> {
        if self.is_open() || class == Class::Critical {
            return Ok(());
        }
        let mut state = self.lock();
        let Some(rate) = self.rate(&state) else { return Ok(()) };
        state.refill(now, rate);
        if state.tokens > 0.0 { Ok(()) } else { Err(state.wait(bytes, rate)) }
    }

    /// Gives back what a request was charged that was refused elsewhere.
    pub fn refund(&self, bytes: u64) {
        if !self.is_open() {
            self.lock().tokens += bytes as f64;
        }
    }

    /// The gate at this instant.
    pub fn snapshot(&self) -> DebtSnapshot {
        let state = self.lock();
        let bytes_per_second = if self.is_open() { None } else { self.rate(&state) };
        DebtSnapshot {
            bytes: state.debt.bytes,
            bytes_max: self.bytes_max,
            drain_bytes_per_second: state.drain_rate().unwrap_or(0.0),
            bytes_per_second,
            saturation: (state.debt.bytes as f64 / self.bytes_max as f64).min(1.0),
            refused: state.refused,
        }
    }

    fn is_open(&self) -> bool {
        (self.debt.load(Ordering::Relaxed) as f64) < OPEN * self.bytes_max as f64
    }

    /// What may pass, in bytes per second; `None` while nothing is known.
    fn rate(&self, state: &State) -> Option<f64> {
        let room = self.bytes_max.saturating_sub(state.debt.bytes) as f64;
        let spring = (1.0 - OPEN) * self.bytes_max as f64;
        Some((state.drain_rate()? * (room / spring).min(1.0)).max(self.floor))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics, and numbers cannot be left half-made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drain_rate(&self) -> Option<f64> {
        (self.seconds >= MEASURED_SECONDS).then(|| self.drained / self.seconds)
    }

    fn refill(&mut self, now: Timestamp, rate: f64) {
        let elapsed = now.since(self.refilled).as_secs_f64();
        self.refilled = self.refilled.max(now);
        self.tokens = (self.tokens + rate * elapsed).min(rate * BURST_SECONDS);
    }

    /// Until the overdraft is paid and this write too.
    fn wait(&self, bytes: u64, rate: f64) -> Duration {
        let seconds = (bytes as f64 - self.tokens) / rate;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MIB: u64 = 1 << 20;
    const LIMIT: u64 = 100 * MIB;

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(millis)
    }

    fn gate() -> DebtGate {
        DebtGate::new(LIMIT, MIB).unwrap()
    }

    /// Reports a drain of 10 MiB/s up to a debt, one report per 100 ms.
    fn draining(gate: &DebtGate, debt: u64) -> Timestamp {
        for step in 0..=10 {
            let debt = Debt { bytes: debt, drained_bytes: step * MIB, draining: true };
            gate.report(at(step * 100), debt);
        }
        at(1000)
    }

    /// Offers 10 KiB every 100 us for a second and returns the bytes that passed.
    fn offer_for_a_second(gate: &DebtGate, from: Timestamp) -> u64 {
        let offers = (0..10_000).map(|n| from + Duration::from_micros(100 * n));
        offers.filter(|&now| gate.admit(now, Class::Normal, 10 << 10).is_ok()).count() as u64
            * (10 << 10)
    }

    #[test]
    fn below_three_quarters_of_the_limit_everything_passes() {
        let gate = gate();
        let now = draining(&gate, 74 * MIB);
        assert_eq!(offer_for_a_second(&gate, now), 10_000 * (10 << 10));
    }

    #[test]
    fn at_three_quarters_writes_pass_as_fast_as_the_state_drains() {
        let gate = gate();
        let now = draining(&gate, 75 * MIB);
        let passed = offer_for_a_second(&gate, now);
        assert!((9 * MIB..11 * MIB).contains(&passed), "{passed}");
    }

    #[test]
    fn half_way_to_the_limit_half_of_that() {
        let gate = gate();
        let now = draining(&gate, 75 * MIB + 12 * MIB + MIB / 2);
        let passed = offer_for_a_second(&gate, now);
        assert!((4 * MIB..6 * MIB).contains(&passed), "{passed}");
    }

    #[test]
    fn beyond_the_limit_the_floor_still_passes() {
        let gate = gate();
        let now = draining(&gate, 300 * MIB);
        let passed = offer_for_a_second(&gate, now);
        assert!((MIB * 9 / 10..MIB * 12 / 10).contains(&passed), "{passed}");
    }

    #[test]
    fn critical_work_always_passes_and_is_charged() {
        let gate = gate();
        let now = draining(&gate, 90 * MIB);
        for _ in 0..100 {
            gate.admit(now, Class::Critical, MIB).unwrap();
        }
        let wait = gate.admit(now, Class::High, 1).unwrap_err();
        assert!(wait > Duration::from_secs(10), "{wait:?}");
    }

    #[test]
    fn an_unmeasured_drain_limits_nothing() {
        let gate = gate();
        gate.report(at(0), Debt { bytes: LIMIT, drained_bytes: 0, draining: true });
        assert_eq!(gate.admit(at(1), Class::Low, LIMIT), Ok(()));
    }

    #[test]
    fn idle_time_does_not_lower_the_drain_rate() {
        let gate = gate();
        draining(&gate, 80 * MIB);
        gate.report(at(1100), Debt { bytes: 0, drained_bytes: 11 * MIB, draining: false });
        gate.report(at(60_000), Debt { bytes: 0, drained_bytes: 11 * MIB, draining: true });
        let rate = gate.snapshot().drain_bytes_per_second;
        assert!((rate / MIB as f64 - 10.0).abs() < 0.1, "{rate}");
    }

    #[test]
    fn a_refund_can_be_spent_again() {
        let gate = gate();
        let now = draining(&gate, 80 * MIB);
        gate.admit(now, Class::Normal, MIB).unwrap();
        assert!(gate.peek(now, Class::Normal, 1).is_err());
        gate.refund(MIB);
        assert_eq!(gate.peek(now, Class::Normal, 1), Ok(()));
    }

    #[test]
    fn a_gate_of_nothing_cannot_be_built() {
        assert!(DebtGate::new(0, 1).is_err());
        assert!(DebtGate::new(1, 0).is_err());
    }
}
