//! What is allowed, and what one request asks of it.

use core::time::Duration;

use crate::quota::slot::SUB_WINDOWS;

/// Windows that one request has to fit, at most.
pub const WINDOWS_MAX: usize = 6;

/// Sub-windows are counted in whole milliseconds.
const INTERVAL_MIN: Duration = Duration::from_millis(SUB_WINDOWS as u64);
const INTERVAL_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// So much in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub(super) units_max: u32,
    pub(super) sub_ms: u32,
    pub(super) block_s: u32,
    pub(super) count_rejected: bool,
}

/// A limit that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLimit {
    /// Nothing would ever pass.
    #[error("a quota of 0 lets nothing pass")]
    Zero,
    /// Too short to be cut into ten, or longer than a year.
    #[error("an interval is from 10 ms to 366 days")]
    Interval,
}

impl Limit {
    /// `units_max` units in every `interval`, which is rounded up to a multiple of
    /// ten milliseconds.
    ///
    /// # Errors
    /// See [`InvalidLimit`].
    pub fn new(units_max: u32, interval: Duration) -> Result<Self, InvalidLimit> {
        if units_max == 0 {
            return Err(InvalidLimit::Zero);
        }
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
            return Err(InvalidLimit::Interval);
        }
        let sub_ms = interval.as_millis().div_ceil(SUB_WINDOWS as u128);
        let sub_ms = u32::try_from(sub_ms).map_err(|_| InvalidLimit::Interval)?;
        Ok(Self { units_max, sub_ms, block_s: 0, count_rejected: false })
    }

    /// A client that exceeds it is refused everything for `block`, in whole seconds.
    #[must_use]
    pub fn with_block(mut self, block: Duration) -> Self {
        self.block_s = u32::try_from(block.as_secs()).unwrap_or(u32::MAX);
        self
    }

    /// Whether a refused request is charged all the same: then a client that does
    /// not wait never gets in again.
    #[must_use]
    pub const fn with_count_rejected(mut self, count_rejected: bool) -> Self {
        self.count_rejected = count_rejected;
        self
    }

    /// Units in an interval.
    pub const fn units_max(&self) -> u32 {
        self.units_max
    }

    /// The interval.
    pub const fn interval(&self) -> Duration {
        Duration::from_millis(self.sub_ms as u64 * SUB_WINDOWS as u64)
    }

    pub(super) const fn block_ms(&self) -> u64 {
        self.block_s as u64 * 1000
    }
}

/// What a request asks of one window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Whose window: a keyed hash of the rule and the client. The hash is the
    /// caller's; two that collide share one window.
    pub key: u64,
    /// Units it takes.
    pub cost: u32,
    /// What is allowed.
    pub limit: Limit,
}

/// The windows of one request: a list that needs no memory of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Windows {
    windows: [Option<Window>; WINDOWS_MAX],
    len: usize,
}

impl Windows {
    /// Adds a window; false if there are [`WINDOWS_MAX`] already.
    pub fn push(&mut self, window: Window) -> bool {
        let Some(free) = self.windows.get_mut(self.len) else { return false };
        *free = Some(window);
        self.len += 1;
        true
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the request has nothing to fit.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// In the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().flatten()
    }
}
