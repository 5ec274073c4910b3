//! A window as operators write it, in a request or in a configuration file.

use core::time::Duration;
use std::time::SystemTime;

use plimsoll::maintenance::{Extent, InvalidPlan, Plan};
use serde_json::{Map, Value};

use crate::duration::duration_field;
use crate::error::VaultError;
use crate::sys::maintenance::record::{MaintenanceRecord, at};

const BYPASS_BYTES: core::ops::RangeInclusive<usize> = 16..=256;

/// Everything that a window may say.
const FIELDS: [&str; 8] =
    ["mode", "percentage", "begin", "end", "duration", "reason", "status_page", "bypass_token"];

type Fields = Map<String, Value>;

impl MaintenanceRecord {
    /// A window that is announced at `now`.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn parse(fields: &Fields, now: SystemTime) -> Result<Self, VaultError> {
        if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            return Err(VaultError::invalid(format!("no such field: {unknown}")));
        }
        Ok(Self::new(&plan(fields, now)?, bypass_token(fields)?))
    }

    /// A window that stands in a file, where it may be over.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn parse_file(fields: &Fields, now: SystemTime) -> Result<Self, VaultError> {
        let announced = time(fields, "begin")?.map_or(now, |begin| begin.min(now));
        Self::parse(fields, announced)
    }
}

fn plan(fields: &Fields, now: SystemTime) -> Result<Plan, VaultError> {
    let mode = text(fields, "mode")?.unwrap_or_else(|| "full".to_owned());
    let percentage = text(fields, "percentage")?
        // What is no whole number is no percentage either.
        .map(|share| share.parse().unwrap_or(0));
    let begin = time(fields, "begin")?.unwrap_or(now);
    let length = duration_field(fields, "duration")?;
    let end = match (time(fields, "end")?, length) {
        (Some(_), Some(_)) => return Err(VaultError::invalid("either end or duration, not both")),
        (end, None) => end,
        (None, Some(seconds)) => begin.checked_add(Duration::from_secs(seconds)),
    };
    let invalid = |error: InvalidPlan| VaultError::invalid(error.to_string());
    let extent = Extent::parse(&mode, percentage).map_err(invalid)?;
    let reason = text(fields, "reason")?.unwrap_or_default();
    let plan = Plan::new(extent, begin, end, now).and_then(|plan| plan.because(&reason));
    let plan = match text(fields, "status_page")? {
        Some(page) => plan.and_then(|plan| plan.explained_at(&page)),
        None => plan,
    };
    plan.map_err(invalid)
}

/// A text, or a number as one; `None` if it is absent, null or empty.
fn text(fields: &Fields, field: &str) -> Result<Option<String>, VaultError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(VaultError::invalid(format!("{field} must be a text or a number"))),
    }
}

/// RFC 3339 in UTC, or seconds since 1970.
fn time(fields: &Fields, field: &str) -> Result<Option<SystemTime>, VaultError> {
    let Some(text) = text(fields, field)? else { return Ok(None) };
    let seconds = text.parse::<u64>().ok().map(at);
    let time = seconds.or_else(|| humantime::parse_rfc3339(&text).ok());
    time.map(Some).ok_or_else(|| {
        VaultError::invalid(format!(
            "{field} must be a time like 2026-01-31T22:00:00Z, or seconds since 1970"
        ))
    })
}

fn bypass_token(fields: &Fields) -> Result<String, VaultError> {
    let Some(token) = text(fields, "bypass_token")? else {
        return Ok(uuid::Uuid::new_v4().to_string());
    };
    if !BYPASS_BYTES.contains(&token.len()) || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(VaultError::invalid("bypass_token must be 16 to 256 visible ASCII characters"));
    }
    Ok(token)
}
