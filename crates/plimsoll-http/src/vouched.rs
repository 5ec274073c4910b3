//! Who has lately proved to be somebody.
//!
//! A storm of logins with made-up role names must not look like thousands of
//! quiet clients. An (address, role) pair is a flow of its own only once it has
//! logged in, a token that cannot be checked only once it was good for something;
//! until then their requests share the flow of their address.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use plimsoll::{Flow, Timestamp};

/// How long a proof vouches for a flow.
const VOUCHED: Duration = Duration::from_secs(600);
/// Flows remembered; when there are more, the table starts anew with those
/// still vouched for, and with none if even they are too many.
const FLOWS_MAX: usize = 65_536;

/// Flows, with the time of their latest proof.
#[derive(Debug, Default)]
pub struct Vouched(Mutex<HashMap<Flow, Timestamp>>);

impl Vouched {
    /// Whether the flow has proved to be somebody within the last ten minutes.
    pub fn contains(&self, flow: Flow, now: Timestamp) -> bool {
        let flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flows.get(&flow).is_some_and(|proof| now.since(*proof) < VOUCHED)
    }

    /// The flow has just done so.
    pub fn insert(&self, flow: Flow, now: Timestamp) {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flows.len() >= FLOWS_MAX && !flows.contains_key(&flow) {
            flows.retain(|_, proof| now.since(*proof) < VOUCHED);
            if flows.len() >= FLOWS_MAX {
                flows.clear();
            }
        }
        flows.insert(flow, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_vouches_for_ten_minutes() {
        let vouched = Vouched::default();
        vouched.insert(Flow(1), Timestamp::ZERO);
        assert!(vouched.contains(Flow(1), Timestamp::ZERO + Duration::from_secs(599)));
        assert!(!vouched.contains(Flow(1), Timestamp::ZERO + VOUCHED));
        assert!(!vouched.contains(Flow(2), Timestamp::ZERO));
    }

    #[test]
    fn the_table_is_bounded_and_old_ones_go_first() {
        let vouched = Vouched::default();
        for flow in 0..FLOWS_MAX as u64 {
            vouched.insert(Flow(flow), Timestamp::ZERO);
        }
        let later = Timestamp::ZERO + VOUCHED;
        vouched.insert(Flow(u64::MAX), later);
        assert!(vouched.contains(Flow(u64::MAX), later));
        assert_eq!(vouched.0.lock().unwrap_or_else(PoisonError::into_inner).len(), 1);
    }
}
