//! How many requests at once the upstream carries.
//!
//! The question is asked of the upstream itself, and only while the limit binds:
//! does it answer more if it is given more? Two limits a little apart take turns, each
//! for a few turnovers, and their goodputs are compared ([`Trial`]). The pair moves up
//! while goodput rises with it and down while lowering it costs none. Where that
//! stops, every further request would wait in the upstream for nothing.
//!
//! - A request in flight more is worth it if goodput rises by at least the *price*
//!   of the latency it adds, the part of a caller's patience that an answer takes:
//!   goodput loses its worth as answers get slow, and the limit is where the
//!   product of both is largest. No latency is compared with an earlier one, so a
//!   server that turns slower, or whose healthy load makes it slower, is not
//!   mistaken for one that is overloaded.
//! - While the limit does not bind nothing is learnt and nothing forgotten.
//! - Neither limit of a pair on trial is far from the other: there is no probe that
//!   starves anybody.
//! - Where others ask for less at another gate of the upstream, latency is dearer ([`Others`]).
//! - The first times it binds, limits far apart are compared to know where to begin
//!   ([`Opening`]): for two fifths of the patience at most, and with room to wait.

use crate::Timestamp;
use crate::opaque::bystanders::{Bystanders, Others};
use crate::opaque::chance::Chance;
use crate::opaque::config::{CALLERS_FEW_MAX, OpaqueGateConfig};
use crate::opaque::contrast::Few;
use crate::opaque::epoch::{Epoch, Measured};
use crate::opaque::opening::{Next, Opening};
use crate::opaque::price::Price;
use crate::opaque::ticket::{Outcome, Start};
use crate::opaque::trial::{Move, Seen, Trial};

/// Losses beyond this share of all ends cut the limit at once,
const LOST_MAX: f64 = 0.125;
/// by this much.
const CUT: f64 = 0.8;
/// The upstream hangs when it owes answers and gave none for so many mean latencies,
const HANG_LATENCIES: f64 = 3.0;
/// and, where that is to be forgotten afterwards, for this part of the patience.
const HANG_PATIENCE: f64 = 0.2;
/// As long as nothing is known, how many may wait, over the limit.
const ROOM_UNPROVEN: f64 = 2.0;
/// Afterwards at least and at most that part of it, so that a place given back is taken
/// at once,
const ROOM: (f64, f64) = (0.125, 1.0);
/// and no fewer than this.
const ROOM_MIN: f64 = 1.0;
/// The fewest more, of those who took less than the refused.
const ROOM_LIGHT_MIN: f64 = 16.0;
/// More may wait if more than this part of the limit stands empty, and more than that many
/// places: about one always does, for as long as the next request is on its way. (Of five or
/// fewer no more do while the limit binds.)
const EMPTY_MANY: (f64, f64) = (0.05, 1.0);
/// Fewer may if less than this part does, or less than so many places.
const EMPTY_FEW: (f64, f64) = (0.02, 0.5);
/// While the limit does not bind it is so many times what was found.
const SLACK: f64 = 1.6;
/// So many times while a caller has patience it is looked who else is there.
const OTHERS_WINDOWS: u32 = 10;
/// What was found no longer counts when latency has become so many times dearer, and is so
/// many times what is worth it.
const DEARER: f64 = 2.0;
/// Weight of a new latency.
const ALPHA: f64 = 0.05;
const ALPHA_LIGHT: f64 = 0.02;

/// The limit and what it rests on.
#[derive(Debug)]
pub(crate) struct Law {
    /// The middle of the two limits on trial.
    center: f64,
    limit: u32,
    limit_max: f64,
    /// Mean seconds at the upstream, of all, and of those that found few there.
    latency: f64,
    few: Few,
    price: Price,
    others: Others,
    /// Goodput when the limit bound.
    rate: f64,
    /// How many may wait although no burst explains them, as a part of the limit.
    room: f64,
    epoch: Epoch,
    chance: Chance,
    opening: Opening,
    /// Nothing until that is over.
    trial: Option<Trial>,
    /// The most patience that there was since.
    patience_found: f64,
    /// The limit did not bind of late.
    resting: bool,
    /// Since when an answer is owed: the last one, or the first request after a rest.
    owed_since: Timestamp,
    /// The last hang was over then.
    hung_until: Timestamp,
}

