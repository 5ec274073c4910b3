//! Lengths of time as scenario files write them.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::schedule::parse_duration;

/// Seconds; written `500ns`, `100us`, `2ms`, `10s`, `1h` or `0s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Span(f64);

impl Span {
    /// A span of that many seconds; what is no length of time becomes none.
    pub fn from_seconds(seconds: f64) -> Self {
        Self(if seconds.is_finite() { seconds.max(0.0) } else { 0.0 })
    }

    /// Its length in seconds.
    pub const fn seconds(self) -> f64 {
        self.0
    }

    /// Its length in nanoseconds.
    pub fn nanos(self) -> u64 {
        (self.0 * 1e9).round() as u64
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = text.trim();
        if text == "0s" {
            return Ok(Self(0.0));
        }
        for (suffix, per_second) in [("us", 1e6), ("ns", 1e9)] {
            if let Some(number) = text.strip_suffix(suffix) {
                return match number.trim().parse::<f64>() {
                    Ok(number) if (0.0..=1e12).contains(&number) => Ok(Self(number / per_second)),
                    _ => Err(D::Error::custom(format!("{text:?} is not a duration such as 100us"))),
                };
            }
        }
        let duration = parse_duration(text).map_err(D::Error::custom)?;
        Ok(Self(duration.as_secs_f64()))
    }
}
