//! Durations as Vault's files spell them: seconds or `1h30m`.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let value = Value::deserialize(from)?;
    let seconds = plimsoll_vault::duration::parse_duration(&value)
        .map_err(|error| D::Error::custom(format!("{value}: {error}")))?;
    Ok(Some(Duration::from_secs(seconds)))
}
