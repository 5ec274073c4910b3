//! What requests of a route cost beyond what can be seen of them.
//!
//! A request's place is taken before anybody knows what it will write. Its body is
//! known; the records, nonces and indexes around it are not, and differ from route
//! to route. They are learnt from what earlier requests of the route wrote, and
//! corrected for each request as soon as its transaction is known.

use std::collections::HashMap;
use std::sync::PoisonError;

use crate::demand::Cost;
use crate::sync::Mutex;

/// Routes remembered; requests of others are estimated as if they were new.
const ROUTES_MAX: usize = 4096;
/// Weight of a new sample.
const ALPHA: f64 = 0.1;

/// Overheads in bytes by route template.
#[derive(Debug)]
pub struct RouteCosts {
    unknown_bytes: u64,
    overhead_bytes: Mutex<HashMap<u64, f64>>,
}

impl RouteCosts {
    /// Nothing learnt yet; a new route is taken to add `unknown_bytes`.
    pub fn new(unknown_bytes: u64) -> Self {
        Self { unknown_bytes, overhead_bytes: Mutex::new(HashMap::new()) }
    }

    /// What a request of `route` with a body of `body_bytes` is likely to cost.
    pub fn estimate(&self, route: u64, body_bytes: u64) -> Cost {
        let learnt = self.overhead_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        // A negative overhead is a body of which little is kept.
        let overhead = learnt.get(&route).copied().unwrap_or(self.unknown_bytes as f64);
        Cost::item((body_bytes as f64 + overhead).max(0.0) as u64)
    }

    /// A request of `route` with a body of `body_bytes` has written `written_bytes`.
    pub fn learn(&self, route: u64, body_bytes: u64, written_bytes: u64) {
        let sample = written_bytes as f64 - body_bytes as f64;
        let mut learnt = self.overhead_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if learnt.len() >= ROUTES_MAX && !learnt.contains_key(&route) {
            return;
        }
        let overhead = learnt.entry(route).or_insert(sample);
        *overhead += ALPHA * (sample - *overhead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_route_is_taken_for_its_body_and_the_usual_overhead() {
        assert_eq!(RouteCosts::new(1000).estimate(7, 50), Cost::item(1050));
    }

    #[test]
    fn what_a_route_writes_is_learnt_for_that_route_alone() {
        let costs = RouteCosts::new(1000);
        costs.learn(7, 100, 5100);
        for _ in 0..100 {
            costs.learn(7, 100, 2100);
        }
        let Cost { bytes, .. } = costs.estimate(7, 0);
        assert!((2000..2010).contains(&bytes), "{bytes}");
        assert_eq!(costs.estimate(8, 0), Cost::item(1000));
    }

    #[test]
    fn a_route_that_keeps_little_of_its_body_never_costs_less_than_nothing() {
        let costs = RouteCosts::new(1000);
        costs.learn(7, 10_000, 100);
        assert_eq!(costs.estimate(7, 50), Cost::item(0));
    }

    #[test]
    fn the_table_is_bounded() {
        let costs = RouteCosts::new(1000);
        for route in 0..=ROUTES_MAX as u64 {
            costs.learn(route, 0, 1);
        }
        assert_eq!(costs.estimate(ROUTES_MAX as u64, 0), Cost::item(1000));
    }
}
