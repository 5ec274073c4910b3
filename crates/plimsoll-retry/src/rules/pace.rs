//! Holding back: a 503 is said to all of a client's requests, not to one of them.
//!
//! "The server is currently unable to handle the request" holds for the next
//! request as well. A client that keeps sending its new requests while the refused
//! one waits is refused again and again; in an overload that lasts, its requests
//! overtake each other by chance, and the oldest wait longest.
//!
//! So a refusal closes the client's *window*: until the wait is over nothing is
//! sent, then one request, the oldest, and with every window's worth of served
//! requests one more at a time, as TCP does after a loss. Requests stand in line
//! meanwhile, oldest first, each with its own deadline. When nobody stands in line
//! the window is open again. A client that is not refused never notices.

use core::time::Duration;

/// What holds the next request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The wait that the server asked for.
    Until(Duration),
    /// As many are under way as the window lets.
    Full,
}

/// A client's window onto one server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// How many may be under way; none is as many as like.
    window: Option<f64>,
    held_until: Duration,
    under_way: u32,
}

impl Pace {
    /// Whether the next request may start.
    pub(crate) fn check(&self, now: Duration) -> Result<(), Held> {
        let Some(window) = self.window else { return Ok(()) };
        if now < self.held_until {
            return Err(Held::Until(self.held_until));
        }
        if f64::from(self.under_way) < window.floor() { Ok(()) } else { Err(Held::Full) }
    }

    pub(crate) fn started(&mut self) {
        self.under_way += 1;
    }

    /// An attempt has ended, however.
    pub(crate) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// It was served; `more` stand in line.
    pub(crate) fn served(&mut self, more: bool) {
        let wider = self.window.map(|window| window + 1.0 / window);
        self.window = if more { wider } else { None };
    }

    /// It was refused: nothing is sent before `until`.
    pub(crate) fn refused(&mut self, until: Duration) {
        self.window = Some(1.0);
        self.held_until = self.held_until.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(10);

    fn under_way(count: u32) -> Pace {
        let mut pace = Pace::default();
        (0..count).for_each(|_| pace.started());
        pace
    }

    #[test]
    fn who_is_not_refused_is_not_held() {
        assert_eq!(under_way(10_000).check(Duration::ZERO), Ok(()));
    }

    #[test]
    fn after_a_refusal_one_goes_first() {
        let mut pace = under_way(1);
        pace.ended();
        pace.refused(AT);
        assert_eq!(pace.check(Duration::ZERO), Err(Held::Until(AT)));
        assert_eq!(pace.check(AT), Ok(()));
        pace.started();
        assert_eq!(pace.check(AT), Err(Held::Full));
    }

    #[test]
    fn served_windows_let_one_more_go_each() {
        let mut pace = under_way(0);
        pace.refused(AT);
        let mut widths = Vec::new();
        for _ in 0..6 {
            pace.served(true);
            let more = || (0..100).find(|count| under(&pace, *count).is_err());
            widths.extend(more());
        }
        // 1 + 1/1, + 1/2, + 1/2.5, ...
        assert_eq!(widths, [2, 2, 2, 3, 3, 3]);
        pace.served(false);
        assert_eq!(under(&pace, 10_000), Ok(()));
    }

    fn under(pace: &Pace, under_way: u32) -> Result<(), Held> {
        Pace { under_way, ..*pace }.check(AT)
    }

    #[test]
    fn the_longest_wait_of_many_refusals_counts() {
        let mut pace = under_way(2);
        pace.refused(AT);
        pace.refused(AT / 2);
        assert_eq!(pace.check(AT / 2), Err(Held::Until(AT)));
    }
}
