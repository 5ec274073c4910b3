//! What the server says about coming back.
//!
//! `retry-after-ms` first, because `Retry-After` cannot say less than a second;
//! then `Retry-After`, in seconds or as a date. What cannot be understood counts
//! as not said. What is absurd, a century or a date long past, is understood: the
//! caller bounds it, see [`Policy::hint_max`](crate::Policy::hint_max).

use core::time::Duration;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// In milliseconds; the second is the same by its older, Azure's, name.
const MILLISECONDS: [&str; 2] = ["retry-after-ms", "x-ms-retry-after-ms"];

/// The wait that an answer asks for, if it asks for one. A date is taken as
/// distance from the answer's own `Date`, so that the client's clock does not
/// matter; `now` serves where there is none.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = MILLISECONDS.iter().find_map(|name| whole(text(*name)?));
    if let Some(milliseconds) = milliseconds {
        return Some(Duration::from_millis(milliseconds));
    }
    let text = text(RETRY_AFTER.as_str())?;
    let date = || headers.get(DATE)?.to_str().ok()?.parse::<httpdate::HttpDate>().ok();
    whole(text).map(Duration::from_secs).or_else(|| {
        let then = SystemTime::from(text.parse::<httpdate::HttpDate>().ok()?);
        let from = date().map_or(now, SystemTime::from);
        Some(then.duration_since(from).unwrap_or_default())
    })
}

/// Digits and nothing else (RFC 9110, section 10.2.3); more than fit are as many
/// as fit.
fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn told(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        // Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples.
        retry_after(&map, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn seconds_dates_and_milliseconds_are_understood() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(told(&[("retry-after", "3")]), seconds(3));
        assert_eq!(told(&[("retry-after", " 0 ")]), seconds(0));
        assert_eq!(told(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]), seconds(10));
        let both = [("retry-after", "2"), ("retry-after-ms", "1382")];
        assert_eq!(told(&both), Some(Duration::from_millis(1382)));
        assert_eq!(told(&[("x-ms-retry-after-ms", "200")]), Some(Duration::from_millis(200)));
    }

    #[test]
    fn a_date_is_measured_from_the_servers_clock() {
        let told = told(&[
            ("date", "Mon, 01 Jan 2035 00:00:00 GMT"),
            ("retry-after", "Mon, 01 Jan 2035 00:00:05 GMT"),
        ]);
        assert_eq!(told, Some(Duration::from_secs(5)));
    }

    #[test]
    fn the_past_is_now_and_a_century_is_a_century() {
        assert_eq!(told(&[("retry-after", "Sun, 06 Nov 1983 08:49:37 GMT")]), Some(Duration::ZERO));
        let century = told(&[("retry-after", "Sat, 06 Nov 2094 08:49:37 GMT")]).unwrap();
        assert!(century > Duration::from_secs(99 * 365 * 86_400), "{century:?}");
        let endless = told(&[("retry-after", "99999999999999999999999")]);
        assert_eq!(endless, Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn rubbish_counts_as_not_said() {
        for rubbish in ["-1", "soon", "", "1.5", "+3", "1e9", "0x10", "3, 4", "Sun, 99 Nov 1994"] {
            assert_eq!(told(&[("retry-after", rubbish)]), None, "{rubbish:?}");
        }
        let fallen_back = told(&[("retry-after-ms", "-7"), ("retry-after", "4")]);
        assert_eq!(fallen_back, Some(Duration::from_secs(4)));
    }

    proptest! {
        #[test]
        fn no_header_panics(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
                let _ = retry_after(&headers, SystemTime::UNIX_EPOCH);
            }
        }
    }
}
