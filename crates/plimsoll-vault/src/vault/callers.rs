//! Whose tokens were seen valid a moment ago.
//!
//! Admission happens before authentication, and must still know whose request
//! it is: by a table of tokens that were authenticated recently, found by a
//! keyed hash. It decides fairness and precedence only; what a token may do is
//! decided anew for every request.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use crate::context::UnixTime;

/// How long a token counts as recently seen.
pub(crate) const SEEN_SECONDS_MAX: u64 = 60;

/// Tokens remembered at most; half of them go when it is full.
pub(crate) const CALLERS_MAX: usize = 65_536;

/// What is known of a caller before its request is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownCaller {
    /// The same for all requests of one caller, as long as the process lives.
    pub flow: u64,
    /// Whether the token has the policy `root`.
    pub policies_root: bool,
}

/// The tokens. 128 bits of a hash with secret keys stand for each: nobody can
/// look for collisions.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    keys: [RandomState; 2],
    seen: Mutex<Generations>,
}

type Generation = HashMap<(u64, u64), (KnownCaller, u64)>;

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

impl Callers {
    pub(crate) fn get(&self, token: &str, now: UnixTime) -> Option<KnownCaller> {
        let key = self.key(token);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (caller, seconds) = seen.young.get(&key).or_else(|| seen.old.get(&key))?;
        (now.seconds().saturating_sub(*seconds) < SEEN_SECONDS_MAX).then_some(*caller)
    }

    /// `identity` is what all tokens of one caller have in common.
    pub(crate) fn saw(&self, token: &str, identity: impl Hash, policies_root: bool, now: UnixTime) {
        let key = self.key(token);
        let caller = KnownCaller { flow: self.keys[0].hash_one(identity), policies_root };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.young.len() >= CALLERS_MAX / 2 && !seen.young.contains_key(&key) {
            seen.old = core::mem::take(&mut seen.young);
        }
        seen.young.insert(key, (caller, now.seconds()));
    }

    /// The token was refused.
    pub(crate) fn forget(&self, token: &str) {
        let key = self.key(token);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.young.remove(&key);
        seen.old.remove(&key);
    }

    pub(crate) fn clear(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Generations::default();
    }

    fn key(&self, token: &str) -> (u64, u64) {
        let [first, second] = &self.keys;
        (first.hash_one(token), second.hash_one(token))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use core::time::Duration;

    use super::*;

    const fn at(seconds: u64) -> UnixTime {
        UnixTime(Duration::from_secs(seconds))
    }

    #[test]
    fn a_caller_is_known_for_a_minute_and_until_it_is_refused() {
        let callers = Callers::default();
        callers.saw("a", "role", false, at(100));
        callers.saw("b", "role", true, at(100));
        let (a, b) = (callers.get("a", at(159)).unwrap(), callers.get("b", at(159)).unwrap());
        assert_eq!(a.flow, b.flow);
        assert_eq!((a.policies_root, b.policies_root), (false, true));
        assert_eq!(callers.get("a", at(160)), None);
        assert_eq!(callers.get("c", at(100)), None);
        callers.forget("b");
        assert_eq!(callers.get("b", at(100)), None);
    }

    #[test]
    fn a_flood_of_tokens_is_bounded() {
        let callers = Callers::default();
        for token in 0..2 * CALLERS_MAX {
            callers.saw(&token.to_string(), "", false, at(1));
        }
        let seen = callers.seen.lock().unwrap();
        assert!(seen.young.len() + seen.old.len() <= CALLERS_MAX);
    }
}
