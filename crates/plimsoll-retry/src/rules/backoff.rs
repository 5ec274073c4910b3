//! How long to wait when the server does not say.
//!
//! Clients that were refused together come back together unless chance parts
//! them, so the whole wait is drawn, not a few per cent of it: *full jitter*. The
//! draw comes after the cap. Drawn before it, every long wait would be cut to the
//! same length, and the clients of a long outage would march in step again.

use core::time::Duration;

/// The waits between the attempts of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// `random(0 .. min(cap, base * 2^(retry - 1)))`.
    FullJitter {
        /// The ceiling of the first wait.
        base: Duration,
        /// The ceiling of every wait.
        cap: Duration,
    },
    /// These waits, to the letter; the last one is repeated.
    Fixed(&'static [Duration]),
}

impl Backoff {
    /// Key Vault's published schedule: 1, 2, 4, 8, 16 seconds, without jitter.
    pub const AZURE: Self = Self::Fixed(&[
        Duration::from_secs(1),
        Duration::from_secs(2),
        Duration::from_secs(4),
        Duration::from_secs(8),
        Duration::from_secs(16),
    ]);

    /// The wait before retry number `retry` when the server asked for `hint`: never
    /// less than that. Jitter goes on top of it, so that those who were told the
    /// same second do not return in it; a fixed schedule gives way to it.
    pub fn wait_after(&self, hint: Duration, retry: u32, unit: f64) -> Duration {
        let own = self.wait(retry, unit);
        match self {
            Self::FullJitter { .. } => hint.saturating_add(own),
            Self::Fixed(_) => hint.max(own),
        }
    }

    /// The wait before retry number `retry`, counted from 1, when the server asked
    /// for none. `unit` is drawn evenly from [0, 1).
    pub fn wait(&self, retry: u32, unit: f64) -> Duration {
        match self {
            Self::FullJitter { base, cap } => {
                let doublings = retry.saturating_sub(1).min(31);
                let ceiling = base.saturating_mul(1 << doublings).min(*cap);
                // Written so that what is not a number counts as 0.
                ceiling.mul_f64(if unit > 0.0 { unit.min(1.0) } else { 0.0 })
            }
            Self::Fixed(waits) => {
                let nth = usize::try_from(retry.saturating_sub(1)).unwrap_or(usize::MAX);
                waits.get(nth).or_else(|| waits.last()).copied().unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const JITTERED: Backoff = Backoff::FullJitter { base: SECOND, cap: Duration::from_secs(20) };

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<_> = (1..8).map(|n| JITTERED.wait(n, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(JITTERED.wait(u32::MAX, 1.0).as_secs(), 20);
    }

    #[test]
    fn chance_still_parts_those_who_reached_the_cap() {
        assert_eq!(JITTERED.wait(30, 0.25).as_secs(), 5);
        assert_eq!(JITTERED.wait(30, 0.75).as_secs(), 15);
    }

    #[test]
    fn azures_schedule_is_as_published() {
        let waits: Vec<_> = (1..7).map(|n| Backoff::AZURE.wait(n, 0.9).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 16]);
        assert_eq!(Backoff::Fixed(&[]).wait(1, 0.5), Duration::ZERO);
    }

    #[test]
    fn the_servers_wait_is_the_least() {
        assert_eq!(JITTERED.wait_after(3 * SECOND, 2, 0.5), 4 * SECOND);
        assert_eq!(Backoff::AZURE.wait_after(3 * SECOND, 2, 0.5), 3 * SECOND);
        assert_eq!(Backoff::AZURE.wait_after(3 * SECOND, 3, 0.5), 4 * SECOND);
    }

    #[test]
    fn a_draw_out_of_range_is_no_panic() {
        for unit in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(JITTERED.wait(3, unit) <= 4 * SECOND);
        }
    }
}
