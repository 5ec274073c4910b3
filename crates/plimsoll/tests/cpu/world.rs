//! A server on one processor in virtual time, in microseconds: a runtime that looks at
//! its sockets now and then, what waits in the kernel meanwhile, a probe that waits there
//! too, and a host that takes the processor away.

use core::time::Duration;
use std::collections::VecDeque;

use plimsoll::cpu::{CpuGate, Turn};
use plimsoll::{Class, Mode, Timestamp};

/// Tasks between two looks at the sockets, as in tokio.
const TASKS_PER_LOOK: u32 = 61;
/// Between two looks while turns are taken, and between two questions of the probe.
const LOOK_EVERY: f64 = 1000.0;
const ASK_EVERY: f64 = 20_000.0;
/// What it costs to look, to answer the probe, to read a request, to refuse it, to serve it.
const LOOK: f64 = 5.0;
const ECHO: f64 = 3.0;
const READ: f64 = 8.0;
const REFUSE: f64 = 8.0;
pub(crate) const SERVE: f64 = 440.0;

/// Chance from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

/// What the host takes of a busy processor: a part of the time, in pieces.
#[derive(Clone, Copy)]
pub(crate) struct Theft {
    pub(crate) part: f64,
    pub(crate) piece_ms: f64,
}

impl Theft {
    pub(crate) const NONE: Self = Self { part: 0.0, piece_ms: 0.0 };

    fn piece(self, chance: &mut Chance) -> f64 {
        chance.exponential(self.piece_ms * 1e3)
    }

    fn pause(self, chance: &mut Chance) -> f64 {
        if self.part == 0.0 {
            return f64::INFINITY;
        }
        chance.exponential(self.piece_ms * 1e3 * (1.0 - self.part) / self.part)
    }
}

enum Task {
    Read { due: f64 },
    Echo,
    Begin(Turn, f64),
}

/// The question under way, or the next one.
struct Probe {
    asked: f64,
    had: f64,
    waits: bool,
    next: f64,
}

/// What became of the requests.
#[derive(Default)]
pub(crate) struct Outcome {
    latencies_ms: Vec<f64>,
    pub(crate) refused: u32,
    pub(crate) turns: u32,
    /// Processor time for all but serving.
    spent: f64,
    stolen: f64,
}

pub(crate) struct World {
    gate: CpuGate,
    now: f64,
    worked: f64,
    theft: Theft,
    taken_at: f64,
    chance: Chance,
    arrivals: Chance,
    /// Of what the processor could serve.
    load: f64,
    next_arrival: f64,
    probe: Probe,
    kernel: VecDeque<Task>,
    tasks: VecDeque<Task>,
    ticks: u32,
    /// Those who wait for the one lane, and when to look before the next of them.
    lane: VecDeque<(Turn, f64)>,
    lane_taken: bool,
    look_at: f64,
    outcome: Outcome,
}

impl World {
    pub(crate) fn new(theft: Theft, seed: u64) -> Self {
        let mut chance = Chance(seed);
        let taken_at = theft.pause(&mut chance);
        Self {
            gate: CpuGate::new(1, Mode::Enforce).expect("one"),
            now: 0.0,
            worked: 0.0,
            theft,
            taken_at,
            chance,
            arrivals: Chance(!seed),
            load: 0.0,
            next_arrival: 0.0,
            probe: Probe { asked: 0.0, had: 0.0, waits: false, next: ASK_EVERY },
            kernel: VecDeque::new(),
            tasks: VecDeque::new(),
            ticks: 0,
            lane: VecDeque::new(),
            lane_taken: false,
            look_at: 0.0,
            outcome: Outcome::default(),
        }
    }

    /// So many seconds of that part of what the processor could serve.
    pub(crate) fn offer(&mut self, load: f64, seconds: f64) -> Outcome {
        self.load = load;
        let end = self.now + seconds * 1e6;
        while self.now < end {
            self.step();
        }
        core::mem::take(&mut self.outcome)
    }

