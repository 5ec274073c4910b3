//! Times and durations as Go prints them, because clients parse them that way.

use crate::context::UnixTime;

const NANOSECONDS: u64 = 1_000_000_000;
const DAY_SECONDS: u64 = 86_400;

/// What Go prints for a time that was never set.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Nanoseconds since the Unix epoch: how engines store times. Good until 2554.
pub(crate) fn nanoseconds(time: UnixTime) -> u64 {
    u64::try_from(time.0.as_nanos()).unwrap_or(u64::MAX)
}

/// A time in RFC 3339 with up to nine decimals, in UTC. Trailing zeros of the
/// fraction are left out, as Go's `RFC3339Nano` does.
pub(crate) fn rfc3339(time_ns: u64) -> String {
    let (seconds, fraction_ns) = (time_ns / NANOSECONDS, time_ns % NANOSECONDS);
    let (year, month, day) = civil_date(seconds / DAY_SECONDS);
    let of_day = seconds % DAY_SECONDS;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction_ns > 0 {
        let fraction = format!(".{fraction_ns:09}");
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Howard Hinnant's `civil_from_days`: eras of 400 years that begin on the
/// first of March, so that the leap day is the last of its year.
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    let days = days_since_epoch + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// A duration in whole seconds, as Go prints it: `1h2m3s`, `30m0s`, `0s`.
pub(crate) fn go_duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        for (time_ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400 * NANOSECONDS, "2000-02-29T00:00:00Z"),
            (951_868_799 * NANOSECONDS + 1, "2000-02-29T23:59:59.000000001Z"),
            (1_763_766_294 * NANOSECONDS + 171_404_600, "2025-11-21T23:04:54.1714046Z"),
            (4_107_542_400 * NANOSECONDS, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(time_ns), text);
        }
    }

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        let printed = [0, 59, 60, 1800, 3600, 3723].map(go_duration);
        assert_eq!(printed, ["0s", "59s", "1m0s", "30m0s", "1h0m0s", "1h2m3s"]);
    }
}
