//! `sys/mounts/<path>/tune` and `sys/auth/<path>/tune`.

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::VaultError;
use crate::mounts::{MountEntry, MountKind, MountTable};
use crate::request::Operation;
use crate::response::Response;
use crate::sys::SysCall;
use crate::sys::body::merged;
use crate::sys::mounts::{configure, description, options};
use crate::token::Ttls;

pub(super) fn handle(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    kind: MountKind,
    path: &str,
) -> Result<Response, VaultError> {
    let unknown = || VaultError::invalid(format!("cannot fetch sysview for path {path:?}"));
    let entry = call.routes.table(kind).get(path).ok_or_else(unknown)?;
    match call.request.operation {
        Operation::Read => Ok(merged(call.request, describe(entry, call.vault.ttls()))),
        Operation::Write => write(context, call, entry),
        _ => Err(VaultError::Unsupported),
    }
}

fn describe(entry: &MountEntry, system: Ttls) -> Map<String, Value> {
    let ttls = entry.ttls(system);
    let mut described = Map::from_iter([
        ("default_lease_ttl".to_owned(), json!(ttls.default)),
        ("max_lease_ttl".to_owned(), json!(ttls.max)),
        ("force_no_cache".to_owned(), json!(entry.force_no_cache)),
        ("description".to_owned(), json!(entry.description)),
    ]);
    if let Some(options) = &entry.options {
        described.insert("options".to_owned(), json!(options));
    }
    if entry.kind == MountKind::Auth {
        described.insert("token_type".to_owned(), json!(entry.token_type));
    }
    described.extend(entry.tuning.clone());
    described
}

fn write(
    context: &mut Context<'_>,
    call: &SysCall<'_>,
    entry: &MountEntry,
) -> Result<Response, VaultError> {
    let mut tuned = entry.to_tune();
    configure(&mut tuned, &call.request.data, call.vault.ttls())?;
    if let Some(description) = description(call.request)? {
        tuned.description = description;
    }
    if let Some(options) = options(call.request.data.get("options"))? {
        let version = |options: &std::collections::BTreeMap<String, String>| {
            options.get("version").cloned().unwrap_or_else(|| "1".to_owned())
        };
        let current = entry.options.clone().unwrap_or_default();
        let asked = options.contains_key("version");
        if entry.engine == "kv" && asked && version(&options) != version(&current) {
            return Err(VaultError::invalid("changing the version of a kv mount is not supported"));
        }
        tuned.options.get_or_insert_default().extend(options);
    }
    let mut table = MountTable::clone(call.routes.table(entry.kind));
    table.replace(tuned);
    context.put(entry.kind.table_key(), &table)?;
    Ok(Response::default())
}