    fn step(&mut self) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(TASKS_PER_LOOK) || self.tasks.is_empty() {
            self.look();
        }
        match self.tasks.pop_front() {
            None => self.rest(),
            Some(Task::Echo) => {
                self.spend(ECHO);
                self.report();
                self.probe.waits = false;
            }
            Some(Task::Read { due }) => self.read(due),
            Some(Task::Begin(turn, due)) => self.begin(turn, due),
        }
    }

    fn look(&mut self) {
        self.spend(LOOK);
        self.tasks.append(&mut self.kernel);
    }

    fn read(&mut self, due: f64) {
        self.spend(READ);
        let now = at(self.now);
        let asked = self.gate.peek(now, Class::Normal);
        match asked.and_then(|()| self.gate.admit(now, Class::Normal)) {
            Err(_) => {
                self.outcome.refused += 1;
                self.spend(REFUSE);
            }
            Ok(None) => self.serve(due),
            Ok(Some(turn)) => {
                self.outcome.turns += 1;
                self.lane.push_back((turn, due));
                if !self.lane_taken {
                    self.next_turn();
                }
            }
        }
    }

    fn next_turn(&mut self) {
        let next = self.lane.pop_front();
        self.lane_taken = next.is_some();
        let Some((turn, due)) = next else { return };
        if self.now >= self.look_at {
            self.look();
            self.look_at = self.now + LOOK_EVERY;
            self.tasks.push_back(Task::Begin(turn, due));
        } else {
            self.tasks.push_front(Task::Begin(turn, due));
        }
    }

    fn begin(&mut self, mut turn: Turn, due: f64) {
        turn.begin(at(self.now));
        self.serve(due);
        turn.end(at(self.now));
        self.next_turn();
    }

    fn serve(&mut self, due: f64) {
        self.spend(SERVE);
        self.outcome.spent -= SERVE;
        self.outcome.latencies_ms.push((self.now - due) / 1e3);
    }

    /// Work, and whatever the host takes in between.
    fn spend(&mut self, micros: f64) {
        self.worked += micros;
        self.outcome.spent += micros;
        let mut left = micros;
        while self.now + left > self.taken_at {
            left -= self.taken_at - self.now;
            let piece = self.theft.piece(&mut self.chance);
            self.outcome.stolen += piece;
            self.now = self.taken_at + piece;
            self.taken_at = self.now + self.theft.pause(&mut self.chance);
        }
        self.now += left;
        self.outside();
    }

    /// Nothing to do until something comes. Nobody takes what is not used.
    fn rest(&mut self) {
        let until = self.next_arrival.min(self.probe.next).max(self.now);
        self.taken_at += until - self.now;
        self.now = until;
        self.outside();
    }

    /// What happened beside the processor meanwhile.
    fn outside(&mut self) {
        while self.next_arrival <= self.now {
            self.kernel.push_back(Task::Read { due: self.next_arrival });
            self.next_arrival += self.arrivals.exponential((READ + SERVE) / self.load);
        }
        if self.now < self.probe.next {
            return;
        }
        if self.probe.waits {
            self.report();
        } else {
            self.kernel.push_back(Task::Echo);
            (self.probe.asked, self.probe.had, self.probe.waits) = (self.now, self.worked, true);
        }
        self.probe.next = self.now + ASK_EVERY;
    }

    fn report(&mut self) {
        let (wait, worked) = (self.now - self.probe.asked, self.worked - self.probe.had);
        self.gate.probed(micros(wait), micros(worked));
        self.probe.next = self.now + ASK_EVERY;
    }
}

impl Outcome {
    pub(crate) fn served(&self) -> f64 {
        self.latencies_ms.len() as f64
    }

    pub(crate) fn refused_percent(&self) -> f64 {
        100.0 * f64::from(self.refused) / (f64::from(self.refused) + self.served())
    }

    /// Over what was left of the processor after all but serving.
    pub(crate) fn goodput(&self, seconds: f64) -> f64 {
        self.served() * SERVE / (seconds * 1e6 - self.stolen - self.spent)
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        let mut sorted = self.latencies_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() - 1) * 99 / 100]
    }
}

fn micros(count: f64) -> Duration {
    Duration::from_secs_f64(count / 1e6)
}

fn at(now: f64) -> Timestamp {
    Timestamp::ZERO + micros(now)
}
