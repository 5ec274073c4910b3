//! Durations as Vault's clients write them.
//!
//! A number counts seconds, and so does a string of digits; other strings are
//! Go's durations (`1h30m`, `90s`, `1.5h`, `250ms`), and days (`30d`), which Go
//! lacks. Fractions of a second are dropped, as Vault does.

use serde_json::{Map, Value};

use crate::error::VaultError;

/// The longest duration in seconds: Go counts nanoseconds in 63 bits, and no
/// sum of two of these and a time of this millennium overflows.
pub const DURATION_SECONDS_MAX: u64 = i64::MAX as u64 / 1_000_000_000;

const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Whole seconds of a duration in a body. Null and the empty string are 0.
///
/// # Errors
/// It is negative, too long, or no duration.
pub fn parse_duration(value: &Value) -> Result<u64, VaultError> {
    let seconds = match value {
        Value::Null => Some(0),
        Value::Number(number) => number.as_u64().or_else(|| whole_seconds(number.as_f64()?)),
        Value::String(text) => parse_text(text.trim()),
        _ => None,
    };
    seconds.filter(|seconds| *seconds <= DURATION_SECONDS_MAX).ok_or_else(|| {
        // The text is a client's own; shown at a length that fits a log line.
        let shown: String = value.to_string().chars().take(64).collect();
        VaultError::invalid(format!("invalid duration {shown}"))
    })
}

/// The duration in a field of a body; `None` if it is absent or null.
///
/// # Errors
/// As [`parse_duration`], naming the field.
pub fn duration_field(data: &Map<String, Value>, field: &str) -> Result<Option<u64>, VaultError> {
    match data.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => parse_duration(value).map(Some).map_err(|error| {
            VaultError::invalid(format!(
                "Field validation failed: error converting input for field \"{field}\": {error}"
            ))
        }),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked first")]
fn whole_seconds(seconds: f64) -> Option<u64> {
    (seconds >= 0.0 && seconds < DURATION_SECONDS_MAX as f64).then_some(seconds as u64)
}

fn parse_text(text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    if let Some(days) = text.strip_suffix('d') {
        return days.parse::<u64>().ok()?.checked_mul(24 * 3600);
    }
    parse_go(text)
}

/// Go's `time.ParseDuration`: numbers with a unit each, one after another.
fn parse_go(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanoseconds = 0_u128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits_end);
        let unit_end = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanoseconds = nanoseconds.checked_add(scaled(number, *unit_ns)?)?;
        rest = next;
    }
    u64::try_from(nanoseconds / 1_000_000_000).ok()
}

/// `number` with an optional fraction, times `unit_ns`.
fn scaled(number: &str, unit_ns: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    // Digits beyond the 15th are below a nanosecond for every unit.
    let fraction = &fraction[..fraction.len().min(15)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()?.into() };
    whole.checked_mul(unit_ns)?.checked_add(fraction * unit_ns / scale)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_read_as_vault_reads_them() {
        for (value, seconds) in [
            (json!(null), 0),
            (json!(""), 0),
            (json!(0), 0),
            (json!(3600), 3600),
            (json!(1.9), 1),
            (json!("3600"), 3600),
            (json!("1h"), 3600),
            (json!(" 30m "), 1800),
            (json!("1h30m5s"), 5405),
            (json!("1.5h"), 5400),
            (json!("999ms"), 0),
            (json!("1500ms"), 1),
            (json!("30d"), 30 * 24 * 3600),
            (json!("+1m"), 60),
        ] {
            assert_eq!(parse_duration(&value).unwrap(), seconds, "{value}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for value in [
            json!(-1),
            json!("-1h"),
            json!("1x"),
            json!("h"),
            json!("."),
            json!(".h"),
            json!("1.2.3s"),
            json!("+"),
            json!("1h5"),
            json!("99999999999999999999"),
            json!("9999999999h"),
            json!("213503982334602d"),
            json!(1e300),
            json!(u64::MAX),
            json!([1]),
            json!(true),
        ] {
            assert!(parse_duration(&value).is_err(), "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse_duration(&Value::String(text));
        }
    }
}
