//! The CPU gate: how long a request waits for a processor.
//!
//! An overloaded server wastes its processors on requests whose clients have gone. Nothing
//! that it usually looks at tells: utilisation is 100 % on a good day, and a task
//! that times its own wake-up stays under milliseconds while clients wait for seconds,
//! because what waits, waits in the kernel, before anybody has looked at it. So:
//!
//! - A *probe* asks the server what any client could ask, all the time, and times the
//!   answer. A wait is held against the server as far as its own work stood before the
//!   probe: what the processors did meanwhile tells. While they were given to others, by
//!   the host or by the kernel, nothing stood that a refusal could take away.
//! - While nothing stands the gate is *calm*: it gives out no turns, refuses nobody and
//!   costs next to nothing.
//! - When something does, the queue is made visible, and then limited, like that of the
//!   write gate. Looking at a request - reading its head, deciding - comes before working
//!   for one. Whoever is admitted gets a [`Turn`]: as many turns run at a time as there
//!   are processors, and now and then between them what has arrived is looked at.
//!   What waits then waits here, where it can be counted, and a refusal is
//!   given at once, whatever the load.
//! - A request is admitted while the turns before it take less than the *budget*, at the
//!   pace at which turns have come of late. That is what bounds the latency of the
//!   accepted. Nobody estimates what the processors can do: they do it, one turn after
//!   the other, with all the time that looking and refusing leave them. What the probe
//!   waits even so is taken off the budget.
//! - A queue that passes may be half as long again as one that stands, of which no wait of
//!   an interval was short: a batch of arrivals, or the host that takes a processor away
//!   for a while, leaves a queue that soon is gone, and nobody is helped by a refusal.
//! - As soon as the turns and the probe hardly wait any more the gate is calm again.
//! - Whoever only watches ([`Mode::Monitor`]) must not make anybody wait for a turn. What
//!   stands is then what the probe waits, all of it, and beyond the budget is counted.
//!
//! Nobody is refused while no turn waits. [`Class::Low`] has half of the budget,
//! [`Class::High`] one and a half; [`Class::Critical`] always passes.

mod standing;
#[cfg(test)]
mod tests;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::{Arc, PoisonError};

use crate::Timestamp;
use crate::appointment::Appointments;
use crate::controller::{Controller, GateSnapshot};
use crate::cpu::standing::Standing;
use crate::demand::Class;
use crate::mode::{AtomicMode, Mode};
use crate::sync::{Mutex, MutexGuard};
use crate::tally::Tally;
use crate::verdict::{Gate, Reason, Rejection};

/// The wait from which on turns are given out, and which stands if none of the latest was
/// shorter: half of the budget. A flood brings the other half while turns begin to
/// count it.
const ALARM: Duration = Duration::from_millis(20);
/// The wait below which they end: that of a batch of arrivals on a server that keeps up.
const CALM: Duration = Duration::from_millis(5);
/// The part of the probe's wait that counts whatever the processors did meanwhile: a
/// runtime whose threads all wait for something else keeps its clients waiting, too.
const ALWAYS_COUNTED: u32 = 4;
/// The wait for a turn that is put up with when it stands: half of what a client would
/// call a delay.
const BUDGET: Duration = Duration::from_millis(40);
/// The same when it does not stand. At .7 of the peak a processor that is taken away for
/// 85 ms leaves a queue that long.
const PASSING: Duration = Duration::from_millis(60);
/// What a turn takes before one has ended: long enough for the first ones to tell.
const TURN_UNKNOWN: f64 = 0.001;
/// Weight of a new sample of what a turn costs, and by how much one may exceed the
/// mean: a list of a million keys says little about the next request.
const ALPHA: f64 = 0.05;
const SAMPLE_MAX: f64 = 4.0;

/// A gate for no processor at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid CPU gate: at least one turn must run")]
pub struct InvalidCpuGate;

/// See the module. Clones share the gate.
#[derive(Clone, Debug)]
pub struct CpuGate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lanes: u32,
    state: Mutex<State>,
    calm: AtomicBool,
    mode: AtomicMode,
    tally: Tally,
}

#[derive(Debug, Default)]
struct State {
    /// Admitted, not begun.
    waiting: u32,
    /// What a turn takes of a processor, with all the looking and refusing that comes
    /// before the next one.
    seconds: f64,
    /// When a turn ended while another waited: it is between two such ends that a
    /// processor was busy all the time.
    ended_busy: Option<Timestamp>,
    /// What the probe waited, and with it what a newcomer would have.
    probe: Standing,
    newcomer: Standing,
    appointments: Appointments,
}

impl CpuGate {
    /// A gate in front of so many `processors`.
    ///
    /// # Errors
    /// None.
    pub fn new(processors: u32, mode: Mode) -> Result<Self, InvalidCpuGate> {
        if processors == 0 {
            return Err(InvalidCpuGate);
        }
        let state = Mutex::new(State::default());
        let (mode, tally) = (AtomicMode::new(mode), Tally::default());
        let calm = AtomicBool::new(true);
        Ok(Self(Arc::new(Shared { lanes: processors, state, calm, mode, tally })))
    }

    /// Turns that may run at a time.
    pub fn lanes(&self) -> u32 {
        self.0.lanes
    }

    /// What is done with verdicts.
    pub fn mode(&self) -> Mode {
        self.0.mode.load()
    }

