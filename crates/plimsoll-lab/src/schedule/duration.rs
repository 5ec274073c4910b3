//! Durations as people write them.

use std::time::Duration;

/// What is wrong with a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Not a number followed by a unit.
    #[error("{0:?} is not a duration such as 500ms, 10s or 2m")]
    Form(String),
    /// Nothing can happen in no time.
    #[error("the duration is zero")]
    Zero,
}

/// The longest duration taken, in seconds.
const SECONDS_MAX: f64 = 30.0 * 86_400.0;

/// Reads `500ms`, `10s`, `1.5m` or `2h`.
///
/// # Errors
/// It is something else, zero, negative or longer than 30 days.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let error = || DurationError::Form(text.to_owned());
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.trim().parse().map_err(|_| error())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return Err(error()),
    };
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return Err(error());
    }
    let duration = Duration::from_secs_f64(seconds);
    if duration.is_zero() { Err(DurationError::Zero) } else { Ok(duration) }
}
