//! `metadata/:path`: the settings of a key, and the end of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::backend::{Answer, Call};
use crate::engines::fields::{Fields, go_type, scalar_text};
use crate::engines::go_format::nanoseconds;
use crate::engines::kv2::config::{self, Config, max_versions, versions_warning};
use crate::engines::kv2::record::{self, Metadata, version_key};
use crate::engines::token_params::set;
use crate::error::VaultError;
use crate::response::Response;

/// Limits of `custom_metadata`, which are Vault's.
const CUSTOM_KEYS_MAX: usize = 64;
const CUSTOM_KEY_BYTES_MAX: usize = 128;
const CUSTOM_VALUE_BYTES_MAX: usize = 512;

const SETTINGS: [&str; 5] = [
    "max_versions",
    "cas_required",
    "metadata_cas_required",
    "delete_version_after",
    "custom_metadata",
];

/// `GET metadata/:path`.
pub(super) fn read(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    let metadata = record::load(&mut call.storage, path)?.ok_or_else(VaultError::not_found)?;
    Ok(Response::data(metadata.describe()).into())
}

/// `POST metadata/:path`: creates the key if need be.
pub(super) fn write(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    if path.is_empty() {
        return Err(VaultError::invalid("missing path"));
    }
    let fields = Fields::of(call.request);
    if !SETTINGS.iter().any(|name| fields.has(name)) {
        return Ok(Response::default().into());
    }
    let config = config::load(&mut call.storage)?;
    let known = record::load(&mut call.storage, path)?;
    check_cas(fields, &config, known.as_ref())?;
    let custom = fields.object("custom_metadata")?.map(custom_metadata).transpose()?;
    let mut metadata = known.unwrap_or_default();
    if custom.is_some() {
        metadata.custom_metadata = custom;
    }
    store(call, path, metadata, &config)
}

/// `PATCH metadata/:path`: as a write, but `custom_metadata` is merged and
/// `null` sets back.
pub(super) fn patch(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    let data = &call.request.data;
    let fields = Fields::of(call.request);
    if !SETTINGS.iter().any(|name| data.contains_key(*name)) {
        return Ok(Response::default().into());
    }
    let config = config::load(&mut call.storage)?;
    let known = record::load(&mut call.storage, path)?;
    let mut metadata = known.ok_or_else(VaultError::not_found)?;
    check_cas(fields, &config, Some(&metadata))?;
    if let Some(changes) = fields.object("custom_metadata")? {
        let pairs = metadata.custom_metadata.take().unwrap_or_default();
        let mut merged: Map<String, Value> =
            pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
        for (key, value) in changes {
            match value {
                Value::Null => merged.remove(key),
                value => merged.insert(key.clone(), value.clone()),
            };
        }
        metadata.custom_metadata = Some(custom_metadata(&merged)?);
    }
    let is_null = |name: &str| data.get(name).is_some_and(Value::is_null);
    if is_null("custom_metadata") {
        metadata.custom_metadata = None;
    }
    if is_null("max_versions") {
        metadata.max_versions = 0;
    }
    if is_null("cas_required") {
        metadata.cas_required = false;
    }
    if is_null("metadata_cas_required") {
        metadata.metadata_cas_required = false;
    }
    if is_null("delete_version_after") {
        metadata.delete_version_after = 0;
    }
    store(call, path, metadata, &config)
}

/// Takes over the settings besides `custom_metadata` and writes the key.
fn store(
    call: &mut Call<'_, '_>,
    path: &str,
    mut metadata: Metadata,
    config: &Config,
) -> Result<Answer, VaultError> {
    let fields = Fields::of(call.request);
    let asked = max_versions(fields)?;
    let mut warnings = versions_warning(asked);
    set(&mut metadata.max_versions, asked);
    set(&mut metadata.delete_version_after, fields.seconds("delete_version_after")?);
    for (name, setting, of_mount) in [
        ("cas_required", &mut metadata.cas_required, config.cas_required),
        (
            "metadata_cas_required",
            &mut metadata.metadata_cas_required,
            config.metadata_cas_required,
        ),
    ] {
        let flag = fields.flag(name)?;
        if of_mount && flag == Some(false) {
            warnings.push(format!(
                "\"{name}\" set to false, but is mandated by backend config. This value will be \
                 ignored."
            ));
        }
        set(setting, flag);
    }
    let now_ns = nanoseconds(call.storage.now());
    metadata.metadata_version += 1;
    metadata.updated_ns = now_ns;
    if metadata.created_ns == 0 {
        metadata.created_ns = now_ns;
    }
    call.storage.put(&record::key(path), &metadata)?;
    Ok(Response { warnings, ..Response::default() }.into())
}

