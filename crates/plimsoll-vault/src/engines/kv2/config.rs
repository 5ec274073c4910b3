//! `config`: what holds for all keys of a mount.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backend::{Answer, Call, object};
use crate::context::Scope;
use crate::duration::parse_duration;
use crate::engines::fields::Fields;
use crate::engines::go_format::go_duration;
use crate::engines::kv2::record::VERSIONS_MAX;
use crate::engines::token_params::set;
use crate::error::VaultError;
use crate::response::Response;

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    /// 0 leaves it to the engine.
    pub(super) max_versions: u64,
    pub(super) cas_required: bool,
    pub(super) metadata_cas_required: bool,
    /// Seconds; 0 is never.
    pub(super) delete_version_after: u64,
    /// No version is deleted by itself, whatever its key says.
    pub(super) is_deletion_disabled: bool,
}

/// The settings of the mount.
///
/// # Errors
/// The store could not be read.
pub(super) fn load(storage: &mut Scope<'_, '_>) -> Result<Config, VaultError> {
    Ok(storage.get_shared::<Config>("config")?.map_or_else(Config::default, |c| Config::clone(&c)))
}

/// `GET config`.
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
    let config = load(&mut call.storage)?;
    let delete_version_after = match config.is_deletion_disabled {
        true => "-1s".to_owned(),
        false => go_duration(config.delete_version_after),
    };
    Ok(Response::data(object([
        ("cas_required", config.cas_required.into()),
        ("delete_version_after", delete_version_after.into()),
        ("max_versions", config.max_versions.into()),
        ("metadata_cas_required", config.metadata_cas_required.into()),
    ]))
    .into())
}

/// `POST config`.
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
    let fields = Fields::of(call.request);
    let before = load(&mut call.storage)?;
    let mut config = before.clone();
    let max_versions = max_versions(fields)?;
    set(&mut config.max_versions, max_versions);
    set(&mut config.cas_required, fields.flag("cas_required")?);
    set(&mut config.metadata_cas_required, fields.flag("metadata_cas_required")?);
    if let Some(value) = fields.value("delete_version_after") {
        config.is_deletion_disabled = is_negative(value);
        config.delete_version_after = match config.is_deletion_disabled {
            true => 0,
            false => parse_duration(value)?,
        };
    }
    if config != before {
        call.storage.put("config", &config)?;
    }
    Ok(Response { warnings: versions_warning(max_versions), ..Response::default() }.into())
}

/// How many versions are asked for.
///
/// # Errors
/// It is no count.
pub(super) fn max_versions(fields: Fields<'_>) -> Result<Option<u64>, VaultError> {
    fields.count("max_versions", "max_versions cannot be negative")
}

/// A warning if they are more than are kept.
pub(super) fn versions_warning(max_versions: Option<u64>) -> Vec<String> {
    let asked = max_versions.filter(|asked| *asked > VERSIONS_MAX);
    let warning = asked.map(|_| format!("no more than {VERSIONS_MAX} versions are kept of a key"));
    warning.into_iter().collect()
}

/// Whether a duration is below zero, which means never.
fn is_negative(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let magnitude = text.trim().strip_prefix('-').map(Value::from);
            magnitude.is_some_and(|magnitude| parse_duration(&magnitude).is_ok())
        }
        other => other.as_f64().is_some_and(|number| number < 0.0),
    }
}
