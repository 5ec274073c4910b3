//! What a gate answers.

use core::time::Duration;

/// Which gate spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gate {
    /// The group-commit queue.
    Write,
    /// The threads that hash passwords.
    Crypto,
}

impl Gate {
    /// The name used in refusals and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Crypto => "crypto",
        }
    }
}

/// Why a gate refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The load line is reached and nobody heavier was there to give way.
    Full,
    /// Admitted, then displaced by a smaller flow or a higher class before
    /// its batch entered a commit.
    Displaced,
    /// Admitted, but its deadline passed while it waited.
    Deadline,
    /// The state behind the log lags too far behind it.
    Checkpoint,
    /// Asked for by the client, for people who test their clients.
    Forced,
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = 5;

    /// Every reason, in the order of their counters.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Full, Self::Displaced, Self::Deadline, Self::Checkpoint, Self::Forced];

    /// The position in [`Reason::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used in refusals and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Displaced => "displaced",
            Self::Deadline => "deadline",
            Self::Checkpoint => "checkpoint",
            Self::Forced => "forced",
        }
    }
}

/// A refusal: nothing was executed, a retry is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Who refused.
    pub gate: Gate,
    /// Why.
    pub reason: Reason,
    /// When a retry has a good chance. Not randomised: jitter is added where
    /// the answer is written, so that decisions stay reproducible.
    pub retry_after: Duration,
}