impl Law {
    pub(crate) fn new(config: &OpaqueGateConfig, bystanders: Bystanders) -> Self {
        let limit_max = f64::from(config.in_flight_max);
        let center = f64::from(CALLERS_FEW_MAX).min(limit_max);
        let price = Price::new(config.patience.as_secs_f64());
        Self {
            center,
            limit: center as u32,
            limit_max,
            latency: 0.0,
            few: Few::default(),
            price,
            others: Others::new(bystanders, config.patience / OTHERS_WINDOWS),
            rate: 0.0,
            room: ROOM.0,
            epoch: Epoch::new(center as u32, 1, center as u32),
            chance: Chance::default(),
            opening: Opening::default(),
            trial: None,
            patience_found: 0.0,
            resting: true,
            owed_since: Timestamp::ZERO,
            hung_until: Timestamp::ZERO,
        }
    }

    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }

    /// Answers per second when the limit binds; 0 if that is not known.
    pub(crate) const fn rate(&self) -> f64 {
        self.rate
    }

    /// Mean seconds at the upstream.
    pub(crate) const fn latency(&self) -> f64 {
        self.latency
    }

    /// How many may wait although no burst explains them: enough that a place
    /// given back is taken at once. As long as nothing is known, far more.
    pub(crate) fn room(&self) -> f64 {
        let part = if self.trial.is_none() { ROOM_UNPROVEN } else { self.room };
        (part * f64::from(self.limit)).max(ROOM_MIN)
    }

    /// How many more may wait who took less than those that are refused.
    pub(crate) fn room_light(&self) -> f64 {
        f64::from(self.limit).max(ROOM_LIGHT_MIN)
    }

    /// Whether the upstream seems to hang.
    pub(crate) fn stalled(&self, now: Timestamp, in_flight: u32) -> bool {
        in_flight >= self.limit && self.owed(now) > HANG_LATENCIES * self.latency
    }

    /// For how many seconds an answer has been due.
    fn owed(&self, now: Timestamp) -> f64 {
        now.since(self.owed_since).as_secs_f64()
    }

    pub(crate) fn ended(&mut self, now: Timestamp, start: Start, outcome: Outcome, in_flight: u32) {
        self.epoch.pass(now, in_flight);
        let hung = (HANG_LATENCIES * self.latency).max(HANG_PATIENCE * self.price.patience());
        if self.owed(now) > hung {
            // Nothing that began before says how many requests it carries.
            self.epoch.restart(in_flight);
            self.hung_until = now;
        }
        let lasting = now.since(start.at);
        self.others.ended(now, lasting);
        let seconds = lasting.as_secs_f64();
        if outcome == Outcome::Answered {
            self.owed_since = now;
            learn(&mut self.latency, seconds, ALPHA);
            let light = start.in_flight.max(in_flight) <= self.limit / 4;
            if light && start.at >= self.hung_until {
                learn(&mut self.few.latency, seconds, ALPHA_LIGHT);
                learn(&mut self.few.in_flight, f64::from(start.in_flight), ALPHA_LIGHT);
            }
        }
        if let Some(measured) = self.epoch.ended(now, seconds, outcome) {
            self.measured(&measured, in_flight);
        }
    }

    /// One more is in flight.
    pub(crate) fn started(&mut self, now: Timestamp, in_flight: u32) {
        if in_flight == 1 {
            self.owed_since = now;
        }
        self.epoch.pass(now, in_flight.saturating_sub(1));
    }

    /// What latency costs now.
    fn price(&self) -> Price {
        self.price.beside(self.others.share())
    }

    fn measured(&mut self, measured: &Measured, in_flight: u32) {
        let price = self.price();
        let resting = core::mem::replace(&mut self.resting, !measured.valid);
        if self.resting {
            return self.rest(in_flight);
        }
        self.rate = measured.rate;
        self.widen(f64::from(self.limit) - measured.in_flight);
        if resting && self.trial.is_some() {
            return self.measure(in_flight);
        }
        self.chance.learn(measured.turnovers, measured.chance);
        self.patience_found = self.patience_found.max(price.patience());
        let is_dearer = price.patience() * DEARER < self.patience_found;
        if is_dearer && measured.latency > DEARER * price.worth(self.few.latency) {
            self.patience_found = price.patience();
            self.trial = None;
        }
        let Some(trial) = &mut self.trial else { return self.open(measured, price, in_flight) };
        if measured.lost > LOST_MAX {
            // Little: so many of those in flight were worth it.
            let useful = measured.in_flight * (1.0 - measured.lost);
            self.center = (self.center * CUT).max(useful).min(self.center).max(1.0);
            *trial = Trial::new();
        } else {
            let seen = Seen {
                in_flight: measured.in_flight.ln(),
                goodput: measured.rate.ln(),
                variance: self.chance.over(measured.turnovers),
            };
            self.center = match trial.measured(seen, price.at(measured.latency)) {
                Move::Stay => self.center,
                Move::Up(ratio) => self.center * ratio,
                Move::Down(ratio) => self.center / ratio,
            };
        }
        self.center = self.center.clamp(1.0, self.limit_max);
        self.measure(in_flight);
    }

    /// Places that stand empty although some are refused: more must wait, to take
    /// those that come free together.
    fn widen(&mut self, empty: f64) {
        let limit = f64::from(self.limit);
        if empty > (EMPTY_MANY.0 * limit).max(EMPTY_MANY.1) {
            self.room *= 1.5;
        } else if empty < (EMPTY_FEW.0 * limit).max(EMPTY_FEW.1) {
            self.room *= 0.9;
        }
        self.room = self.room.clamp(ROOM.0, ROOM.1);
    }

    /// The limit has not been tried yet.
    fn open(&mut self, measured: &Measured, price: Price, in_flight: u32) {
        match self.opening.measured(self.center, measured, self.few, price) {
            Next::Try(turn) if turn.limit <= self.limit_max => {
                self.center = turn.limit;
                self.measure_over(turn.limit as u32, turn.turnovers, in_flight);
                return;
            }
            Next::Try(_) => {}
            Next::Begin(center) => self.center = center.clamp(1.0, self.limit_max),
        }
        self.trial = Some(Trial::new());
        self.opening = Opening::default();
        self.measure(in_flight);
    }

    /// Begins the next measurement.
    fn measure(&mut self, in_flight: u32) {
        let (limit, turnovers) = match &self.trial {
            Some(trial) => (trial.limit(self.center, self.limit_max), trial.turnovers()),
            None => (self.center as u32, 1.0),
        };
        self.measure_over(limit, turnovers, in_flight);
    }

    fn measure_over(&mut self, limit: u32, turnovers: f64, in_flight: u32) {
        self.limit = limit;
        // Who is in flight now was let in by another limit.
        self.epoch = Epoch::new(limit, in_flight, (f64::from(limit) * turnovers) as u32);
    }

    /// The limit does not bind: it is held a little higher, for what chance may bring.
    fn rest(&mut self, in_flight: u32) {
        if let Some(limit) = self.opening.highest() {
            self.center = limit;
        }
        self.measure(in_flight);
        if self.trial.is_some() {
            let limit = (self.center * SLACK).min(self.limit_max).ceil();
            self.limit = (limit as u32).max(self.limit);
            self.epoch = Epoch::new(self.limit, in_flight, self.limit);
        }
    }
}

fn learn(mean: &mut f64, sample: f64, alpha: f64) {
    let weight = if *mean > 0.0 { alpha } else { 1.0 };
    *mean += weight * (sample - *mean);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_empty_place_lets_nobody_else_wait_and_an_empty_part_of_the_limit_does() {
        let config = OpaqueGateConfig::default();
        let mut law = Law::new(&config, Bystanders::default());
        law.room = 0.5;
        law.limit = 6;
        law.widen(0.9);
        assert_eq!(law.room, 0.5);
        law.limit = 100;
        law.widen(6.0);
        assert!(law.room > 0.5);
    }

    #[test]
    fn hardly_any_empty_place_lets_fewer_wait() {
        let mut law = Law::new(&OpaqueGateConfig::default(), Bystanders::default());
        for (limit, empty) in [(6, 0.4), (100, 1.9)] {
            (law.limit, law.room) = (limit, 0.5);
            law.widen(empty);
            assert!(law.room < 0.5, "{limit}");
        }
    }
}
