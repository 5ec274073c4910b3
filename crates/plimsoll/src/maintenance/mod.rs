//! Closed on purpose: a window of time, and how much of a service it closes.
//!
//! An operator announces it; nothing is measured and nothing adapts. Like a quota it
//! is a rule and no gate, and like everything here it is told the time.

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes of a reason: it is repeated in every refusal.
pub const REASON_BYTES_MAX: usize = 512;
/// Bytes of the address of a status page.
pub const STATUS_PAGE_BYTES_MAX: usize = 2048;
/// The longest window; what takes longer has no end that anybody knows.
pub const WINDOW_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// How far ahead a window may begin.
pub const AHEAD_MAX: Duration = WINDOW_MAX;

/// How much is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Full,
    /// What may change something; reads go on.
    Writes,
    /// That many of a hundred requests, drawn by lot.
    Percentage(u8),
    /// Everything and for good: 410 instead of 503.
    Retired,
}

impl Extent {
    /// Its name in APIs and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Writes => "writes",
            Self::Percentage(_) => "percentage",
            Self::Retired => "retired",
        }
    }

    /// From a name, and the percentage that only `percentage` has.
    ///
    /// # Errors
    /// No such name, or no such percentage.
    pub fn parse(name: &str, percentage: Option<u64>) -> Result<Self, InvalidPlan> {
        match (name, percentage) {
            ("full", None) => Ok(Self::Full),
            ("writes", None) => Ok(Self::Writes),
            ("retired", None) => Ok(Self::Retired),
            ("percentage", Some(share @ 1..=100)) => {
                u8::try_from(share).map(Self::Percentage).map_err(|_| InvalidPlan::Percentage)
            }
            ("percentage", _) | ("full" | "writes" | "retired", Some(_)) => {
                Err(InvalidPlan::Percentage)
            }
            _ => Err(InvalidPlan::Extent),
        }
    }
}

/// Why a window makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPlan {
    /// See [`Extent::parse`].
    #[error("mode must be full, writes, percentage or retired")]
    Extent,
    /// See [`Extent::parse`].
    #[error("percentage must be 1 to 100, with mode percentage and with no other")]
    Percentage,
    /// Nobody means that, and it has no date in a calendar.
    #[error("the window begins before 1970")]
    TooFarBack,
    /// Or at the same time.
    #[error("the window ends before it begins")]
    EndsBeforeItBegins,
    /// It would never be in force.
    #[error("the window is over already")]
    Over,
    /// See [`WINDOW_MAX`].
    #[error("the window is longer than 366 days: leave the end out")]
    TooLong,
    /// See [`AHEAD_MAX`].
    #[error("the window begins more than 366 days from now")]
    TooFarAhead,
    /// What is retired does not come back.
    #[error("what is retired has no end")]
    RetiredEnds,
    /// See [`REASON_BYTES_MAX`].
    #[error("the reason is longer than {REASON_BYTES_MAX} bytes or contains control characters")]
    Reason,
    /// Neither an http or https URL nor a path, or one that is no part of a header.
    #[error("the status page is neither a URL nor a path of this server")]
    StatusPage,
}

/// One announced window.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// How much is closed.
    pub extent: Extent,
    /// From when on.
    pub begin: SystemTime,
    /// Until when, if anybody knows.
    pub end: Option<SystemTime>,
    /// For people.
    pub reason: Arc<str>,
    /// Where they find out more, if not at the server's own page.
    pub status_page: Option<Arc<str>>,
}

/// Where a window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It begins in so long.
    Ahead(Duration),
    /// It is in force, for so long if that is known.
    InForce(Option<Duration>),
    /// It has ended.
    Over,
}

impl Plan {
    /// A window as it is announced at `now`.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn new(
        extent: Extent,
        begin: SystemTime,
        end: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<Self, InvalidPlan> {
        if begin < SystemTime::UNIX_EPOCH {
            return Err(InvalidPlan::TooFarBack);
        }
        if begin.duration_since(now).is_ok_and(|ahead| ahead > AHEAD_MAX) {
            return Err(InvalidPlan::TooFarAhead);
        }
        if let Some(end) = end {
            match end.duration_since(begin) {
                _ if extent == Extent::Retired => return Err(InvalidPlan::RetiredEnds),
                Err(_) | Ok(Duration::ZERO) => return Err(InvalidPlan::EndsBeforeItBegins),
                Ok(length) if length > WINDOW_MAX => return Err(InvalidPlan::TooLong),
                Ok(_) if end <= now => return Err(InvalidPlan::Over),
                Ok(_) => {}
            }
        }
        Ok(Self { extent, begin, end, reason: Arc::from(""), status_page: None })
    }

    /// Says why.
    ///
    /// # Errors
    /// It is too long, or not one line.
    pub fn because(mut self, reason: &str) -> Result<Self, InvalidPlan> {
        if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
            return Err(InvalidPlan::Reason);
        }
        self.reason = reason.into();
        Ok(self)
    }

    /// Says where to find out more.
    ///
    /// # Errors
    /// It cannot stand in a `Link` header.
    pub fn explained_at(mut self, page: &str) -> Result<Self, InvalidPlan> {
        let fits = page.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte));
        let leads = ["https://", "http://", "/"].iter().any(|start| page.starts_with(start));
        if !fits || !leads || page.len() > STATUS_PAGE_BYTES_MAX {
            return Err(InvalidPlan::StatusPage);
        }
        self.status_page = Some(page.into());
        Ok(self)
    }

    /// Where it stands at `now`.
    pub fn phase(&self, now: SystemTime) -> Phase {
        if let Ok(ahead) = self.begin.duration_since(now)
            && !ahead.is_zero()
        {
            return Phase::Ahead(ahead);
        }
        match self.end.map(|end| end.duration_since(now)) {
            None => Phase::InForce(None),
            Some(Ok(left)) if !left.is_zero() => Phase::InForce(Some(left)),
            Some(_) => Phase::Over,
        }
    }

    /// Whether what is closed stays closed.
    pub fn is_for_good(&self) -> bool {
        self.extent == Extent::Retired
    }

    /// Whether a request is closed out, when the window is in force. `lot` is
    /// drawn from 0..100.
    pub const fn closes(&self, writes: bool, lot: u8) -> bool {
        match self.extent {
            Extent::Full | Extent::Retired => true,
            Extent::Writes => writes,
            Extent::Percentage(share) => lot < share,
        }
    }
}
