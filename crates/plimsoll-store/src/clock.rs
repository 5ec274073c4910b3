//! The one clock of a store and of the server around it.

use std::time::Instant;

use plimsoll::Timestamp;

/// A monotonic clock. Copies share the origin, so that every [`Timestamp`] that
/// reaches the gate is on one scale, whoever read it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that shows zero now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The time since the origin.
    pub fn now(&self) -> Timestamp {
        let nanos = self.origin.elapsed().as_nanos();
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
