//! What a perfect controller achieves.
//!
//! Where the load is steady the optimum is closed: min(lambda, mu(B)). In
//! transients it is bounded by a fluid that is served at mu(t) and of which no
//! more than one batch may wait: the integral of min(lambda + carry, mu) with
//! carry <= B. The fluid is fed with the very arrivals of the run, so chance in
//! them favours nobody; retries are not in it.
//!
//! A second fluid, which may wait as long as clients do, tells how much of the
//! load fits at all: refusals beyond the rest are false.

use crate::{scenario::Scenario, sim::Record};

/// Work served over time, in units, at the end of every step.
#[derive(Clone, Debug)]
pub struct Oracle {
    step_seconds: f64,
    /// One batch may wait.
    served: Vec<f64>,
    /// Everything may wait that is still in time.
    fitting: Vec<f64>,
    offered: Vec<f64>,
}

impl Oracle {
    /// The oracle of that run's arrivals.
    pub fn new(scenario: &Scenario, record: &Record) -> Self {
        let dt = record.step_seconds;
        let batch = f64::from(scenario.server.batch_items);
        let capacity = scenario.server.capacity() / scenario.server.tail_mean();
        let mut oracle =
            Self { step_seconds: dt, served: Vec::new(), fitting: Vec::new(), offered: Vec::new() };
        let (mut served, mut fitting, mut offered) = (0.0, 0.0, 0.0);
        let (mut carry, mut patient) = (0.0_f64, 0.0_f64);
        for (step, &units) in record.first_offered.iter().enumerate() {
            let at = (step as f64 + 0.5) * dt;
            let rate = capacity / scenario.slowness(at) * running(scenario, step as f64 * dt, dt);
            let room = rate * dt;
            let now = (carry + f64::from(units)).min(room);
            carry = (carry + f64::from(units) - now).min(batch);
            served += now;
            let patience = capacity / scenario.slowness(at) * scenario.measure.within.seconds();
            let now = (patient + f64::from(units)).min(room);
            patient = (patient + f64::from(units) - now).min(patience.max(batch));
            fitting += now;
            offered += f64::from(units);
            oracle.served.push(served);
            oracle.fitting.push(fitting);
            oracle.offered.push(offered);
        }
        oracle
    }

    /// Units served between two moments, in seconds.
    pub fn served(&self, from: f64, until: f64) -> f64 {
        self.between(&self.served, from, until)
    }

    /// Units offered between two moments, in seconds.
    pub fn offered(&self, from: f64, until: f64) -> f64 {
        self.between(&self.offered, from, until)
    }

    /// The share of what was offered that nobody could have served.
    pub fn excess_share(&self, from: f64, until: f64) -> f64 {
        let offered = self.offered(from, until);
        let fitting = self.between(&self.fitting, from, until);
        if offered > 0.0 { (1.0 - fitting / offered).max(0.0) } else { 0.0 }
    }

    fn between(&self, sums: &[f64], from: f64, until: f64) -> f64 {
        self.at(sums, until) - self.at(sums, from)
    }

    fn at(&self, sums: &[f64], seconds: f64) -> f64 {
        let steps = (seconds / self.step_seconds).clamp(0.0, sums.len() as f64);
        let whole = steps as usize;
        let before = if whole == 0 { 0.0 } else { sums[whole - 1] };
        let after = sums.get(whole).copied().unwrap_or(before);
        before + (after - before) * (steps - whole as f64)
    }
}

/// The share of a step in which the disk does not hang.
fn running(scenario: &Scenario, begin: f64, seconds: f64) -> f64 {
    let hangs = scenario.stalls.iter().map(|stall| {
        let (from, until) = (stall.at.seconds(), stall.at.seconds() + stall.lasting.seconds());
        (until.min(begin + seconds) - from.max(begin)).max(0.0)
    });
    (1.0 - hangs.sum::<f64>() / seconds).max(0.0)
}
