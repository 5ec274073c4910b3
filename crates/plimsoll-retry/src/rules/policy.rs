//! What a client may do when a request fails.

use core::time::Duration;

use super::backoff::Backoff;
use super::safety::Failure;
use super::throttle::Throttle;

/// The waits after a broken attempt: 50 ms doubling to 20 s, all of it drawn.
const BROKEN: Backoff =
    Backoff::FullJitter { base: Duration::from_millis(50), cap: Duration::from_secs(20) };
/// The waits after a refusal: 1 s doubling to 20 s, all of it drawn.
const REFUSED: Backoff =
    Backoff::FullJitter { base: Duration::from_secs(1), cap: Duration::from_secs(20) };

/// What a client may do when a request fails. Every value makes sense; begin with
/// [`Policy::default`] or [`Policy::azure`] and change what you must.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// Attempts of one request, the first included; 0 counts as 1.
    pub attempts_max: u32,
    /// How long a request may take in all, waits included. Told to the server
    /// with each attempt as `Prefer: wait`, so that it need not work for nobody.
    pub patience: Duration,
    /// The waits after a broken connection, 408, 412, 502 and 504.
    pub broken: Backoff,
    /// The waits after 429 and 503; they are added to what the server asks for,
    /// so that those who were told the same second do not return in it.
    pub refused: Backoff,
    /// The longest wait taken from a server: a mistaken `Retry-After: 86400` must
    /// not park a client for a day.
    pub hint_max: Duration,
    /// Whether retries are paid from a bucket that all clones share.
    pub budget: bool,
    /// Whether a 503 holds back the client's other requests of its kind, reads or
    /// writes.
    pub hold: bool,
    /// Requests held back at once; one more is not sent.
    pub held_requests_max: usize,
    /// Refuses at home what the server would refuse anyway. Off by default: it
    /// fails requests that `hold` would only delay.
    pub throttle: Option<Throttle>,
    /// Whether unsafe requests get an `Idempotency-Key` when they have none. Turn
    /// it off for a server that does not honour the key, and POST and PATCH are
    /// sent once: nothing else keeps a write whose answer was lost from being done
    /// twice.
    pub keys: bool,
}

impl Default for Policy {
    /// Three attempts within 30 seconds.
    fn default() -> Self {
        Self {
            attempts_max: 3,
            patience: Duration::from_secs(30),
            broken: BROKEN,
            refused: REFUSED,
            hint_max: Duration::from_secs(300),
            budget: true,
            hold: true,
            held_requests_max: 1_000,
            throttle: None,
            keys: true,
        }
    }
}

impl Policy {
    /// As Key Vault's documentation asks: retries after 1, 2, 4, 8 and 16 seconds,
    /// within a minute. Key Vault knows no idempotency keys.
    pub fn azure() -> Self {
        Self {
            attempts_max: 6,
            patience: Duration::from_secs(60),
            broken: Backoff::AZURE,
            refused: Backoff::AZURE,
            keys: false,
            ..Self::default()
        }
    }

    /// The wait before retry number `retry`, the server's own part of it bounded.
    pub(crate) fn wait(
        &self,
        failure: Failure,
        retry: u32,
        hint: Option<Duration>,
        unit: f64,
    ) -> Duration {
        let backoff = if failure.is_refusal() { self.refused } else { self.broken };
        backoff.wait_after(hint.unwrap_or_default().min(self.hint_max), retry, unit)
    }

    /// Sent once: no retries, whatever happens.
    pub fn once() -> Self {
        Self { attempts_max: 1, hold: false, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_of_a_century_is_bounded() {
        let wait = Policy::default().wait(Failure::Overloaded, 1, Some(Duration::MAX), 0.5);
        assert_eq!(wait, Duration::from_millis(300_500));
    }

    #[test]
    fn a_refusal_is_waited_out_longer_than_a_broken_connection() {
        let policy = Policy::default();
        assert_eq!(policy.wait(Failure::OverQuota, 1, None, 0.5), Duration::from_millis(500));
        assert_eq!(policy.wait(Failure::Broken, 1, None, 0.5), Duration::from_millis(25));
    }
}
