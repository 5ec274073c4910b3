//! What a gate answers.

use core::time::Duration;

use crate::demand::Class;

/// Which gate spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gate {
    /// The group-commit queue.
    Write,
    /// The processors: who waits for them.
    Cpu,
    /// The threads that hash passwords.
    Crypto,
    /// A server behind us that shows nothing but its answers.
    Upstream,
    /// Requests that only read.
    Reads,
    /// Bytes in flight.
    Memory,
    /// Free space on the disk.
    Disk,
    /// Leases that ought to have ended.
    Leases,
    /// Open connections.
    Connections,
    /// The same, asked on one class of its routes, with the name of that.
    Route(&'static str),
}

impl Gate {
    /// The name used in refusals and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Cpu => "cpu",
            Self::Crypto => "crypto",
            Self::Upstream => "upstream",
            Self::Reads => "reads",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Leases => "leases",
            Self::Connections => "connections",
            Self::Route(name) => name,
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
    /// The disk is as full as it may be, and the request would fill it further.
    /// Coming back later does not help by itself.
    NoSpace,
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = 6;

    /// Every reason, in the order of their counters.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Full,
        Self::Displaced,
        Self::Deadline,
        Self::Checkpoint,
        Self::Forced,
        Self::NoSpace,
    ];

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
            Self::NoSpace => "no_space",
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
    /// the answer is written, so that decisions stay reproducible. Zero for
    /// [`Reason::NoSpace`]: nobody can tell.
    pub retry_after: Duration,
}

/// Requests since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Asked for a place.
    pub offered: u64,
    /// Got one; some of them were displaced later and count as refused too.
    pub admitted: u64,
    /// Refused, by class and reason; in monitor mode, would have been.
    pub refused: [[u64; Reason::COUNT]; Class::COUNT],
}
