//! Who logged in lately, and from where.
//!
//! A storm of logins with made-up role names must not look like thousands of
//! quiet clients. A (address, role) pair is a flow of its own only once it has
//! logged in; until then its requests share the flow of their address.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use plimsoll::Timestamp;

/// How long a login vouches for a pair.
const VOUCHED: Duration = Duration::from_secs(600);
/// Pairs remembered; when there are more, the table starts anew with those
/// still vouched for, and with none if even they are too many.
const PAIRS_MAX: usize = 65_536;

/// Pairs by their hash, with the time of their latest login.
#[derive(Debug, Default)]
pub(crate) struct RecentLogins(Mutex<HashMap<u64, Timestamp>>);

impl RecentLogins {
    pub(crate) fn contains(&self, pair: u64, now: Timestamp) -> bool {
        let pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.get(&pair).is_some_and(|login| now.since(*login) < VOUCHED)
    }

    pub(crate) fn insert(&self, pair: u64, now: Timestamp) {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() >= PAIRS_MAX && !pairs.contains_key(&pair) {
            pairs.retain(|_, login| now.since(*login) < VOUCHED);
            if pairs.len() >= PAIRS_MAX {
                pairs.clear();
            }
        }
        pairs.insert(pair, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_vouches_for_ten_minutes() {
        let logins = RecentLogins::default();
        logins.insert(1, Timestamp::ZERO);
        assert!(logins.contains(1, Timestamp::ZERO + Duration::from_secs(599)));
        assert!(!logins.contains(1, Timestamp::ZERO + VOUCHED));
        assert!(!logins.contains(2, Timestamp::ZERO));
    }

    #[test]
    fn the_table_is_bounded_and_old_pairs_go_first() {
        let logins = RecentLogins::default();
        for pair in 0..PAIRS_MAX as u64 {
            logins.insert(pair, Timestamp::ZERO);
        }
        let later = Timestamp::ZERO + VOUCHED;
        logins.insert(u64::MAX, later);
        assert!(logins.contains(u64::MAX, later));
        assert_eq!(logins.0.lock().unwrap_or_else(PoisonError::into_inner).len(), 1);
    }
}
