//! `data/:path`: the versions themselves, and `subkeys/:path`, their structure.

use serde_json::{Map, Value};

use crate::backend::{Answer, Call, object};
use crate::engines::fields::{Fields, integer_of};
use crate::engines::go_format::nanoseconds;
use crate::engines::kv2::config::{self, Config};
use crate::engines::kv2::merge::{merge, without_values};
use crate::engines::kv2::record::{self, Metadata, Version, version_key};
use crate::error::VaultError;
use crate::response::Response;

/// What is stored of a version; `null` was written as `null`.
type Data = Option<Map<String, Value>>;

/// `GET data/:path`.
pub(super) fn read(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    read_as(call, path, "data", |data| data.map_or(Value::Null, Value::Object))
}

/// `GET subkeys/:path`.
pub(super) fn read_subkeys(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    let depth = parameter(call, "depth")?;
    read_as(call, path, "subkeys", |data| {
        data.map_or(Value::Null, |data| without_values(&data, depth).into())
    })
}

/// A version of a key, with `name` for what `show` makes of its data.
fn read_as(
    call: &mut Call<'_, '_>,
    path: &str,
    name: &str,
    show: impl FnOnce(Data) -> Value,
) -> Result<Answer, VaultError> {
    let asked = parameter(call, "version")?;
    let metadata = record::load(&mut call.storage, path)?.ok_or_else(VaultError::not_found)?;
    let number = if asked == 0 { metadata.current_version } else { asked };
    let version = metadata.version(number).ok_or_else(VaultError::not_found)?;
    let described = metadata.describe_version(number, version);
    let answer =
        |shown: Value| Response::data(object([(name, shown), ("metadata", described.into())]));
    if !is_readable(call, version) {
        return Ok(Response { status: Some(404), ..answer(Value::Null) }.into());
    }
    let data: Data = load(call, path, number)?;
    Ok(answer(show(data)).into())
}

fn is_readable(call: &Call<'_, '_>, version: &Version) -> bool {
    !version.is_destroyed && !version.is_deleted(nanoseconds(call.storage.now()))
}

fn load(call: &mut Call<'_, '_>, path: &str, number: u64) -> Result<Data, VaultError> {
    // A stored null decodes as absent as well, so absence is no sign of damage.
    Ok(call.storage.get::<Data>(&version_key(path, number))?.flatten())
}

/// `POST data/:path`.
pub(super) fn write(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    if path.is_empty() {
        return Err(VaultError::invalid("missing path"));
    }
    let data = call.request.data.get("data").ok_or_else(no_data)?;
    Fields::of(call.request).object("data")?;
    let config = config::load(&mut call.storage)?;
    let metadata = record::load(&mut call.storage, path)?.unwrap_or_default();
    check_cas(call, &config, &metadata)?;
    store(call, path, metadata, &config, data)
}

/// `PATCH data/:path`: a new version that is the current one with changes.
pub(super) fn patch(call: &mut Call<'_, '_>, path: &str) -> Result<Answer, VaultError> {
    let changes = Fields::of(call.request).object("data")?.ok_or_else(no_data)?;
    let metadata = record::load(&mut call.storage, path)?.ok_or_else(VaultError::not_found)?;
    let config = config::load(&mut call.storage)?;
    check_cas(call, &config, &metadata)?;
    let number = metadata.current_version;
    let version = metadata.version(number).ok_or_else(VaultError::not_found)?;
    if !is_readable(call, version) {
        let described = metadata.describe_version(number, version);
        return Ok(Response { status: Some(404), ..Response::data(described) }.into());
    }
    let mut data = load(call, path, number)?.unwrap_or_default();
    merge(&mut data, changes);
    store(call, path, metadata, &config, &Value::Object(data))
}

fn no_data() -> VaultError {
    VaultError::invalid("no data provided")
}

/// Writes a new version.
fn store(
    call: &mut Call<'_, '_>,
    path: &str,
    mut metadata: Metadata,
    config: &Config,
    data: &Value,
) -> Result<Answer, VaultError> {
    let dropped = metadata.add_version(nanoseconds(call.storage.now()), config);
    let number = metadata.current_version;
    call.storage.put(&version_key(path, number), data)?;
    call.storage.put(&record::key(path), &metadata)?;
    for old in dropped {
        call.storage.delete(&version_key(path, old));
    }
    let version = metadata.version(number).ok_or_else(VaultError::not_found)?;
    Ok(Response::data(metadata.describe_version(number, version)).into())
}

/// Compares the version that the client expects, if it names one.
fn check_cas(call: &Call<'_, '_>, config: &Config, metadata: &Metadata) -> Result<(), VaultError> {
    let options = Fields::of(call.request).object("options")?;
    let refusal = match options.and_then(|options| options.get("cas")) {
        Some(expected) => match expected_version(expected) {
            None => "error parsing check-and-set parameter",
            Some(expected) if u64::try_from(expected) != Ok(metadata.current_version) => {
                "check-and-set parameter did not match the current version"
            }
            Some(_) => return Ok(()),
        },
        None if config.cas_required || metadata.cas_required => {
            "check-and-set parameter required for this call"
        }
        None => return Ok(()),
    };
    Err(VaultError::invalid(refusal))
}

fn expected_version(value: &Value) -> Option<i64> {
    if value.is_null() { Some(0) } else { integer_of(value) }
}

/// A number in the query or the body; negative ones count as absent, which is 0.
fn parameter(call: &Call<'_, '_>, name: &str) -> Result<u64, VaultError> {
    let mut data = Map::new();
    if let Some(text) = call.request.query.get(name) {
        data.insert(name.to_owned(), text.as_str().into());
    }
    let query = Fields(&data).integer(name)?;
    let number = query.map_or_else(|| Fields::of(call.request).integer(name), |n| Ok(Some(n)))?;
    Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
}
