//! The RateLimit header fields (draft-ietf-httpapi-ratelimit-headers).
//!
//! `RateLimit-Policy` says what is allowed, `RateLimit` what is left of it:
//!
//! ```text
//! RateLimit-Policy: "logins";q=100;w=60
//! RateLimit: "logins";r=0;t=12
//! ```

use core::fmt::Write as _;
use core::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The largest integer of a structured field (RFC 9651 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// One policy of a client, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The policy's name.
    pub name: String,
    /// Units allowed in a window.
    pub units_max: u64,
    /// The window.
    pub window: Duration,
    /// Units left.
    pub remaining: u64,
    /// Until there are more; zero if none are missing.
    pub reset: Duration,
}

/// Writes both fields for all policies that a request met, first the one that is
/// nearest to its end. Nothing for no policy: an empty list is no field.
pub fn write_rate_limit(headers: &mut HeaderMap, allowances: &[Allowance]) {
    let (mut policy, mut limit) = (String::new(), String::new());
    for Allowance { name, units_max, window, remaining, reset } in allowances {
        let separator = if policy.is_empty() { "" } else { ", " };
        let name = string(name);
        let (quota, window) = ((*units_max).min(INTEGER_MAX), seconds(*window).max(1));
        let (remaining, reset) = ((*remaining).min(INTEGER_MAX), seconds(*reset));
        // Writing to a string cannot fail.
        let _ = write!(policy, "{separator}{name};q={quota};w={window}");
        let _ = write!(limit, "{separator}{name};r={remaining};t={reset}");
    }
    for (field, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)] {
        if let Ok(value) = HeaderValue::from_str(&value)
            && !value.is_empty()
        {
            headers.insert(field, value);
        }
    }
}

/// Whole seconds, rounded up: nobody is asked back too early.
fn seconds(duration: Duration) -> u64 {
    let part = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(part).min(INTEGER_MAX)
}

/// A String (RFC 9651 3.3.3). What cannot stand in one becomes `_`.
fn string(name: &str) -> String {
    let mut text = String::from('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => text.push('_'),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(name: &str) -> Allowance {
        let (window, reset) = (Duration::from_secs(60), Duration::from_millis(11_001));
        Allowance { name: name.to_owned(), units_max: 100, window, remaining: 0, reset }
    }

    fn written(allowances: &[Allowance]) -> (String, String) {
        let mut headers = HeaderMap::new();
        write_rate_limit(&mut headers, allowances);
        let text = |name| {
            headers.get(name).map_or("", |value: &HeaderValue| value.to_str().expect("ASCII"))
        };
        (text("ratelimit-policy").to_owned(), text("ratelimit").to_owned())
    }

    #[test]
    fn every_policy_is_one_member_of_both_lists() {
        let (policy, limit) = written(&[allowance("a"), allowance("b")]);
        assert_eq!(policy, "\"a\";q=100;w=60, \"b\";q=100;w=60");
        assert_eq!(limit, "\"a\";r=0;t=12, \"b\";r=0;t=12");
        assert_eq!(written(&[]), (String::new(), String::new()), "no list, no field");
    }

    #[test]
    fn absurd_values_still_make_valid_fields() {
        let mut absurd = allowance("\"\\\r\n\u{e4}");
        (absurd.units_max, absurd.remaining) = (u64::MAX, u64::MAX);
        (absurd.window, absurd.reset) = (Duration::ZERO, Duration::MAX);
        let (policy, limit) = written(&[absurd]);
        assert_eq!(policy, "\"\\\"\\\\___\";q=999999999999999;w=1");
        assert_eq!(limit, "\"\\\"\\\\___\";r=999999999999999;t=999999999999999");
    }
}