/// Compares the metadata's own version that the client expects, if any.
fn check_cas(
    fields: Fields<'_>,
    config: &Config,
    known: Option<&Metadata>,
) -> Result<(), VaultError> {
    let is_required =
        config.metadata_cas_required || known.is_some_and(|known| known.metadata_cas_required);
    let refusal = match (fields.integer("metadata_cas")?, known) {
        (None, _) if is_required => "metadata check-and-set parameter required for this call",
        (Some(expected), None) if expected != 0 => {
            "metadata_cas must be 0 when creating new metadata"
        }
        (Some(expected), Some(known)) if u64::try_from(expected) != Ok(known.metadata_version) => {
            "metadata check-and-set parameter does not match the current version"
        }
        _ => return Ok(()),
    };
    Err(VaultError::invalid(refusal))
}

/// `DELETE metadata/:path`: the key with all its versions.
pub(super) fn delete(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    if let Some(metadata) = record::load(&mut call.storage, path)? {
        for (number, _) in metadata.versions() {
            call.storage.delete(&version_key(path, number));
        }
        call.storage.delete(&record::key(path));
    }
    Ok(Response::default().into())
}

/// Pairs of strings within the limits; all that is wrong is said at once.
fn custom_metadata(pairs: &Map<String, Value>) -> Result<BTreeMap<String, String>, VaultError> {
    const PREFIX: &str = "custom_metadata validation failed";
    let text = |(key, value): (&String, &Value)| match scalar_text(value) {
        Some(text) => Ok((key.clone(), text)),
        None => Err(VaultError::invalid(format!(
            "{PREFIX}: '' expected type 'string', got unconvertible type '{}'",
            go_type(value)
        ))),
    };
    let pairs: BTreeMap<String, String> = pairs.iter().map(text).collect::<Result<_, _>>()?;
    let faults: Vec<String> = if pairs.len() > CUSTOM_KEYS_MAX {
        vec![format!(
            "payload must contain at most {CUSTOM_KEYS_MAX} keys, provided {}",
            pairs.len()
        )]
    } else {
        pairs.iter().flat_map(|(key, value)| pair_faults(key, value)).collect()
    };
    if faults.is_empty() {
        return Ok(pairs);
    }
    let noun = if faults.len() == 1 { "error" } else { "errors" };
    let lines: String = faults.iter().map(|fault| format!("\t* {PREFIX}: {fault}\n")).collect();
    Err(VaultError::invalid(format!("{} {noun} occurred:\n{lines}\n", faults.len())))
}

fn pair_faults(key: &str, value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if key.is_empty() || key.len() > CUSTOM_KEY_BYTES_MAX {
        faults.push(format!(
            "length of key {key:?} is {} but must be 0 < len(key) <= {CUSTOM_KEY_BYTES_MAX}",
            key.len()
        ));
    }
    if value.is_empty() || value.len() > CUSTOM_VALUE_BYTES_MAX {
        faults.push(format!(
            "length of value for key {key:?} is {} but must be 0 < len(value) <= \
             {CUSTOM_VALUE_BYTES_MAX}",
            value.len()
        ));
    }
    if !is_printable(key) {
        faults.push(format!("key {key:?} ({key}) contains unprintable characters"));
    }
    if !is_printable(value) {
        faults.push(format!("value for key {key:?} contains unprintable characters"));
    }
    faults
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| c == ' ' || !(c.is_control() || c.is_whitespace()))
}
