//! failsafe-go's adaptive limiter: `adaptivelimiter/adaptivelimiter.go`.

use std::collections::VecDeque;

use super::{Finished, Limiter, View, round::Rounds};

const CORRELATION_ROUNDS: usize = 50;

/// Steps of log10 L, like Vegas, held back where throughput and in-flight no
/// longer rise together.
#[derive(Clone, Debug)]
pub(super) struct Failsafe {
    limit: f64,
    min: f64,
    max: f64,
    recent: f64,
    baseline: f64,
    medians: VecDeque<f64>,
    in_flight: VecDeque<f64>,
    throughput: VecDeque<f64>,
    rtts: VecDeque<f64>,
    rounds: Rounds,
}

impl Failsafe {
    pub(super) fn new(initial: f64, min: f64, max: f64, window: f64) -> Self {
        Self {
            limit: initial,
            min,
            max,
            recent: 0.0,
            baseline: 0.0,
            medians: VecDeque::new(),
            in_flight: VecDeque::new(),
            throughput: VecDeque::new(),
            rtts: VecDeque::new(),
            rounds: Rounds::new(window, 50),
        }
    }

    fn smooth(&mut self, p90: f64) {
        push(&mut self.medians, p90, 5);
        let mut sorted: Vec<_> = self.medians.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        self.recent = ewma(self.recent, median, 5.0);
        self.baseline = ewma(self.baseline, self.recent, 10.0);
    }
}

fn ewma(mean: f64, sample: f64, age: f64) -> f64 {
    if mean == 0.0 { sample } else { mean + 2.0 / (age + 1.0) * (sample - mean) }
}

fn push(values: &mut VecDeque<f64>, value: f64, max: usize) {
    if values.len() == max {
        values.pop_front();
    }
    values.push_back(value);
}

fn moments(values: &VecDeque<f64>) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// Zero where either hardly varies or too little is known.
fn correlation(a: &VecDeque<f64>, b: &VecDeque<f64>) -> f64 {
    if a.len() < 10 {
        return 0.0;
    }
    let ((mean_a, sd_a), (mean_b, sd_b)) = (moments(a), moments(b));
    if sd_a < 0.01 * mean_a || sd_b < 0.01 * mean_b {
        return 0.0;
    }
    let products = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b));
    products.sum::<f64>() / a.len() as f64 / (sd_a * sd_b)
}

impl Limiter for Failsafe {
    fn admit(&mut self, view: &View) -> bool {
        f64::from(view.in_flight) < self.limit
    }

    fn finished(&mut self, done: &Finished) {
        let Some(mut round) = self.rounds.add(done) else { return };
        self.smooth(round.quantile(0.9));
        let in_flight = f64::from(round.in_flight);
        push(&mut self.in_flight, in_flight, CORRELATION_ROUNDS);
        push(&mut self.throughput, in_flight / self.recent, CORRELATION_ROUNDS);
        push(&mut self.rtts, self.recent, CORRELATION_ROUNDS);
        let queue = (self.limit * (1.0 - self.baseline / self.recent)).ceil();
        let log = self.limit.log10().max(1.0);
        let full = in_flight >= self.limit.floor();
        let throughput = correlation(&self.in_flight, &self.throughput);
        let rtt = correlation(&self.in_flight, &self.rtts);
        let (mean, deviation) = moments(&self.throughput);
        let steady = deviation < 0.2 * mean;
        let slower = rtt > 0.5 && (throughput < 0.3 || steady);
        if queue > 6.0 * log || (full && (throughput < 0.0 || slower)) {
            self.limit -= log;
        } else if queue < 3.0 * log {
            self.limit = (self.limit + log).min(5.0 * in_flight);
        }
        self.limit = self.limit.clamp(self.min, self.max);
    }
}