    /// Asks for a turn, if there is need for turns at present.
    ///
    /// # Errors
    /// Those before it take too long.
    pub fn admit(&self, now: Timestamp, class: Class) -> Result<Option<Turn>, Rejection> {
        let mode = self.mode();
        if mode == Mode::Off {
            return Ok(None);
        }
        self.0.tally.offered(now);
        if self.is_calm() {
            return Ok(None);
        }
        let mut state = self.0.lock();
        if mode == Mode::Monitor {
            if state.is_beyond_budget(self.0.lanes, class) {
                self.0.refuse(&mut state, now, class);
            }
            return Ok(None);
        }
        if state.is_full(self.0.lanes, class) {
            return Err(self.0.refuse(&mut state, now, class));
        }
        state.waiting += 1;
        drop(state);
        Ok(Some(Turn { gate: Arc::clone(&self.0), stage: Stage::Waiting }))
    }

    /// What [`CpuGate::admit`] would say; takes nothing, and counts a refusal only.
    ///
    /// # Errors
    /// The request would be refused.
    pub fn peek(&self, now: Timestamp, class: Class) -> Result<(), Rejection> {
        if self.is_calm() || self.mode() != Mode::Enforce {
            return Ok(());
        }
        let mut state = self.0.lock();
        if !state.is_full(self.0.lanes, class) {
            return Ok(());
        }
        self.0.tally.offered(now);
        Err(self.0.refuse(&mut state, now, class))
    }

    /// Tells how long a probe waited that asked for next to nothing, or has been waiting
    /// so far, and what the server `worked` meanwhile, the time that it had of all
    /// processors together. Call it some fifty times a second.
    pub fn probed(&self, wait: Duration, worked: Duration) {
        let stood = wait.min((worked / self.0.lanes).max(wait / ALWAYS_COUNTED));
        let mut state = self.0.lock();
        state.probe.record(stood);
        let newcomer = stood.saturating_add(state.turns(self.0.lanes));
        state.newcomer.record(newcomer);
        if newcomer >= ALARM {
            self.0.calm.store(false, Ordering::Relaxed);
        } else if newcomer < CALM {
            self.0.calm.store(true, Ordering::Relaxed);
        }
    }

    fn is_calm(&self) -> bool {
        self.0.calm.load(Ordering::Relaxed)
    }
}

impl Controller for CpuGate {
    fn snapshot(&self, now: Timestamp) -> GateSnapshot {
        let wait = self.0.lock().wait(self.0.lanes);
        let saturation = wait.as_secs_f64() / BUDGET.as_secs_f64();
        self.0.tally.snapshot(now, Gate::Cpu, self.mode(), saturation)
    }

    fn set_mode(&self, mode: Mode) {
        self.0.mode.store(mode);
    }
}

impl Shared {
    fn refuse(&self, state: &mut State, now: Timestamp, class: Class) -> Rejection {
        self.tally.refused(now, class, Reason::Full);
        let rate = f64::from(self.lanes) / state.pace();
        let taken = state.wait(self.lanes).as_secs_f64() / BUDGET.as_secs_f64();
        let retry_after = state.appointments.book(now, 1, rate, taken);
        Rejection { gate: Gate::Cpu, reason: Reason::Full, retry_after }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics, and numbers cannot be left half-made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pace(&self) -> f64 {
        if self.seconds == 0.0 { TURN_UNKNOWN } else { self.seconds }
    }

    /// What the turns that wait will take.
    fn turns(&self, lanes: u32) -> Duration {
        let seconds = f64::from(self.waiting) * self.pace() / f64::from(lanes);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// What a newcomer would wait.
    fn wait(&self, lanes: u32) -> Duration {
        self.probe.least().saturating_add(self.turns(lanes))
    }

    fn is_full(&self, lanes: u32, class: Class) -> bool {
        self.waiting >= lanes && self.is_beyond_budget(lanes, class)
    }

    fn is_beyond_budget(&self, lanes: u32, class: Class) -> bool {
        let budget = if self.newcomer.least() < ALARM { PASSING } else { BUDGET };
        let budget = match class {
            Class::Low => budget / 2,
            Class::Normal => budget,
            Class::High => budget * 3 / 2,
            Class::Critical => return false,
        };
        self.wait(lanes) > budget
    }

    fn ended(&mut self, began: Timestamp, now: Timestamp, lanes: u32) {
        let alone = now.since(began).as_secs_f64();
        let busy = self.ended_busy.map(|last| now.since(last).as_secs_f64() * f64::from(lanes));
        self.ended_busy = (self.waiting > 0).then_some(now);
        self.learn(busy.map_or(alone, |busy| busy.max(alone)));
    }

    fn learn(&mut self, seconds: f64) {
        if self.seconds == 0.0 {
            self.seconds = seconds;
        }
        let sample = seconds.min(self.seconds * SAMPLE_MAX);
        self.seconds += ALPHA * (sample - self.seconds);
    }
}

/// The right to use a processor once, when it is its turn. Dropped on any path, it
/// gives back what it holds.
#[derive(Debug)]
pub struct Turn {
    gate: Arc<Shared>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Waiting,
    Running(Timestamp),
    Over,
}

impl Turn {
    /// It is its turn.
    pub fn begin(&mut self, now: Timestamp) {
        if matches!(self.stage, Stage::Waiting) {
            self.gate.lock().waiting -= 1;
            self.stage = Stage::Running(now);
        }
    }

    /// It waits for something else than a processor now, or is done.
    pub fn end(&mut self, now: Timestamp) {
        if let Stage::Running(began) = self.stage {
            self.gate.lock().ended(began, now, self.gate.lanes);
            self.stage = Stage::Over;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if matches!(self.stage, Stage::Waiting) {
            self.gate.lock().waiting -= 1;
        }
    }
}
